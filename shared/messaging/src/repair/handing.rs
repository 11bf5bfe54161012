//! The consumer's side: events become held rows of its inbox, and lost checkpoints are followed.
//!
//! Guarantee: an event that the inbox has stays as it is. Events and their record are committed together.

use std::collections::BTreeSet;
use std::time::Duration;

use event::{Checkpoint, Envelope};
use sea_orm::{DbErr, Value};
use serde_json::json;
use store::sql;

use super::history::Stored;
use super::record::{self, By, Step};
use crate::checkpoint::Receiving;
use crate::inbox::{self, Entry, NotDone};
use crate::store::Store;
use crate::subscription::Subscriptions;
use crate::transaction::Transaction;
use crate::transport::Binding;

/// A consumer to repair.
#[derive(Clone)]
pub struct Repair {
    store: Store,
    consumer: &'static str,
    bindings: BTreeSet<Binding>,
    inbox_retention: Duration,
}

/// The fate of events that were handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// Held now, and handled soon.
    pub new: u64,
    /// The inbox had them.
    pub known: u64,
    /// The consumer does not subscribe to them.
    pub foreign: u64,
    /// New ones that are passed over in their turn, because their personal data was erased.
    pub erased: u64,
}

impl Repair {
    /// `store` is the consumer's own; its inbox remembers an event for `inbox_retention`.
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

    pub(super) fn takes(&self, event: &Stored) -> bool {
        let (exchange, key) = (&event.message.exchange, &event.message.routing_key);
        self.bindings
            .iter()
            .any(|binding| binding.takes(exchange, key))
    }

    /// Hands events over; known ones stay unchanged. With `dry_run` nothing changes.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: nothing has changed.
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

    /// An erased event is passed over in its turn.
    pub(super) async fn hold(
        &self,
        transaction: &Transaction,
        event: &Stored,
        event_id: &str,
    ) -> Result<bool, DbErr> {
        let held = match event.erased {
            true => NotDone::Discarded,
            false => NotDone::Deferred,
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

    pub(super) async fn mark(
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
        let states = events.iter().filter(|event| event.message.is_state());
        let states = states.map(|event| event::event_id(&event.message).to_string());
        let states: Vec<String> = states.collect();
        if states.is_empty() {
            return Ok(());
        }
        let stating = "
            UPDATE angarium_inbox SET is_state = true
            WHERE consumer = $1 AND event_id IN (SELECT {uuid list.event_id} FROM {list $2: event_id text})";
        sql::execute(transaction, stating, [self.consumer.into(), ids(states)]).await?;
        Ok(())
    }

    /// Follows a lost checkpoint as if it had just arrived. Its events that the inbox lacks are missing at once.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: nothing has changed.
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

    /// At most `limit` steps, oldest first, after the sequence `after`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn record(&self, after: i64, limit: u16) -> Result<Vec<Step>, DbErr> {
        let values = [self.consumer.into(), after.into(), i64::from(limit).into()];
        let rows = sql::query_all(self.store.connection(), record::STEPS, values).await?;
        rows.iter().map(record::step).collect()
    }
}

pub(super) fn ids(ids: impl IntoIterator<Item = String>) -> Value {
    let ids = ids.into_iter();
    let rows = ids.map(|id| [("event_id".to_owned(), json!(id))].into_iter().collect());
    sql::list(rows)
}
