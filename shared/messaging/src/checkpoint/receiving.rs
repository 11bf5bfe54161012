//! The consumer's side: follows each producer's checkpoints and records which of their events the inbox lacks.
//!
//! Guarantee: a checkpoint is followed in one transaction, under the lock of its stream. One statement compares its
//! events by the inbox's key. An event that the inbox may have forgotten is not compared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use event::{CHECKPOINT_TYPE, Checkpoint, Envelope, Message};
use prost::Message as _;
use sea_orm::{DbErr, Value};
use serde_json::json;
use store::sql;

use super::gaps;
use super::stream::{News, Stream};
use crate::retry::millis;
use crate::subscription::HandlerError;
use crate::transaction::Transaction;
use crate::transport::{Binding, topic};

pub(super) const SIGNAL: &str = "missing";

/// A producer is silent after this many of its intervals.
pub(super) const SILENT: i64 = 5;
/// For the difference of two clocks and the time between two rounds of retention.
const MARGIN: Duration = Duration::from_secs(3600);
pub(super) const LONGEST_INTERVAL_S: i64 = 24 * 3600;

pub(crate) struct Receiving {
    pub(crate) consumer: &'static str,
    pub(crate) bindings: BTreeSet<Binding>,
    /// From the checkpoint to the event.
    pub(crate) missing_after: Duration,
    pub(crate) inbox_retention: Duration,
}

pub(crate) fn read(message: &Message) -> Option<(String, Checkpoint)> {
    if message.event_type.as_deref() != Some(CHECKPOINT_TYPE) {
        return None;
    }
    let envelope = Envelope::from_message(message).ok()?;
    let checkpoint = decode(&message.body).ok()?;
    Some((envelope.source, checkpoint))
}

/// For a checkpoint that was held because its type was unknown.
pub(crate) fn decode(body: &[u8]) -> Result<Checkpoint, HandlerError> {
    let undecodable = |cause: String| HandlerError::reject(format!("undecodable: {cause}"));
    let checkpoint = Checkpoint::decode(body).map_err(|error| undecodable(error.to_string()))?;
    if checkpoint.number < 1 {
        let number = checkpoint.number;
        return Err(undecodable(format!(
            "a checkpoint with the number {number}"
        )));
    }
    if checkpoint
        .published
        .iter()
        .any(|of_type| of_type.ids().is_none())
    {
        return Err(undecodable("an event id that is no UUID".to_owned()));
    }
    Ok(checkpoint)
}

// A missing row cannot be locked, so it is inserted first.
const MAKE: &str = "/* checkpoint */
INSERT INTO angarium_checkpoint_stream
    (consumer, source, exchange, number, stamp, patterns, retention_s, received_at, silent_at)
VALUES ($1, $2, $3, 0, 0, '{}', 0, {time}, {time})
ON CONFLICT (consumer, source, exchange) DO NOTHING";

pub(super) const LOCK: &str = "/* checkpoint */
SELECT number, stamp, patterns, {now} AS now_ms FROM angarium_checkpoint_stream
WHERE consumer = $1 AND source = $2 AND exchange = $3 {for update}";

const FOLLOW: &str = "/* checkpoint */
UPDATE angarium_checkpoint_stream
SET number = $4, stamp = $5, patterns = $6, retention_s = $7, received_at = {time}, silent_at = {time + $8},
    diverged_at = CASE WHEN $9 THEN {time} ELSE diverged_at END,
    diverged_from = CASE WHEN NOT $9 THEN diverged_from
                         WHEN diverged_at IS NULL OR diverged_from > $4 THEN $4 ELSE diverged_from END
WHERE consumer = $1 AND source = $2 AND exchange = $3";

const HEARD: &str = "/* checkpoint */
UPDATE angarium_checkpoint_stream SET received_at = {time}, silent_at = {time + $4}
WHERE consumer = $1 AND source = $2 AND exchange = $3";

pub(super) const COMPARE: &str = "/* checkpoint */
INSERT INTO angarium_missing
    (consumer, event_id, source, exchange, event_type, routing_key, number, listed_at, due_at)
SELECT $1, {uuid list.event_id}, $2, $3, list.event_type, list.routing_key, $4, {time}, {time + $5}
FROM {list $6: event_id text, event_type text, routing_key text}
WHERE NOT EXISTS (
    SELECT 1 FROM angarium_inbox AS seen WHERE seen.consumer = $1 AND seen.event_id = {uuid list.event_id})
ON CONFLICT (consumer, event_id) DO UPDATE SET number = excluded.number
WHERE angarium_missing.number < excluded.number";

impl Receiving {
    pub(crate) async fn follow(
        &self,
        transaction: &Transaction,
        source: &str,
        checkpoint: &Checkpoint,
    ) -> Result<(), DbErr> {
        let key = [self.consumer, source, checkpoint.exchange.as_str()];
        let (mut stream, now_ms) = lock(transaction, key).await?;
        let of_exchange = |binding: &&Binding| binding.exchange == checkpoint.exchange;
        let bindings = self.bindings.iter().filter(of_exchange);
        let bindings = bindings.map(|binding| binding.pattern.as_str()).collect();
        let news = stream.follow(checkpoint.number, checkpoint.stamp, &bindings);
        self.write(transaction, key, &stream, checkpoint, news)
            .await?;
        report(key, checkpoint.number, news);
        if self.may_have_forgotten(checkpoint, now_ms) {
            tracing::warn!(
                producer = source,
                checkpoint = checkpoint.number,
                "a checkpoint lists events that are older than INBOX_RETENTION; they are not compared with the inbox"
            );
            return Ok(());
        }
        self.compare(transaction, key, &stream, checkpoint).await
    }

