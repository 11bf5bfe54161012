//! A load with a fixed rate, until the parent process closes the standard input. No writer waits for another.

use std::time::Duration;

use anyhow::Result;
use load::Load;
use messaging::Store;
use tokio::task::JoinSet;
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
    let load = Load::steady(period).until(ended.clone());
    for writer in 0..writers {
        let (store, mut calls) = (store.clone(), load.caller());
        let (run, accounts) = (pace.run.clone(), pace.accounts.max(1));
        running.spawn(async move {
            let mut random = fastrand::Rng::with_seed(writer.into());
            while let Some(call) = calls.next().await {
                let command = Command {
                    op: format!("{run}-paced-{}", call.number),
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
