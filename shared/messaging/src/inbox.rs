//! What a consumer has seen and what it holds: the statements on `angarium_inbox`; `held.rs` has those on due events.
//!
//! Guarantee: an event is `done` if and only if its effect is committed. All others keep their message as it arrived.

use std::collections::HashMap;
use std::time::Duration;

use event::{Envelope, Message};
use sea_orm::{DbErr, Value};
use serde_json::json;
use uuid::Uuid;

use crate::retry::millis;
use crate::stored;
use crate::transaction::Transaction;
use store::sql;

pub(crate) mod erasure;
mod fingerprint;
pub(crate) mod held;
#[cfg(test)]
mod plans;
pub(crate) mod positions;
mod state;

pub(crate) use held::RetryLease;
pub(crate) use state::NotDone;

pub(crate) const SIGNAL: &str = "inbox";

const LOWEST_HELD: &str = "
SELECT min(aggregate_version) AS version FROM angarium_inbox
WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3
  AND state <> 'done' AND (state IN ('waiting', 'deferred', 'dead') OR state = 'discarded' AND settled_at IS NULL)";

const INDEXED: usize = 255;

/// An unreadable event has an id and a message, too.
pub(crate) struct Entry<'a> {
    pub(crate) consumer: &'a str,
    pub(crate) event_id: &'a str,
    pub(crate) envelope: Option<&'a Envelope>,
    pub(crate) message: &'a Message,
}

pub(crate) struct Handled<'a> {
    pub(crate) envelope: &'a Envelope,
    pub(crate) aggregate_type: &'a str,
}

const DONE: &str = "
INSERT INTO angarium_inbox (consumer, event_id, state, event_type, aggregate_type, aggregate_id, aggregate_version,
                            source, correlation_id, trace_id, received_at, settled_at)
SELECT $1, {uuid list.event_id}, 'done', list.event_type, list.aggregate_type, list.aggregate_id, list.version,
       list.source, list.correlation_id, list.trace_id, {time}, {time}
FROM {list $2: event_id text, event_type text, aggregate_type text, aggregate_id text, version bigint, source text, correlation_id text, trace_id text}
WHERE true
ON CONFLICT (consumer, event_id) DO NOTHING
RETURNING {text event_id} AS event_id, {ms received_at} AS received_at_ms";

/// Marks the events as done. Returns arrival times (Unix milliseconds) by id, without events that were seen before.
pub(crate) async fn first_times(
    transaction: &Transaction,
    consumer: &str,
    events: &[Handled<'_>],
) -> Result<HashMap<Uuid, i64>, DbErr> {
    if events.is_empty() {
        return Ok(HashMap::new());
    }
    let values = [consumer.into(), sql::list(events.iter().map(Handled::row))];
    let mut came = HashMap::new();
    for row in sql::query_all(transaction, DONE, values).await? {
        let id: String = row.try_get("", "event_id")?;
        let id = Uuid::parse_str(&id).map_err(|error| DbErr::Type(error.to_string()))?;
        came.insert(id, row.try_get("", "received_at_ms")?);
    }
    Ok(came)
}

impl Handled<'_> {
    fn row(&self) -> serde_json::Map<String, serde_json::Value> {
        let envelope = self.envelope;
        let columns = [
            ("event_id", json!(envelope.id.to_string())),
            ("event_type", json!(envelope.event_type)),
            ("aggregate_type", json!(self.aggregate_type)),
            ("aggregate_id", json!(envelope.aggregate_id)),
            ("version", json!(envelope.aggregate_version)),
            ("source", json!(envelope.source)),
            ("correlation_id", json!(envelope.correlation_id)),
            ("trace_id", json!(envelope.trace.trace_id())),
        ];
        let columns = columns.map(|(name, value)| (name.to_owned(), value));
        columns.into_iter().collect()
    }
}

/// An existing row stays unchanged.
pub(crate) async fn hold(
    transaction: &Transaction,
    entry: &Entry<'_>,
    state: NotDone,
    cause: Option<&str>,
    due_in_ms: Option<i64>,
) -> Result<bool, DbErr> {
    let inserted = sql::execute(
        transaction,
        "INSERT INTO angarium_inbox (consumer, event_id, state, event_type, aggregate_type, aggregate_id, aggregate_version,
                                     source, correlation_id, trace_id, exchange, routing_key, properties, body, cause,
                                     fingerprint, due_at, received_at, settled_at, first_failed_at, last_failed_at)
         VALUES ($1, {uuid $2}, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, {time + $17}, {time},
                 CASE WHEN $3 = 'skipped' THEN {time} END,
                 CASE WHEN $3 = 'dead' THEN {time} END, CASE WHEN $3 = 'dead' THEN {time} END)
         ON CONFLICT (consumer, event_id) DO NOTHING",
        columns(entry, state, cause, due_in_ms),
    )
    .await?;
    let is_new = inserted == 1;
    if is_new {
        transaction.wake_on_commit(SIGNAL);
    }
    Ok(is_new)
}

