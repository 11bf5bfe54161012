//! The content of a checkpoint, read from the history to publish it, and again for a consumer that has lost it.

use std::collections::BTreeMap;
use std::time::Duration;

use event::{Checkpoint, Published};
use sea_orm::DbErr;

use super::CheckpointPace;
use super::taking::{self, Listed, Taken};
use crate::store::Store;

#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) source: String,
    pub(crate) pace: CheckpointPace,
    pub(crate) retention: Duration,
}

impl Listing {
    pub(crate) async fn read(
        &self,
        store: &Store,
        exchange: &str,
        first: i64,
        last: i64,
    ) -> Result<Vec<Checkpoint>, DbErr> {
        let mut checkpoints = Vec::new();
        for taken in taking::confirmed_ones(store, first, last).await? {
            let listed = taking::listed(store.connection(), &taken).await?;
            let of_exchange = listed.iter().filter(|event| event.exchange == exchange);
            checkpoints.push(self.checkpoint(&taken, exchange, of_exchange));
        }
        Ok(checkpoints)
    }

    pub(super) fn checkpoint<'a>(
        &self,
        taken: &Taken,
        exchange: &str,
        listed: impl Iterator<Item = &'a Listed>,
    ) -> Checkpoint {
        let mut by_type: BTreeMap<(&str, &str), Vec<Vec<u8>>> = BTreeMap::new();
        let mut oldest_ms = None;
        for event in listed {
            let kind = (event.event_type.as_str(), event.routing_key.as_str());
            by_type.entry(kind).or_default().push(event.id.into());
            let published = Some(event.published_ms);
            oldest_ms = published.into_iter().chain(oldest_ms).min();
        }
        let published = by_type.into_iter();
        let published = published.map(|((event_type, routing_key), event_ids)| Published {
            event_type: event_type.to_owned(),
            routing_key: routing_key.to_owned(),
            event_ids,
        });
        Checkpoint {
            exchange: exchange.to_owned(),
            number: taken.number,
            stamp: taken.stamp,
            oldest_published_ms: oldest_ms.unwrap_or(0),
            interval_s: seconds(self.pace.idle),
            retention_s: seconds(self.retention),
            published: published.collect(),
        }
    }
}

/// At least one: only tests have intervals below a second.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs().max(1)).unwrap_or(i64::MAX)
}
