//! Replicas that stop (SIGSTOP) in the middle of a handler and of a command, while they hold locks. The database ends their
//! sessions, the other replicas go on within a minute, and the stopped ones do no harm when they are continued.
//!
//! PostgreSQL only: a writer locks a whole SQLite file, so no other process could go on.

use std::time::Duration;

use anyhow::{Result, bail};
use testkit::{BrokerKind, StoreKind};

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::load_process::LoadProcess;
use crate::watch::{Recovery, Watch};
use crate::workload::stopped::signal;

/// How fast the other replicas must recover.
const DELAY: Recovery = Recovery {
    resumes: Duration::from_secs(60),
    drains: Duration::from_secs(60),
};
const STOPS: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let times = if quick { 1 } else { 3 };
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    // Few accounts, so that each writer soon needs a locked one.
    let args = ["--accounts", "4", "--patience", &text];
    let others = ["--rate", "40", "--writers", "8"];
    let mut load = fixture.load(&run, &[&args[..], &others].concat())?;
    let mut watch = Watch::over(&fixture, "stopped-replica").await?;
    let mut longest = Recovery::none();
    watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    for _ in 0..times {
        let mut handling = fixture.load(&run, &["--role", "consumer", "--stop-in", "handler"])?;
        // It repeats the commands of one writer and is faster, so it reaches a command that is not done.
        let role = ["--role", "producer", "--rate", "500", "--writers", "1"];
        let stop = ["--stop-in", "command"];
        let mut commanding = fixture.load(&run, &[&args[..], &role, &stop].concat())?;
        stopped(&mut handling).await?;
        stopped(&mut commanding).await?;
        let mut longest = Recovery::none();
        watch.recovers(&mut load, DELAY, &mut longest).await?;
        watch.recovered("a handler and a command stopped", longest);
        for replica in [&handling, &commanding] {
            signal("CONT", replica.process()?);
        }
        let mut longest = Recovery::none();
        watch.recovers(&mut load, RECOVERY, &mut longest).await?;
        watch.recovered("both continued", longest);
        fixture.end(commanding, patience).await?;
        fixture.kill(handling).await?;
    }
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(&run, true).await?;
    watch.close(verdict).await
}

/// Waits until the process has stopped.
async fn stopped(replica: &mut LoadProcess) -> Result<()> {
    let stopping = async {
        loop {
            replica.check()?;
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", replica.process()?))?;
            // The state follows the name in brackets, which may contain anything.
            let state = stat
                .rsplit(") ")
                .next()
                .and_then(|rest| rest.chars().next());
            if state == Some('T') {
                return anyhow::Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(STOPS, stopping).await {
        Ok(stopped) => stopped,
        Err(_) => bail!("the replica did not stop within {STOPS:?}"),
    }
}
