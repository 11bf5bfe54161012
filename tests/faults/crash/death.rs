//! One death and the recovery from it, again and again: what must come twice after it does, and what was promised is there.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use messaging::faults;
use testkit::{BrokerKind, StoreKind};

use super::copies::Copies;
use super::left::Left;
use crate::checker::Verdict;
use crate::ledger::OFTEN;
use crate::world::World;

/// Whether a death here leaves an event with the broker that is not marked, so that it is published again. The embedded broker
/// takes nothing before its answer is waited for: what is lost at `published` was in this process's memory only, so there
/// `confirmed` is the first such point.
fn is_published_twice(point: &str, broker: BrokerKind) -> bool {
    point == "confirmed" || (point == "published" && broker == BrokerKind::RabbitMq)
}

/// Whether a death here leaves an effect whose delivery is not acknowledged, so that it is delivered again.
fn is_delivered_again(point: &str) -> bool {
    point == "done"
}

/// Points that are passed only where handlers fail.
fn takes_failures(point: &str) -> bool {
    matches!(point, "noted" | "taken")
}

/// Enough failures for each passage. What was in a dead worker's hands is taken up again only a while after the time that a
/// handler may take, which is short here so that the run is not long.
const FAILURES: [&str; 4] = ["--handler-failures", "40", "--handler-time-out", "1"];

/// Where it dies, and on what.
pub(super) struct Death {
    pub(super) point: &'static str,
    pub(super) store: StoreKind,
    pub(super) broker: BrokerKind,
    /// Whether each event is handled on its own.
    pub(super) each: bool,
}

impl Death {
    /// Again and again in the same world. The last verdict covers all of it.
    pub(super) async fn repeated(
        &self,
        repeats: Range<u32>,
        seed: u64,
        patience: u64,
    ) -> Result<Verdict> {
        let mut world = World::new(self.store, self.broker).await?;
        let mut copies = None;
        if is_published_twice(self.point, self.broker) {
            copies = Some(Copies::bind(&world).await?);
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
                .once(&mut world, &mut copies, &run, passage, patience)
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
        world: &mut World,
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
        let recovering = world.ledger(run, &args)?;
        if self.point == "stopping" {
            args.push("--stop-early");
        }
        let mut dying = world.ledger(run, &args)?;
        dying.env(faults::CRASH_AT, format!("{}:{passage}", self.point));
        let died = world.run(dying).await?;
        let left = Left::of(world, run).await?;
        let recovered = world.run(recovering).await?;
        let mut verdict = world.verdict(run, !self.each).await?;
        if !died.crashed {
            // An engine that loses all events at once never comes to the passage.
            ensure!(
                !verdict.passes(),
                "it did not come to this passage, so it proves nothing"
            );
            return Ok(verdict);
        }
        if !left.forgotten.is_empty() {
            println!(
                "{run}: acknowledged and not there after the death: {:?}",
                left.forgotten
            );
            verdict.lost += left.forgotten.len();
        }
        if recovered.was_quiet() {
            if let Some(copies) = copies {
                let twice = copies.read(world).await?;
                ensure!(twice > 0, "nothing was published twice: {verdict}");
            }
            if is_delivered_again(self.point) {
                let again = left.effects_of_what_came_again(world, run).await?;
                ensure!(
                    !again.is_empty(),
                    "nothing that had its effect was delivered again: {verdict}"
                );
                verdict.wrong += again.values().filter(|effects| **effects != 1).count();
            }
        }
        Ok(verdict)
    }
}
