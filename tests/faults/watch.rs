//! What a run sees of a system under load while it breaks things: whether calls are taken, effects go on, a backlog drains.
//!
//! It looks into the databases by a way of its own, so it sees them whatever is broken for the system.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::checker::Verdict;
use crate::load::{self, Load};
use crate::tables;
use crate::world::{World, look_into};

const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Watch {
    pub(crate) producer: store::Database,
    pub(crate) consumer: store::Database,
    title: String,
    wrong: usize,
    /// An account of which nothing is expected.
    left_out: String,
}

/// How far each account is.
type Versions = HashMap<String, i64>;

/// How fast a system must be itself again.
#[derive(Clone, Copy)]
pub(crate) struct Recovery {
    /// Until there is an effect of what was committed after the fault had ended: what was on its way before proves nothing.
    pub(crate) resumes: Duration,
    /// Until there are all effects of what was committed when the fault ended.
    pub(crate) drains: Duration,
}

impl Watch {
    pub(crate) async fn over(world: &World, title: &str) -> Result<Self> {
        Ok(Self {
            producer: look_into(&world.producer).await?,
            consumer: look_into(&world.consumer).await?,
            title: title.to_owned(),
            wrong: 0,
            left_out: String::new(),
        })
    }

    /// Expects no effect for this account from here on.
    pub(crate) fn leave_out(&mut self, account: &str) {
        account.clone_into(&mut self.left_out);
    }

    /// Says what has happened, and whether it was as promised.
    pub(crate) fn judge(&mut self, kept: bool, what: &str) {
        let verdict = if kept { "" } else { " WRONG" };
        println!("{}{verdict}: {what}", self.title);
        self.wrong += usize::from(!kept);
    }

    /// Of the calls since then, so many of a thousand were taken.
    pub(crate) fn calls(&mut self, load: &Load, since: Instant, what: &str) {
        let (accepted, of) = load::accepted_of_1000(&load.answers(since));
        let kept = of > 0 && accepted >= 999.0;
        self.judge(
            kept,
            &format!("{what}: {of} calls, {:.2} % taken", accepted / 10.0),
        );
    }

    /// Waits until the system is itself again, from now on. The longer of `longest` and this time is kept there.
    pub(crate) async fn recovers(
        &mut self,
        load: &mut Load,
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
        // It was looked for longer, for the sake of the other.
        resumed = resumed.filter(|took| *took <= within.resumes);
        longest.resumes = longest.resumes.max(resumed.unwrap_or(Duration::MAX));
        longest.drains = longest.drains.max(drained.unwrap_or(Duration::MAX));
        if resumed.is_none() || drained.is_none() {
            let (deposits, effects) = (self.deposits().await?, self.effects().await?);
            self.judge(
                false,
                &format!("resumed {resumed:?}, drained {drained:?}: {deposits} deposits and {effects} effects are there"),
            );
        }
        Ok(resumed.is_some() && drained.is_some())
    }

    /// Says how long it took at the longest.
    pub(crate) fn recovered(&mut self, what: &str, longest: Recovery) {
        if longest.drains < Duration::MAX && longest.resumes < Duration::MAX {
            let (resumes, drains) = (longest.resumes.as_secs_f64(), longest.drains.as_secs_f64());
            self.judge(
                true,
                &format!("{what}: resumed within {resumes:.1} s, drained within {drains:.1} s"),
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

    /// What is committed by now.
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
    /// Nothing took any time yet.
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

/// An account's effects come in their order, so the last one tells of all.
fn reaches(made: &Versions, promised: &Versions) -> bool {
    promised
        .iter()
        .all(|(account, version)| made.get(account).is_some_and(|made| made >= version))
}
