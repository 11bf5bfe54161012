//! An abort and the recovery from it, repeated: what must come twice afterwards does, and what was acknowledged is there.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use testkit::{BrokerKind, StoreKind};

use super::copies::Copies;
use super::left::Left;
use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::workload::OFTEN;

/// Whether an abort here leaves an event that the broker has and the outbox does not know to be published: it is published again.
/// The embedded broker takes a message only when its answer is awaited. At `published` the message was still in the memory of
/// the process, so there `confirmed` is the first such point.
fn is_published_twice(point: &str, broker: BrokerKind) -> bool {
    point == "confirmed" || (point == "published" && broker == BrokerKind::RabbitMq)
}

/// Whether an abort here leaves an effect without an acknowledged delivery: the event is delivered again.
fn is_delivered_again(point: &str) -> bool {
    point == "done"
}

/// Points that are passed only if handlers fail.
fn takes_failures(point: &str) -> bool {
    matches!(point, "noted" | "taken")
}

/// Enough failures to reach each passage. Other workers take over the events of a dead worker only after the time-out of its
/// handler, which is short here to keep the run short.
const FAILURES: [&str; 4] = ["--handler-failures", "40", "--handler-time-out", "1"];

/// The point, and the system that aborts there.
pub(super) struct Death {
    pub(super) point: &'static str,
    pub(super) store: StoreKind,
    pub(super) broker: BrokerKind,
    /// Whether each event is handled on its own.
    pub(super) each: bool,
}

impl Death {
    /// Repeats it in the same fixture. The last verdict covers all repeats.
    pub(super) async fn repeated(
        &self,
        repeats: Range<u32>,
        seed: u64,
        patience: u64,
    ) -> Result<Verdict> {
        let mut fixture = Fixture::new(self.store, self.broker).await?;
        let mut copies = None;
        if is_published_twice(self.point, self.broker) {
            copies = Some(Copies::bind(&fixture).await?);
        }
        let mut random = fastrand::Rng::with_seed(seed + u64::from(repeats.start));
        let mut verdict = Verdict::default();
        let mut redelivered = 0;
        for repeat in repeats {
            let run = format!("{seed}-{repeat}");
            let passage = if self.point == "stopping" {
                1
            } else {
                random.u32(1..=3)
            };
            let passed = format!("{run} {}:{passage}", self.point);
            verdict = self
                .once(&mut fixture, &mut copies, &run, passage, patience)
                .await
                .with_context(|| passed.clone())?;
            redelivered += verdict.redelivered;
            if !verdict.passes() {
                println!("{passed} {:?} {:?}: {verdict}", self.store, self.broker);
                break;
            }
        }
        verdict.redelivered = redelivered;
        Ok(verdict)
    }

    async fn once(
        &self,
        fixture: &mut Fixture,
        copies: &mut Option<Copies>,
        run: &str,
        passage: u32,
        patience: u64,
    ) -> Result<Verdict> {
        let patience = patience.to_string();
        let mut args = vec!["--patience", &patience];
        args.extend(OFTEN);
        if self.each {
            args.push("--each");
        }
        if takes_failures(self.point) {
            args.extend(FAILURES);
        }
        let recovering = fixture.workload(run, &args)?;
        if self.point == "stopping" {
            args.push("--stop-early");
        }
        let mut dying = fixture.workload(run, &args)?;
        dying.env(switches::CRASH_AT, format!("{}:{passage}", self.point));
        let died = fixture.run(dying).await?;
        let left = Left::of(fixture, run).await?;
        let recovered = fixture.run(recovering).await?;
        let mut verdict = fixture.verdict(run, !self.each).await?;
        if !died.crashed {
            // An engine that loses all events never reaches the passage.
            ensure!(
                !verdict.passes(),
                "the process did not reach this passage of the point, so the run proves nothing"
            );
            return Ok(verdict);
        }
        if !left.forgotten.is_empty() {
            println!(
                "{run}: acknowledged, and missing after the abort: {:?}",
                left.forgotten
            );
            verdict.lost += left.forgotten.len();
        }
        if recovered.was_quiet() {
            if let Some(copies) = copies {
                let twice = copies.read(fixture).await?;
                ensure!(
                    twice > 0,
                    "no event was published twice, so the run proves nothing: {verdict}"
                );
            }
            if is_delivered_again(self.point) {
                let again = left.effects_of_what_came_again(fixture, run).await?;
                ensure!(
                    !again.is_empty(),
                    "no event with an effect was delivered again, so the run proves nothing: {verdict}"
                );
                verdict.wrong += again.values().filter(|effects| **effects != 1).count();
            }
        }
        Ok(verdict)
    }
}
