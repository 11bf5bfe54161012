//! What the broker has lost is shown at the consumer, and handed over from the history of the producer (I10).

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use event::Published;
use messaging::Store;
use messaging::repair::{By, History, Repair, Selection};

use crate::deposit;
use crate::watch::Watch;

/// Longer than any run.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
/// For the checkpoints of what was published.
const SHOWN: Duration = Duration::from_secs(30);
const PAGE: u16 = 200;

/// Both sides of a repair.
pub(super) struct Repaired {
    history: History,
    repair: Repair,
}

impl Repaired {
    pub(super) fn new(watch: &Watch) -> Self {
        let producer = Store::new(watch.producer.clone());
        let consumer = Store::new(watch.consumer.clone());
        Self {
            history: History::new(producer, "producer", RETENTION),
            repair: Repair::new(consumer, &deposit::subscriptions(false), RETENTION),
        }
    }

    /// Waits until all events in `gone` are shown: as missing, or in a checkpoint that is. Returns how many are not.
    pub(super) async fn unseen(&self, gone: &HashSet<String>) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let shown = self.shown().await?;
            let unseen = gone.iter().filter(|id| !shown.contains(*id)).count();
            if unseen == 0 || begun.elapsed() > SHOWN {
                return Ok(unseen);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn shown(&self) -> Result<HashSet<String>> {
        let mut shown = HashSet::new();
        let mut after = None;
        loop {
            let page = self.repair.missing(after, PAGE).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = Some(last.event_id.parse()?);
            shown.extend(page.into_iter().map(|event| event.event_id));
        }
        for gap in self.repair.checkpoint_gaps(PAGE).await? {
            let lost = self
                .history
                .checkpoints(&gap.exchange, gap.first, gap.last)
                .await?;
            let of_types = lost.iter().flat_map(|checkpoint| &checkpoint.published);
            let ids = of_types.filter_map(Published::ids).flatten();
            shown.extend(ids.map(|id| id.to_string()));
        }
        Ok(shown)
    }

    /// Hands everything over that is shown to be missing. Returns how many events.
    pub(super) async fn hand_over(&self) -> Result<u64> {
        let by = By {
            actor: "the run".to_owned(),
            reason: "its queue was deleted".to_owned(),
        };
        for gap in self.repair.checkpoint_gaps(PAGE).await? {
            let lost = self
                .history
                .checkpoints(&gap.exchange, gap.first, gap.last)
                .await?;
            for checkpoint in &lost {
                self.repair.follow(&gap.source, checkpoint).await?;
            }
        }
        let mut handed = 0;
        loop {
            let missing = self.repair.missing(None, PAGE).await?;
            let numbers: BTreeSet<i64> = missing.iter().map(|event| event.checkpoint).collect();
            let before = handed;
            for number in numbers {
                let mut after = Some(0);
                while let Some(position) = after {
                    let of_checkpoint = Selection::Checkpoint(number);
                    let page = self.history.page(&of_checkpoint, position, PAGE).await?;
                    handed += self.repair.hand_over(&page.events, &by, false).await?.new;
                    after = page.next;
                }
            }
            if handed == before {
                return Ok(handed);
            }
        }
    }
}
