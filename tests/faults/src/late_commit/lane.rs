//! One account with late commits, one after the other, and one account with many commits in the meantime.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use messaging::Store;

use crate::tables;
use crate::workload::commands::{self, Command};

/// The limit from a late commit to its effect.
pub(super) const SOON: Duration = Duration::from_secs(2);
/// The pause between two commits of the other account.
const APART: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Lane {
    pub(super) name: String,
    pub(super) late: Store,
    pub(super) early: Store,
    /// The consumer's database.
    pub(super) effects: store::Database,
    pub(super) held: Duration,
    pub(super) patience: Duration,
}

/// The result of one late commit.
pub(super) struct Passed {
    /// How many others were committed while it was held open.
    pub(super) by: usize,
    /// From its commit to its effect; `None` if that was too late.
    pub(super) took: Option<Duration>,
}

impl Lane {
    /// What was attempted and acknowledged, in the form of the workload's output, and the result of each round. Ends with the first
    /// that was too late.
    pub(super) async fn run(self, rounds: usize) -> Result<(String, Vec<Passed>)> {
        let (mut said, mut passed) = (String::new(), Vec::new());
        for round in 0..rounds {
            let op = format!("{}-{round}", self.name);
            writeln!(said, "try {op}")?;
            // One that is rolled back has taken its sequence as well.
            let ghost = self.late.begin_command().await?;
            let undone = self.command(&format!("{op}-undone"), "undone");
            commands::change(&ghost, &undone).await?;
            ghost.write_early().await?;
            let late = self.late.begin_command().await?;
            commands::change(&late, &self.command(&op, "late")).await?;
            // The sequence is taken here, and the commit comes later.
            late.write_early().await?;
            let by = self.pass_by(&op, &mut said).await?;
            ghost.rollback().await?;
            late.commit().await?;
            writeln!(said, "ok {op} 0")?;
            let took = self.has_effect(&op, SOON).await?;
            passed.push(Passed { by, took });
            if took.is_none() {
                break;
            }
        }
        Ok((said, passed))
    }

    /// Commits others while the late one is held open, and waits until the first of them has its effect.
    async fn pass_by(&self, late: &str, said: &mut String) -> Result<usize> {
        let (begun, mut by) = (Instant::now(), 0);
        while begun.elapsed() < self.held {
            let op = format!("{late}-early-{by}");
            writeln!(said, "try {op}")?;
            let command = self.command(&op, "early");
            commands::deposit(&self.early, &command).await?;
            writeln!(said, "ok {op} 0")?;
            by += 1;
            tokio::time::sleep(APART).await;
        }
        self.has_effect(&format!("{late}-early-0"), self.patience)
            .await?;
        Ok(by)
    }

    fn command(&self, op: &str, account: &str) -> Command {
        Command {
            op: op.to_owned(),
            account: format!("{}-{account}", self.name),
        }
    }

    /// How long it takes until the op has its effect; `None` if longer than `limit`.
    async fn has_effect(&self, op: &str, limit: Duration) -> Result<Option<Duration>> {
        let begun = Instant::now();
        let made = "SELECT count(*) FROM effect WHERE op = $1";
        while tables::number_of(&self.effects, made, [op.into()]).await? == 0 {
            if begun.elapsed() > limit {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Some(begun.elapsed()))
    }
}

/// Whether all states of the producer have their effect at the consumer in time.
pub(super) async fn all_have_effects(
    [consumer, producer]: [&store::Database; 2],
    limit: Duration,
) -> Result<bool> {
    let (begun, made) = (Instant::now(), "SELECT count(DISTINCT op) FROM effect");
    let states = tables::number(producer, "SELECT count(*) FROM deposit").await?;
    while tables::number(consumer, made).await? < states {
        if begun.elapsed() > limit {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(true)
}
