//! Watches a system under load while a run breaks things: whether calls are accepted, effects go on, and the backlog drains.
//!
//! It has its own connections to the databases, so a broken link of the system does not hide them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::checker::Verdict;
use crate::fixture::{Fixture, look_into};
use crate::load_process::{self, LoadProcess};
use crate::tables;

const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Watch {
    pub(crate) producer: store::Database,
    pub(crate) consumer: store::Database,
    title: String,
    wrong: usize,
    /// An account without expected effects.
    left_out: String,
}

/// The last version of each account.
type Versions = HashMap<String, i64>;

/// How fast a system must recover, or how fast it did.
#[derive(Clone, Copy)]
pub(crate) struct Recovery {
    /// Until there is an effect of a command that was committed after the fault. Effects of earlier commands prove nothing.
    pub(crate) resumes: Duration,
    /// Until all commands that were committed before the end of the fault have their effects.
    pub(crate) drains: Duration,
}

impl Watch {
    pub(crate) async fn over(fixture: &Fixture, title: &str) -> Result<Self> {
        Ok(Self {
            producer: look_into(&fixture.producer).await?,
            consumer: look_into(&fixture.consumer).await?,
            title: title.to_owned(),
            wrong: 0,
            left_out: String::new(),
        })
    }

    /// Expects no effect for this account from now on.
    pub(crate) fn leave_out(&mut self, account: &str) {
        account.clone_into(&mut self.left_out);
    }

    /// Prints what happened, and counts it as wrong unless `kept`.
    pub(crate) fn judge(&mut self, kept: bool, what: &str) {
        let verdict = if kept { "" } else { " WRONG" };
        println!("{}{verdict}: {what}", self.title);
        self.wrong += usize::from(!kept);
    }

    /// At least 999 of 1000 calls since then must have been accepted.
    pub(crate) fn calls(&mut self, load: &LoadProcess, since: Instant, what: &str) {
        let (accepted, of) = load_process::accepted_of_1000(&load.answers(since));
        let kept = of > 0 && accepted >= 999.0;
        self.judge(
            kept,
            &format!(
                "{what}: {:.2} % of {of} calls were accepted",
                accepted / 10.0
            ),
        );
    }

    /// Waits until the system has recovered, measured from now. Keeps the longer time in `longest`.
    pub(crate) async fn recovers(
        &mut self,
        load: &mut LoadProcess,
        within: Recovery,
        longest: &mut Recovery,
    ) -> Result<bool> {
        load.check()?;
        let begun = Instant::now();
        let promised = self.promised().await?;
        let (mut resumed, mut drained) = (None, None);
        while resumed.is_none() && begun.elapsed() < within.resumes
            || drained.is_none() && begun.elapsed() < within.drains
        {
            let made = self.made().await?;
            let took = begun.elapsed();
            resumed = resumed.or_else(|| goes_beyond(&made, &promised).then_some(took));
            drained = drained.or_else(|| reaches(&made, &promised).then_some(took));
            tokio::time::sleep(PAUSE).await;
        }
        // The loop may have waited longer for the other one.
        resumed = resumed.filter(|took| *took <= within.resumes);
        longest.resumes = longest.resumes.max(resumed.unwrap_or(Duration::MAX));
        longest.drains = longest.drains.max(drained.unwrap_or(Duration::MAX));
        if resumed.is_none() || drained.is_none() {
            let (deposits, effects) = (self.deposits().await?, self.effects().await?);
            self.judge(
                false,
                &format!("no recovery in time: resumed {resumed:?}, drained {drained:?}, {deposits} deposits, {effects} effects"),
            );
        }
        Ok(resumed.is_some() && drained.is_some())
    }

    /// Prints the longest recovery.
    pub(crate) fn recovered(&mut self, what: &str, longest: Recovery) {
        if longest.drains < Duration::MAX && longest.resumes < Duration::MAX {
            let (resumes, drains) = (longest.resumes.as_secs_f64(), longest.drains.as_secs_f64());
            self.judge(
                true,
                &format!("{what}: work resumed within {resumes:.1} s, the backlog drained within {drains:.1} s"),
            );
        }
    }

    pub(crate) async fn deposits(&self) -> Result<i64> {
        tables::number(&self.producer, "SELECT count(*) FROM deposit").await
    }

    pub(crate) async fn effects(&self) -> Result<i64> {
        tables::number(&self.consumer, "SELECT count(*) FROM effect").await
    }

    /// How many events wait in the outbox.
    pub(crate) async fn pending(&self) -> Result<i64> {
        let pending = "SELECT count(*) FROM angarium_outbox";
        tables::number(&self.producer, pending).await
    }

    /// The versions that are committed now.
    async fn promised(&self) -> Result<Versions> {
        let committed = "SELECT id, version FROM account WHERE id <> $1";
        self.versions(&self.producer, committed).await
    }

    async fn made(&self) -> Result<Versions> {
        let made = "SELECT account AS id, max(version) AS version FROM effect WHERE account <> $1 GROUP BY account";
        self.versions(&self.consumer, made).await
    }

    async fn versions(&self, db: &store::Database, sql: &str) -> Result<Versions> {
        let rows = tables::rows(db, sql, [self.left_out.as_str().into()]).await?;
        let versions = rows
            .iter()
            .map(|row| anyhow::Ok((row.try_get("", "id")?, row.try_get("", "version")?)));
        versions.collect()
    }

    pub(crate) async fn close(self, verdict: Verdict) -> Result<Verdict> {
        self.producer.close().await?;
        self.consumer.close().await?;
        let wrong = self.wrong;
        Ok(Verdict { wrong, ..verdict })
    }
}

impl Recovery {
    /// Before the first recovery.
    pub(crate) fn none() -> Self {
        Self {
            resumes: Duration::ZERO,
            drains: Duration::ZERO,
        }
    }
}

fn goes_beyond(made: &Versions, promised: &Versions) -> bool {
    made.iter()
        .any(|(account, version)| *version > promised.get(account).copied().unwrap_or(0))
}

/// The effects of an account come in order, so the last one implies all others.
fn reaches(made: &Versions, promised: &Versions) -> bool {
    promised
        .iter()
        .all(|(account, version)| made.get(account).is_some_and(|made| made >= version))
}
