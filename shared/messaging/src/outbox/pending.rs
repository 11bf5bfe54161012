//! Reads the rows that the relay may publish next.
//!
//! Guarantee: rows are found by their state, never by a cursor, so a late commit is not missed. Events that the broker
//! did not take, and those behind them, are set aside: they are read again when due, and other queries skip them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use event::{Envelope, Message, TraceContext};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use super::BEHIND;
use crate::bounds::{Bound, TimeForm};
use store::sql;

pub(crate) fn due_in_ms() -> &'static str {
    "SELECT CASE
    WHEN (SELECT min(sequence) FROM angarium_outbox WHERE held_until IS NULL AND set_aside_at IS NULL) IS NOT NULL THEN 0
    ELSE (SELECT {ms min(at)} - {now} FROM (
        SELECT min(due_at) AS at FROM angarium_outbox WHERE set_aside_at IS NOT NULL
        UNION ALL SELECT min(held_until) FROM angarium_outbox WHERE held_until IS NOT NULL) AS next) END"
}

/// The index cannot find both the due ones and those too far ahead in one search, so a separate worker corrects the
/// latter.
pub(crate) fn bound() -> Bound {
    Bound {
        table: "angarium_outbox",
        key: "sequence",
        column: "due_at",
        form: TimeForm::Native,
        rows: "set_aside_at IS NOT NULL".to_owned(),
        longest: BEHIND,
        instead: Duration::ZERO,
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) sequence: i64,
    pub(crate) aggregate_type: String,
    pub(crate) attempts: i32,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) may_be_unrouted: bool,
    pub(crate) envelope: Envelope,
    pub(crate) payload: Bytes,
    pub(crate) had_waited: Duration,
    pub(crate) read_at: Instant,
    pub(crate) was_aside: bool,
    /// Unix milliseconds, since no queue takes it.
    pub(crate) unroutable_since_ms: Option<i64>,
}

impl Pending {
    pub(crate) fn message(&self) -> Message {
        let mut message =
            self.envelope
                .to_message(&self.exchange, &self.routing_key, self.payload.clone());
        message.set_published_ms(self.now_ms());
        message
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let waited_ms = i64::try_from(self.waited().as_millis()).unwrap_or(0);
        self.envelope.time_ms.saturating_add(waited_ms)
    }

    pub(crate) fn waited(&self) -> Duration {
        self.had_waited + self.read_at.elapsed()
    }
}

pub(crate) type Aggregate = (String, String);

pub(crate) struct Look {
    pub(crate) pending: Vec<Pending>,
    /// Behind one that the broker did not take.
    pub(crate) behind: Vec<i64>,
    /// An earlier row of the aggregate committed late and lies before the start of the query.
    pub(crate) has_gaps: bool,
    /// Negative if it is due; `None` without a timer.
    pub(crate) timer_in_ms: Option<i64>,
}

pub(crate) struct Wanted {
    pub(crate) limit: usize,
    /// Only later sequences, except set-aside rows. Zero for a complete query.
    pub(crate) after: i64,
    pub(crate) except: Vec<i64>,
    pub(crate) but: Vec<Aggregate>,
}

/// Oldest first: ready rows, and due set-aside ones, by one reading of the clock. The next timer comes along, so that a
/// relay needs one round trip.
///
/// A row waits behind a set-aside one of its aggregate, because no event may overtake one that the broker did not take.
/// A row is left out while an earlier one, which the relay does not have, is before the start of the query.
pub(crate) async fn look(
    db: &impl ConnectionTrait,
    source: &str,
    wanted: &Wanted,
) -> Result<Look, DbErr> {
    // Any number of aggregates is one parameter.
    let but = wanted.but.iter().map(|(kind, id)| format!("{kind} {id}"));
    let values = [
        i64::try_from(wanted.limit).unwrap_or(i64::MAX).into(),
        wanted.after.into(),
        sql::numbers(wanted.except.iter().copied()),
        sql::texts(but),
    ];
    let rows = sql::query_all(db, &look_sql(), values).await?;
    let timer_in_ms = rows
        .first()
        .map_or(Ok(None), |row| row.try_get("", "timer_in_ms"))?;
    let (mut pending, mut behind) = (Vec::with_capacity(rows.len()), Vec::new());
    let mut has_gaps = false;
    for row in &rows {
        // If nothing is pending, one row has only the timer.
        let Some(sequence) = row.try_get::<Option<i64>>("", "sequence")? else {
            continue;
        };
        if row.try_get("", "is_behind")? {
            behind.push(sequence);
        } else if row.try_get("", "is_after_gap")? {
            has_gaps = true;
        } else {
            pending.push(read(row, source)?);
        }
    }
    Ok(Look {
        pending,
        behind,
        has_gaps,
        timer_in_ms,
    })
}

