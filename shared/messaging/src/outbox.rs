//! Events that are promised but not yet published: the one way to publish, and the relay's view of the table.
//!
//! Guarantee: an event is there if and only if the transaction that enqueued it has committed. Rows are found by their state,
//! never by a cursor, so one that commits late is not passed over.

use std::time::{Duration, Instant};

use bytes::Bytes;
use event::{Envelope, Event, MAX_BODY_BYTES, Message, TraceContext};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use crate::retry::millis;
use crate::store::Transaction;
use crate::{faults, sql, telemetry, trace};

/// The signal that a committed event raises, and a timer.
pub(crate) const SIGNAL: &str = "outbox";
/// No attempt is put off for longer.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Asks how long until the relay has something to do: publish, try again to, or release a timer.
pub(crate) fn due_in_ms() -> String {
    let waits = waits("due_at_ms", "{now}");
    format!(
        "SELECT CASE
             WHEN EXISTS (SELECT 1 FROM outbox WHERE published_at_ms IS NULL AND held_until_ms IS NULL AND NOT {waits}) THEN 0
             ELSE (SELECT min(at_ms) - {{now}} FROM (
                 SELECT min(due_at_ms) AS at_ms FROM outbox WHERE published_at_ms IS NULL AND held_until_ms IS NULL
                 UNION ALL SELECT min(held_until_ms) FROM outbox WHERE held_until_ms IS NOT NULL) AS next) END"
    )
}

/// Whether the next attempt has to wait. A time that lies further ahead than any was put was written while the clock was ahead:
/// the attempt is due.
fn waits(due_at_ms: &str, now_ms: &str) -> String {
    let longest = millis(LONGEST_DELAY);
    format!("({due_at_ms} > {now_ms} AND {due_at_ms} <= {now_ms} + {longest})")
}

/// What made a change: a call from outside, or an event. Whatever it causes carries the same correlation id.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Printable text of at most 128 characters.
    pub correlation_id: String,
}

/// Publishes `event` if and when `transaction` commits, and returns its id.
///
/// `version` is the aggregate's version after this change: 1 for the change that created it, then 2, 3 … without gaps.
/// Consumers rely on it for order. The row that holds the aggregate is to be locked or compared before, so that two changes
/// cannot take the same version; the database refuses the second.
///
/// # Errors
/// Where the database refuses the row, or the event is larger than 64 KiB.
pub async fn enqueue<E: Event>(
    transaction: &Transaction,
    event: &E,
    version: i64,
    cause: &Cause,
) -> Result<Uuid, DbErr> {
    transaction.wake_on_commit(SIGNAL);
    let id = insert(transaction, event, version, cause, None).await?;
    faults::point("enqueued");
    Ok(id)
}

pub(crate) async fn insert<E: Event>(
    transaction: &Transaction,
    event: &E,
    version: i64,
    cause: &Cause,
    held_until_ms: Option<i64>,
) -> Result<Uuid, DbErr> {
    let payload = event.encode_to_vec();
    if payload.len() > MAX_BODY_BYTES {
        return Err(DbErr::Custom(format!(
            "{} of {} bytes is larger than an event may be ({MAX_BODY_BYTES})",
            E::full_name(),
            payload.len()
        )));
    }
    let id = Uuid::now_v7();
    let span = creation::<E>(transaction, event, id, cause);
    let TraceContext {
        traceparent,
        tracestate,
        baggage,
    } = trace::of(&span);
    sql::execute(
        &**transaction,
        "INSERT INTO outbox (event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
                             aggregate_version, payload, correlation_id, traceparent, tracestate, baggage,
                             held_until_ms, created_at_ms, due_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, {now}, {now})",
        [
            id.to_string().into(),
            E::EXCHANGE.into(),
            E::ROUTING_KEY.into(),
            E::MAY_BE_UNROUTED.into(),
            E::full_name().into(),
            event::aggregate_type(E::ROUTING_KEY).into(),
            event.aggregate_id().into(),
            version.into(),
            payload.into(),
            cause.correlation_id.as_str().into(),
            traceparent.into(),
            tracestate.into(),
            baggage.into(),
            held_until_ms.into(),
        ],
    )
    .instrument(span)
    .await?;
    Ok(id)
}

/// The span whose context travels with the event: whatever is done with it, wherever and however late, is done in its trace.
fn creation<E: Event>(transaction: &Transaction, event: &E, id: Uuid, cause: &Cause) -> Span {
    let span = transaction.span().in_scope(|| {
        tracing::debug_span!(
            "create",
            otel.name = format!("create {}", E::EXCHANGE),
            otel.kind = "producer",
        )
    });
    if span.is_disabled() {
        return span;
    }
    let destination = telemetry::destination(E::EXCHANGE, E::ROUTING_KEY);
    if let Some(system) = transaction.system() {
        span.set_attribute(telemetry::SYSTEM, system.name);
    }
    span.set_attribute(telemetry::ROUTING_KEY, E::ROUTING_KEY);
    span.set_attribute(telemetry::OPERATION_NAME, "create");
    span.set_attribute(telemetry::OPERATION_TYPE, "create");
    span.set_attribute(telemetry::DESTINATION, destination);
    span.set_attribute(telemetry::MESSAGE_ID, id.to_string());
    span.set_attribute(telemetry::CONVERSATION_ID, cause.correlation_id.clone());
    span.set_attribute(telemetry::AGGREGATE_ID, event.aggregate_id().to_owned());
    span
}

