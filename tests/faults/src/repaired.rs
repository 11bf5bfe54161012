//! Both sides of a repair, and the check of I10: each published event is in the consumer's inbox, or is shown to be missing.
//!
//! The repair uses the functions that `angarium reconcile` calls through the services.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use event::Published;
use messaging::Store;
use messaging::repair::{By, History, Repair, Selection};

use crate::deposit;
use crate::tables;
use crate::watch::Watch;

/// Longer than any run.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
/// The time for the checkpoints of what was published.
const SHOWN: Duration = Duration::from_secs(30);
const PAGE: u16 = 200;

/// Both sides of a repair.
pub(crate) struct Repaired {
    pub(crate) history: History,
    pub(crate) repair: Repair,
    producer: store::Database,
    consumer: store::Database,
}

impl Repaired {
    pub(crate) fn new(watch: &Watch) -> Self {
        Self::of(&watch.producer, &watch.consumer)
    }

    pub(crate) fn of(producer: &store::Database, consumer: &store::Database) -> Self {
        let (source, subscriptions) = ("producer", deposit::subscriptions(false));
        Self {
            history: History::new(Store::new(producer.clone()), source, RETENTION),
            repair: Repair::new(Store::new(consumer.clone()), &subscriptions, RETENTION),
            producer: producer.clone(),
            consumer: consumer.clone(),
        }
    }

    /// Waits until all events in `gone` are shown: as missing, or in a checkpoint that is. Returns how many are not.
    pub(crate) async fn unshown(&self, gone: &HashSet<String>) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let shown = self.shown().await?;
            let unshown = gone.iter().filter(|id| !shown.contains(*id)).count();
            if unshown == 0 || begun.elapsed() > SHOWN {
                return Ok(unshown);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The published events that are not in the inbox.
    pub(crate) async fn lacking(&self) -> Result<HashSet<String>> {
        let ids = async |db, reading| {
            let rows = tables::rows(db, reading, []).await?;
            let ids = rows.iter().map(|row| row.try_get("", "event_id"));
            anyhow::Ok(ids.collect::<Result<HashSet<String>, _>>()?)
        };
        let published = "SELECT {text event_id} AS event_id FROM angarium_outbox_history";
        let received = "SELECT {text event_id} AS event_id FROM angarium_inbox";
        let received = ids(&self.consumer, received).await?;
        let published = ids(&self.producer, published).await?;
        Ok(published.difference(&received).cloned().collect())
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

    /// Hands over everything that is shown to be missing. Returns how many events were new.
    pub(crate) async fn hand_over(&self) -> Result<u64> {
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
                handed += self.hand_over_all(&Selection::Checkpoint(number)).await?;
            }
            if handed == before {
                return Ok(handed);
            }
        }
    }

    /// Hands these events over, also those that have arrived. Returns how many were new.
    pub(crate) async fn hand_over_all(&self, selection: &Selection) -> Result<u64> {
        let (mut handed, mut after) = (0, Some(0));
        while let Some(position) = after {
            let page = self.history.page(selection, position, PAGE).await?;
            handed += self.repair.hand_over(&page.events, &by(), false).await?.new;
            after = page.next;
        }
        Ok(handed)
    }
}

/// The operator.
pub(crate) fn by() -> By {
    By {
        actor: "the run".to_owned(),
        reason: "events were lost".to_owned(),
    }
}
