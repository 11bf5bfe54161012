//! The consumer's side: events become held rows of its inbox, lost checkpoints are followed, and gaps that nothing can fill are skipped.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use event::{Checkpoint, Envelope};
use sea_orm::{DbErr, Value};
use serde_json::json;
use store::sql;

use super::history::Stored;
use super::record::{self, By, Step};
use crate::checkpoint::Receiving;
use crate::inbox::positions::{self, Moved};
use crate::inbox::{self, Entry, Held};
use crate::store::Store;
use crate::subscription::Subscriptions;
use crate::transaction::Transaction;
use crate::transport::Binding;

/// A consumer that is to be repaired.
#[derive(Clone)]
pub struct Repair {
    store: Store,
    consumer: &'static str,
    bindings: BTreeSet<Binding>,
    inbox_retention: Duration,
}

/// What became of events that were handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// They are held now, and handled soon.
    pub new: u64,
    /// The inbox had them.
    pub known: u64,
    /// The consumer does not subscribe to them.
    pub foreign: u64,
    /// Of the new ones: their personal data was erased, so they are passed over in their turn.
    pub erased: u64,
}

impl Repair {
    /// The consumer with these subscriptions, in its own database, which remembers an event for `inbox_retention`.
    pub fn new(store: Store, subscriptions: &Subscriptions, inbox_retention: Duration) -> Self {
        Self {
            store,
            consumer: subscriptions.consumer(),
            bindings: subscriptions.bindings().clone(),
            inbox_retention,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn consumer(&self) -> &'static str {
        self.consumer
    }

    /// Whether the consumer's queue is bound for the event.
    fn takes(&self, event: &Stored) -> bool {
        let (exchange, key) = (&event.message.exchange, &event.message.routing_key);
        self.bindings
            .iter()
            .any(|binding| binding.takes(exchange, key))
    }

    /// Hands events over. One that is in the inbox already stays as it is there. With `dry_run` nothing changes.
    ///
    /// # Errors
    /// Where the database refuses or is away: then nothing has changed.
    pub async fn hand_over(
        &self,
        events: &[Stored],
        by: &By,
        dry_run: bool,
    ) -> Result<Handed, DbErr> {
        let transaction = self.store.begin().await?;
        let (mut handed, mut new) = (Handed::default(), Vec::new());
        for event in events {
            let event_id = event::event_id(&event.message).to_string();
            if !self.takes(event) {
                handed.foreign += 1;
            } else if self.hold(&transaction, event, &event_id).await? {
                handed.new += 1;
                handed.erased += u64::from(event.erased);
                new.push(event_id);
            } else {
                handed.known += 1;
            }
        }
        if dry_run {
            transaction.rollback().await?;
            return Ok(handed);
        }
        self.mark(&transaction, new, events).await?;
        if handed.new > 0 {
            let first = events.first().map_or("", |event| &event.message.exchange);
            let detail = format!("events of {first}");
            record::keep(
                &transaction,
                self.consumer,
                record::HANDED_OVER,
                &detail,
                handed.new,
                by,
            )
            .await?;
        }
        transaction.commit().await?;
        Ok(handed)
    }

    /// An erased one is passed over in its turn.
    async fn hold(
        &self,
        transaction: &Transaction,
        event: &Stored,
        event_id: &str,
    ) -> Result<bool, DbErr> {
        let held = match event.erased {
            true => Held::Discarded,
            false => Held::Deferred,
        };
        let envelope = Envelope::from_message(&event.message).ok();
        let entry = Entry {
            consumer: self.consumer,
            event_id,
            envelope: envelope.as_ref(),
            message: &event.message,
        };
        inbox::hold(transaction, &entry, held, None, Some(0)).await
    }

    /// Marks the new ones as handed over, and takes from the list of what is missing what the inbox has.
    async fn mark(
        &self,
        transaction: &Transaction,
        new: Vec<String>,
        events: &[Stored],
    ) -> Result<(), DbErr> {
        let marking = "
            UPDATE angarium_inbox SET repaired_at = {time}
            WHERE consumer = $1 AND event_id IN (SELECT {uuid list.event_id} FROM {list $2: event_id text})";
        sql::execute(transaction, marking, [self.consumer.into(), ids(new)]).await?;
        let all = events
            .iter()
            .map(|event| event::event_id(&event.message).to_string());
        let found = "
            DELETE FROM angarium_missing
            WHERE consumer = $1 AND event_id IN (SELECT {uuid list.event_id} FROM {list $2: event_id text})
              AND EXISTS (SELECT 1 FROM angarium_inbox AS seen
                          WHERE seen.consumer = angarium_missing.consumer AND seen.event_id = angarium_missing.event_id)";
        sql::execute(transaction, found, [self.consumer.into(), ids(all)]).await?;
        Ok(())
    }

    /// Follows a checkpoint that was lost, as if it had come now. Its events that the inbox does not have are missing at once.
    ///
    /// # Errors
    /// Where the database refuses or is away: then nothing has changed.
    pub async fn follow(&self, source: &str, checkpoint: &Checkpoint) -> Result<(), DbErr> {
        let receiving = Receiving {
            consumer: self.consumer,
            bindings: self.bindings.clone(),
            missing_after: Duration::ZERO,
            inbox_retention: self.inbox_retention,
        };
        let transaction = self.store.begin().await?;
        receiving.follow(&transaction, source, checkpoint).await?;
        transaction.commit().await
    }

    /// Gives up the versions before the first one of an aggregate that waits, so that it is handled. `false` where nothing waits behind
    /// a gap.
    ///
    /// # Errors
    /// Where the database refuses or is away: then nothing has changed.
    pub async fn skip_versions(&self, kind: &str, id: &str, by: &By) -> Result<bool, DbErr> {
        let transaction = self.store.begin().await?;
        let aggregate = (kind.to_owned(), id.to_owned());
        let position = positions::lock(&transaction, self.consumer, [aggregate.clone()]).await?;
        let position = position.get(&aggregate).copied().unwrap_or(0);
        let lowest = inbox::lowest_held(&transaction, self.consumer, kind, id).await?;
        let Some(waits) = lowest.filter(|waits| *waits > position + 1) else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let moved = Moved {
            version: waits - 1,
            events: 1,
        };
        positions::advance(
            &transaction,
            self.consumer,
            &HashMap::from([(aggregate, moved)]),
        )
        .await?;
        let detail = format!("versions {} to {} of {kind} {id}", position + 1, waits - 1);
        let versions = u64::try_from(waits - 1 - position).unwrap_or(0);
        record::keep(
            &transaction,
            self.consumer,
            record::SKIPPED,
            &detail,
            versions,
            by,
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives up checkpoints that have not come, from `first` to `last`. `false` where no gap begins with `first`.
    ///
    /// # Errors
    /// Where the database refuses or is away: then nothing has changed.
    pub async fn skip_checkpoints(
        &self,
        source: &str,
        exchange: &str,
        first: i64,
        by: &By,
    ) -> Result<bool, DbErr> {
        let skipping = "
            DELETE FROM angarium_checkpoint_gap
            WHERE consumer = $1 AND source = $2 AND exchange = $3 AND first_number = $4 RETURNING last_number";
        let values = [
            self.consumer.into(),
            source.into(),
            exchange.into(),
            first.into(),
        ];
        let transaction = self.store.begin().await?;
        let Some(row) = sql::query_one(&transaction, skipping, values).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let last: i64 = row.try_get("", "last_number")?;
        let detail = format!("checkpoints {first} to {last} of {source} on {exchange}");
        record::keep(&transaction, self.consumer, record::SKIPPED, &detail, 0, by).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives up a missing event, which its producer does not have any more. `false` where it is not missing.
    ///
    /// # Errors
    /// Where the database refuses or is away: then nothing has changed.
    pub async fn skip_event(&self, event_id: uuid::Uuid, by: &By) -> Result<bool, DbErr> {
        let skipping = "DELETE FROM angarium_missing WHERE consumer = $1 AND event_id = {uuid $2}";
        let transaction = self.store.begin().await?;
        let values = [self.consumer.into(), event_id.to_string().into()];
        if sql::execute(&transaction, skipping, values).await? == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let detail = format!("event {event_id}");
        record::keep(&transaction, self.consumer, record::SKIPPED, &detail, 1, by).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends the alert about a producer that has lost events with its database. `false` where it has not.
    ///
    /// # Errors
    /// Where the database refuses or is away: then nothing has changed.
    pub async fn accept_divergence(&self, source: &str, by: &By) -> Result<bool, DbErr> {
        let accepting = "
            UPDATE angarium_checkpoint_stream SET diverged_at = NULL
            WHERE consumer = $1 AND source = $2 AND diverged_at IS NOT NULL";
        let transaction = self.store.begin().await?;
        let values = [self.consumer.into(), source.into()];
        if sql::execute(&transaction, accepting, values).await? == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let detail = format!("the divergence of {source}");
        record::keep(
            &transaction,
            self.consumer,
            record::ACCEPTED,
            &detail,
            0,
            by,
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// At most `limit` steps of repairs of this consumer, oldest first, those after the sequence `after`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn record(&self, after: i64, limit: u16) -> Result<Vec<Step>, DbErr> {
        let values = [self.consumer.into(), after.into(), i64::from(limit).into()];
        let rows = sql::query_all(self.store.connection(), record::STEPS, values).await?;
        rows.iter().map(record::step).collect()
    }
}

fn ids(ids: impl IntoIterator<Item = String>) -> Value {
    let ids = ids.into_iter();
    let rows = ids.map(|id| [("event_id".to_owned(), json!(id))].into_iter().collect());
    sql::list(rows)
}