/// A row that waits to be published.
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
    /// How long it had waited when it was read.
    pub(crate) had_waited: Duration,
    pub(crate) read_at: Instant,
}

impl Pending {
    /// What is handed over now.
    pub(crate) fn message(&self) -> Message {
        let mut message =
            self.envelope
                .to_message(&self.exchange, &self.routing_key, self.payload.clone());
        // By the database's clock, as all times of events.
        let waited_ms = i64::try_from(self.waited().as_millis()).unwrap_or(0);
        message.set_published_ms(self.envelope.time_ms.saturating_add(waited_ms));
        message
    }

    /// How long it has waited by now.
    pub(crate) fn waited(&self) -> Duration {
        self.had_waited + self.read_at.elapsed()
    }
}

/// The type and the id of an aggregate.
pub(crate) type Aggregate = (String, String);

/// What one look at the table finds.
pub(crate) struct Look {
    pub(crate) pending: Vec<Pending>,
    /// How long until the next timer's time has come, in milliseconds; below zero where it has. `None` where there is none.
    pub(crate) timer_in_ms: Option<i64>,
}

/// At most `limit` rows that are due by one look at the clock, oldest first, leaving out those whose aggregate has an earlier
/// event that is not due yet: no event may overtake one that the broker would not take. Those of the aggregates in `but` are left
/// out as well. The timers come with it, so that a relay asks one thing.
pub(crate) async fn look(
    db: &impl ConnectionTrait,
    source: &str,
    limit: u64,
    but: &[Aggregate],
) -> Result<Look, DbErr> {
    // As one text each, which is one parameter however many there are.
    let but = but.iter().map(|(kind, id)| format!("{kind} {id}"));

    let now_ms = "(SELECT now_ms FROM clock)";
    let (waits, earlier_waits) = (
        waits("due_at_ms", now_ms),
        waits("earlier.due_at_ms", now_ms),
    );
    let rows = sql::query_all(
        db,
        &format!("WITH clock (now_ms) AS MATERIALIZED (SELECT {{now}})
         SELECT sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
                aggregate_version, payload, correlation_id, traceparent, tracestate, baggage, created_at_ms, attempts,
                now_ms - created_at_ms AS waited_ms,
                (SELECT min(held_until_ms) FROM outbox WHERE held_until_ms IS NOT NULL) - now_ms AS timer_in_ms
         FROM clock LEFT JOIN (
             SELECT sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
                    aggregate_version, payload, correlation_id, traceparent, tracestate, baggage, created_at_ms, attempts
             FROM outbox AS o
             WHERE published_at_ms IS NULL AND held_until_ms IS NULL AND NOT {waits}
               AND aggregate_type || ' ' || aggregate_id NOT IN {{texts $2}}
               AND NOT EXISTS (
                   SELECT 1 FROM outbox AS earlier
                   WHERE earlier.published_at_ms IS NULL AND earlier.held_until_ms IS NULL AND {earlier_waits}
                     AND earlier.aggregate_type = o.aggregate_type AND earlier.aggregate_id = o.aggregate_id
                     AND earlier.aggregate_version < o.aggregate_version)
             ORDER BY sequence LIMIT $1) AS pending ON true
         ORDER BY pending.sequence"),
        [
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
            sql::texts(but),
        ],
    )
    .await?;
    let timer_in_ms = rows
        .first()
        .map_or(Ok(None), |row| row.try_get("", "timer_in_ms"))?;
    let mut pending = Vec::with_capacity(rows.len());
    for row in &rows {
        // Where nothing is pending, one row brings the timers alone.
        if row.try_get::<Option<i64>>("", "sequence")?.is_some() {
            pending.push(read(row, source)?);
        }
    }
    Ok(Look {
        pending,
        timer_in_ms,
    })
}

/// Marks rows as published, in one statement.
pub(crate) async fn mark_published(
    db: &impl ConnectionTrait,
    sequences: impl IntoIterator<Item = i64>,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "UPDATE outbox SET published_at_ms = {now}, last_error = NULL WHERE sequence IN {list $1}",
        [sql::list(sequences)],
    )
    .await?;
    Ok(())
}

/// Leaves rows that the broker would not take pending, with the reason, until `delay_ms` from now.
pub(crate) async fn postpone(
    db: &impl ConnectionTrait,
    sequences: impl IntoIterator<Item = i64>,
    reason: &str,
    delay_ms: i64,
) -> Result<(), DbErr> {
    sql::execute(
        db,
        "UPDATE outbox SET attempts = attempts + 1, last_error = $2, due_at_ms = {now} + $3
         WHERE sequence IN {list $1}",
        [sql::list(sequences), reason.into(), delay_ms.into()],
    )
    .await?;
    Ok(())
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
    })
}