const COLUMNS: &str = "sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type,
    aggregate_id, aggregate_version, payload, correlation_id, traceparent, tracestate, baggage, created_at, attempts,
    set_aside_at, unroutable_since";

/// Two searches on two indexes, each with its own limit, so that the search for ready rows does not skip set-aside
/// ones.
const LOOK: &str = "
WITH ready AS MATERIALIZED (
         SELECT {columns}
         FROM angarium_outbox
         WHERE held_until IS NULL AND set_aside_at IS NULL AND sequence > $2
           AND sequence {not in numbers $3} AND aggregate_type || ' ' || aggregate_id {not in texts $4}
         ORDER BY sequence LIMIT $1),
     again AS MATERIALIZED (
         SELECT {columns}
         FROM angarium_outbox
         WHERE set_aside_at IS NOT NULL AND due_at <= {time}
           AND sequence {not in numbers $3} AND aggregate_type || ' ' || aggregate_id {not in texts $4}
         ORDER BY due_at LIMIT $1)
SELECT sequence, {text event_id} AS event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type,
       aggregate_id, aggregate_version, payload, correlation_id, traceparent, tracestate, baggage, attempts,
       {ms created_at} AS created_at_ms, {ms unroutable_since} AS unroutable_since_ms,
       set_aside_at IS NOT NULL AS was_aside, {now} - {ms created_at} AS waited_ms,
       {ms (SELECT min(held_until) FROM angarium_outbox WHERE held_until IS NOT NULL)} - {now} AS timer_in_ms,
       EXISTS (
           SELECT 1 FROM angarium_outbox AS earlier
           WHERE earlier.set_aside_at IS NOT NULL
             AND earlier.aggregate_type = due.aggregate_type AND earlier.aggregate_id = due.aggregate_id
             AND earlier.aggregate_version < due.aggregate_version) AS is_behind,
       EXISTS (
           SELECT 1 FROM angarium_outbox AS earlier
           WHERE earlier.sequence <= $2 AND earlier.sequence {not in numbers $3}
             AND earlier.aggregate_type = due.aggregate_type AND earlier.aggregate_id = due.aggregate_id
             AND earlier.aggregate_version < due.aggregate_version) AS is_after_gap
FROM (SELECT 1 AS one) AS always LEFT JOIN (
    SELECT {columns} FROM ready UNION ALL SELECT {columns} FROM again) AS due ON true
ORDER BY sequence";

pub(super) fn look_sql() -> String {
    LOOK.replace("{columns}", COLUMNS)
}

fn read(row: &QueryResult, source: &str) -> Result<Pending, DbErr> {
    let event_id: String = row.try_get("", "event_id")?;
    let waited_ms: i64 = row.try_get("", "waited_ms")?;
    Ok(Pending {
        sequence: row.try_get("", "sequence")?,
        aggregate_type: row.try_get("", "aggregate_type")?,
        attempts: row.try_get("", "attempts")?,
        exchange: row.try_get("", "exchange")?,
        routing_key: row.try_get("", "routing_key")?,
        may_be_unrouted: row.try_get("", "may_be_unrouted")?,
        envelope: Envelope {
            id: Uuid::parse_str(&event_id).map_err(|error| DbErr::Type(error.to_string()))?,
            event_type: row.try_get("", "event_type")?,
            source: source.to_owned(),
            time_ms: row.try_get("", "created_at_ms")?,
            aggregate_id: row.try_get("", "aggregate_id")?,
            aggregate_version: Some(row.try_get("", "aggregate_version")?),
            correlation_id: row.try_get("", "correlation_id")?,
            trace: TraceContext {
                traceparent: row.try_get("", "traceparent")?,
                tracestate: row.try_get("", "tracestate")?,
                baggage: row.try_get("", "baggage")?,
            },
        },
        payload: row.try_get::<Vec<u8>>("", "payload")?.into(),
        had_waited: Duration::from_millis(u64::try_from(waited_ms).unwrap_or(0)),
        read_at: Instant::now(),
        was_aside: row.try_get("", "was_aside")?,
        unroutable_since_ms: row.try_get("", "unroutable_since_ms")?,
    })
}
