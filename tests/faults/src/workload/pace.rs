//! A load with a fixed rate, until the parent process closes the standard input.
//!
//! Each writer has its own pace and waits for no other writer. A late call is not made up for.

use std::time::Duration;

use anyhow::Result;
use messaging::Store;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::commands::{self, Command};

pub(crate) struct Pace {
    pub(crate) run: String,
    pub(crate) accounts: u32,
    pub(crate) writers: usize,
    /// Commands a second of all writers together.
    pub(crate) rate: u32,
}

pub(crate) async fn keep(store: &Store, pace: &Pace) -> Result<()> {
    let ended = CancellationToken::new();
    let mut running = JoinSet::new();
    let writers = u32::try_from(pace.writers.max(1))?;
    let period = Duration::from_secs(writers.into()) / pace.rate.max(1);
    for writer in 0..writers {
        let (store, ended) = (store.clone(), ended.clone());
        let (run, accounts) = (pace.run.clone(), pace.accounts.max(1));
        running.spawn(async move {
            let mut random = fastrand::Rng::with_seed(writer.into());
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut number = 0_u64;
            while ended.run_until_cancelled(ticks.tick()).await.is_some() {
                number += 1;
                let command = Command {
                    op: format!("{run}-{writer}-{number}"),
                    account: commands::account(&run, random.u32(..accounts)),
                };
                commands::until_done(&store, &command).await;
            }
        });
    }
    let closed = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(closed).await??;
    ended.cancel();
    while let Some(writer) = running.join_next().await {
        writer?;
    }
    Ok(())
}