    async fn write(
        &self,
        transaction: &Transaction,
        key: [&str; 3],
        stream: &Stream,
        checkpoint: &Checkpoint,
        news: News,
    ) -> Result<(), DbErr> {
        let interval_s = checkpoint.interval_s.clamp(1, LONGEST_INTERVAL_S);
        let silent_ms = (interval_s * SILENT * 1000).into();
        if news == News::Earlier {
            let values = key.map(Into::into).into_iter().chain([silent_ms]);
            sql::execute(transaction, HEARD, values).await?;
            return gaps::fill(transaction, key, checkpoint.number).await;
        }
        let values = [
            stream.number.into(),
            stream.stamp.into(),
            json!(stream.patterns).to_string().into(),
            checkpoint.retention_s.into(),
            silent_ms,
            (news == News::Diverged).into(),
        ];
        let values = key.map(Into::into).into_iter().chain(values);
        sql::execute(transaction, FOLLOW, values).await?;
        match news {
            News::Gap(first, last) => {
                gaps::insert(transaction, key, (first, last), self.missing_after).await
            }
            News::Diverged => gaps::forget_after(transaction, key, checkpoint.number).await,
            News::Next | News::Earlier => Ok(()),
        }
    }

    async fn compare(
        &self,
        transaction: &Transaction,
        key: [&str; 3],
        stream: &Stream,
        checkpoint: &Checkpoint,
    ) -> Result<(), DbErr> {
        let expected: Vec<&str> = stream.expected(checkpoint.number).collect();
        let is_expected = |key: &str| expected.iter().any(|pattern| topic::matches(pattern, key));
        let of_types = checkpoint.published.iter();
        let rows = of_types
            .filter(|of_type| is_expected(&of_type.routing_key))
            .flat_map(|of_type| {
                let ids = of_type.ids().unwrap_or_default().into_iter();
                ids.map(|id| {
                    let columns = [
                        ("event_id", json!(id.to_string())),
                        ("event_type", json!(of_type.event_type)),
                        ("routing_key", json!(of_type.routing_key)),
                    ];
                    let columns = columns.map(|(name, value)| (name.to_owned(), value));
                    columns.into_iter().collect()
                })
            });
        let rows: Vec<serde_json::Map<_, _>> = rows.collect();
        if rows.is_empty() {
            return Ok(());
        }
        let values = [
            checkpoint.number.into(),
            millis(self.missing_after).into(),
            sql::list(rows),
        ];
        let values = key.map(Into::into).into_iter().chain(values);
        if sql::execute(transaction, COMPARE, values).await? > 0 {
            transaction.wake_on_commit(SIGNAL);
        }
        Ok(())
    }

    fn may_have_forgotten(&self, checkpoint: &Checkpoint, now_ms: i64) -> bool {
        let remembered = millis(self.inbox_retention.saturating_sub(MARGIN));
        !checkpoint.published.is_empty()
            && checkpoint.oldest_published_ms <= now_ms.saturating_sub(remembered)
    }
}

async fn lock(transaction: &Transaction, key: [&str; 3]) -> Result<(Stream, i64), DbErr> {
    let values = || key.map(Value::from);
    let mut row = sql::query_one(transaction, LOCK, values()).await?;
    if row.is_none() {
        sql::execute(transaction, MAKE, values()).await?;
        row = sql::query_one(transaction, LOCK, values()).await?;
    }
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a checkpoint's stream".to_owned()))?;
    let patterns: String = row.try_get("", "patterns")?;
    let patterns: BTreeMap<String, i64> =
        serde_json::from_str(&patterns).map_err(|error| DbErr::Type(error.to_string()))?;
    let stream = Stream {
        number: row.try_get("", "number")?,
        stamp: row.try_get("", "stamp")?,
        patterns,
    };
    Ok((stream, row.try_get("", "now_ms")?))
}

fn report([consumer, producer, exchange]: [&str; 3], number: i64, news: News) {
    match news {
        News::Next | News::Earlier => {
            tracing::debug!(
                consumer,
                producer,
                exchange,
                checkpoint = number,
                "checkpoint"
            );
        }
        // An error follows after the time in which they may still arrive.
        News::Gap(first, last) => tracing::warn!(
            consumer,
            producer,
            exchange,
            first,
            last,
            "checkpoints have not arrived, or arrive later"
        ),
        News::Diverged => tracing::error!(
            consumer,
            producer,
            exchange,
            checkpoint = number,
            "the producer numbers its checkpoints again from an earlier one: its database was restored, and it has lost events that it \
             had published. What to do: angarium reconcile divergence"
        ),
    }
}