/// An existing row stays unchanged.
pub(crate) async fn await_type(
    transaction: &Transaction,
    entry: &Entry<'_>,
    left: Duration,
) -> Result<bool, DbErr> {
    if !hold(
        transaction,
        entry,
        NotDone::Waiting,
        None,
        Some(millis(left)),
    )
    .await?
    {
        return Ok(false);
    }
    let unknown = "UPDATE angarium_inbox SET unknown_until = due_at WHERE consumer = $1 AND event_id = {uuid $2}";
    let values = [entry.consumer.into(), entry.event_id.into()];
    sql::execute(transaction, unknown, values).await?;
    Ok(true)
}

/// A concurrent failure elsewhere counts as well.
pub(crate) async fn fail(
    transaction: &Transaction,
    entry: &Entry<'_>,
    state: NotDone,
    cause: &str,
    due_in_ms: Option<i64>,
) -> Result<(), DbErr> {
    sql::execute(
        transaction,
        "INSERT INTO angarium_inbox (consumer, event_id, state, event_type, aggregate_type, aggregate_id, aggregate_version,
                                     source, correlation_id, trace_id, exchange, routing_key, properties, body, cause,
                                     fingerprint, due_at, received_at, attempts, first_failed_at, last_failed_at)
         VALUES ($1, {uuid $2}, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, {time + $17}, {time},
                 1, {time}, {time})
         ON CONFLICT (consumer, event_id) DO UPDATE
         SET state = excluded.state, cause = excluded.cause, fingerprint = excluded.fingerprint, due_at = excluded.due_at,
             attempts = angarium_inbox.attempts + 1,
             first_failed_at = coalesce(angarium_inbox.first_failed_at, excluded.first_failed_at),
             last_failed_at = excluded.last_failed_at
         WHERE angarium_inbox.state IN ('deferred', 'waiting')",
        columns(entry, state, Some(cause), due_in_ms),
    )
    .await?;
    transaction.wake_on_commit(SIGNAL);
    Ok(())
}

fn columns(
    entry: &Entry<'_>,
    state: NotDone,
    cause: Option<&str>,
    due_in_ms: Option<i64>,
) -> [Value; 17] {
    let (envelope, message) = (entry.envelope, entry.message);
    // An index stores no more.
    let short = |text: Option<&str>| text.filter(|text| text.len() <= INDEXED).map(str::to_owned);
    let source = envelope.map_or_else(
        || short(message.app_id.as_deref()),
        |it| Some(it.source.clone()),
    );
    let correlation_id = envelope.map_or_else(
        || short(message.correlation_id.as_deref()),
        |it| Some(it.correlation_id.clone()),
    );
    let trace_id = envelope.and_then(|it| it.trace.trace_id());
    [
        entry.consumer.into(),
        entry.event_id.into(),
        state.as_str().into(),
        message.event_type.as_deref().into(),
        event::aggregate_type(&message.routing_key).into(),
        envelope
            .map(|envelope| envelope.aggregate_id.as_str())
            .into(),
        envelope
            .and_then(|envelope| envelope.aggregate_version)
            .into(),
        source.into(),
        correlation_id.into(),
        trace_id.into(),
        message.exchange.as_str().into(),
        message.routing_key.as_str().into(),
        stored::properties(message).into(),
        message.body.to_vec().into(),
        cause.into(),
        fingerprint::of(state, message.event_type.as_deref(), cause).into(),
        due_in_ms.into(),
    ]
}

pub(crate) async fn lowest_held(
    transaction: &Transaction,
    consumer: &str,
    aggregate_type: &str,
    aggregate_id: &str,
) -> Result<Option<i64>, DbErr> {
    let row = sql::query_one(
        transaction,
        LOWEST_HELD,
        [consumer.into(), aggregate_type.into(), aggregate_id.into()],
    )
    .await?;
    row.map_or(Ok(None), |row| row.try_get("", "version"))
}
