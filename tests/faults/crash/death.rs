//! One death and the recovery from it, again and again: what must come twice after it does, and what was promised is there.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use messaging::faults;
use testkit::{BrokerKind, StoreKind};

use super::left::Left;
use crate::checker::Verdict;
use crate::world::World;

/// Whether something must be delivered again after a death here. What was published is with RabbitMQ by then; the embedded
/// broker writes only when its answer is waited for, so there `confirmed` is the first such point.
fn must_come_twice(point: &str, broker: BrokerKind) -> bool {
    matches!(point, "confirmed" | "done")
        || (point == "published" && broker == BrokerKind::RabbitMq)
}

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
                .once(&mut world, &run, passage, patience)
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
        run: &str,
        passage: u32,
        patience: u64,
    ) -> Result<Verdict> {
        let patience = patience.to_string();
        let mut args = vec!["--patience", &patience];
        if self.each {
            args.push("--each");
        }
        let recovering = world.ledger(run, &args)?;
        if self.point == "stopping" {
            args.push("--stop-early");
        }
        let mut dying = world.ledger(run, &args)?;
        dying.env(faults::CRASH_AT, format!("{}:{passage}", self.point));
        let died = world.run(dying).await?;
        ensure!(
            died.crashed,
            "it did not come to this passage, so it proves nothing"
        );
        let left = Left::of(world).await?;
        let recovered = world.run(recovering).await?;
        let mut verdict = world.verdict(run, !self.each).await?;
        if !left.forgotten.is_empty() {
            println!(
                "{run}: acknowledged and not there after the death: {:?}",
                left.forgotten
            );
            verdict.lost += left.forgotten.len();
        }
        ensure!(
            !recovered.was_quiet()
                || verdict.redelivered > 0
                || !must_come_twice(self.point, self.broker),
            "nothing was delivered again: {verdict}"
        );
        Ok(verdict)
    }
}
