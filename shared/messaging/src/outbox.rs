//! Events that are promised but not yet published: the one way to publish. `pending.rs`, `taken.rs` and `history.rs` are the relay's
//! side.
//!
//! Guarantees: an event is there if and only if the transaction that enqueued it has committed. A version of an aggregate is enqueued
//! once: the database refuses the second, also if the first is published already.

use std::time::Duration;

use event::{Event, MAX_BODY_BYTES, TraceContext};
use sea_orm::{ConnectionTrait, DbErr, Value};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use crate::transaction::Transaction;
use crate::{faults, telemetry, trace};
use store::sql;

mod erasure;
mod history;
mod pending;
#[cfg(test)]
mod plans;
mod taken;

pub use erasure::erase;
pub(crate) use history::move_published;
pub use history::publish_again;
pub(crate) use pending::{Aggregate, Look, Pending, Wanted, bound, due_in_ms, look};
pub(crate) use taken::{NotTaken, RELEASED, postpone, release_behind, set_aside_behind};

/// The signal that a committed event raises, and a timer.
pub(crate) const SIGNAL: &str = "outbox";
/// The longest delay before the next attempt.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How long an event that waits behind a set-aside one is not read again, unless that one is published first.
pub(crate) const BEHIND: Duration = Duration::from_secs(60);

/// What made a change: a call from outside, or an event. All that it causes carries the same correlation id.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Printable text of at most 128 characters.
    pub correlation_id: String,
    /// The event that caused the change; none for a call.
    pub event_id: Option<Uuid>,
}

impl Cause {
    /// A call from outside, or a worker that goes on with the work of one.
    pub fn call(correlation_id: impl Into<String>) -> Self {
        Self {
            correlation_id: correlation_id.into(),
            event_id: None,
        }
    }
}

/// Publishes `event` if and when `transaction` commits, and returns its id.
///
/// `version` is the aggregate's version after this change: 1 for the change that created it, then 2, 3 … without gaps.
/// Consumers rely on it for order. The row that holds the aggregate is to be locked or compared before, so that two changes
/// cannot take the same version; the database refuses the second at its commit.
///
/// # Errors
/// Where the event is larger than 64 KiB.
pub fn enqueue<E: Event>(
    transaction: &Transaction,
    event: &E,
    version: i64,
    cause: &Cause,
) -> Result<Uuid, DbErr> {
    collect(transaction, event, version, cause, None)
}

/// A row that a transaction writes at its commit.
pub(crate) struct Enqueued {
    id: Uuid,
    exchange: &'static str,
    routing_key: &'static str,
    may_be_unrouted: bool,
    event_type: String,
    pub(crate) aggregate_type: &'static str,
    pub(crate) aggregate_id: String,
    version: i64,
    payload: Vec<u8>,
    person_id: Option<String>,
    cause: Cause,
    trace: TraceContext,
    pub(crate) held_until_ms: Option<i64>,
}

pub(crate) fn collect<E: Event>(
    transaction: &Transaction,
    event: &E,
    version: i64,
    cause: &Cause,
    held_until_ms: Option<i64>,
) -> Result<Uuid, DbErr> {
    const { event::check::<E>() }
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
    transaction.collect(Enqueued {
        id,
        exchange: E::EXCHANGE,
        routing_key: E::ROUTING_KEY,
        may_be_unrouted: E::MAY_BE_UNROUTED,
        event_type: E::full_name(),
        aggregate_type: E::AGGREGATE,
        aggregate_id: event.aggregate_id().to_owned(),
        version,
        payload,
        person_id: event.person_id().map(str::to_owned),
        cause: cause.clone(),
        trace: trace::of(&span),
        held_until_ms,
    });
    Ok(id)
}

/// Rows in one statement. More take several: each number of rows is a statement text of its own, and a session keeps a plan for each.
const ROWS: usize = 16;

/// Writes the events, with as few statements as possible.
pub(crate) async fn insert(db: &impl ConnectionTrait, events: Vec<Enqueued>) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let mut events = events.into_iter();
    loop {
        let rows: Vec<Enqueued> = events.by_ref().take(ROWS).collect();
        if rows.is_empty() {
            break;
        }
        let statement = format!("{INSERT}{}", placeholders(rows.len()));
        let values = rows.into_iter().flat_map(Enqueued::into_values);
        sql::execute(db, &statement, values).await?;
    }
    faults::point("enqueued");
    Ok(())
}

const INSERT: &str = "INSERT INTO angarium_outbox (event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type,
    aggregate_id, aggregate_version, payload, person_id, correlation_id, causation_id, traceparent, tracestate, baggage,
    held_until, created_at) VALUES ";
/// Of each row; the time of its creation follows.
const PARAMETERS: usize = 16;
/// The places of the two ids, and that of the time.
const EVENT_ID: usize = 1;
const CAUSATION_ID: usize = 12;
const HELD_UNTIL: usize = PARAMETERS;

fn placeholders(rows: usize) -> String {
    let row = |row: usize| {
        let value = |place: usize| match (place, row * PARAMETERS + place) {
            (EVENT_ID | CAUSATION_ID, number) => format!("{{uuid ${number}}}"),
            (HELD_UNTIL, number) => format!("{{time of ${number}}}"),
            (_, number) => format!("${number}"),
        };
        let values: Vec<String> = (1..=PARAMETERS).map(value).collect();
        format!("({}, {{time}})", values.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    rows.join(", ")
}

impl Enqueued {
    fn into_values(self) -> [Value; PARAMETERS] {
        [
            self.id.to_string().into(),
            self.exchange.into(),
            self.routing_key.into(),
            self.may_be_unrouted.into(),
            self.event_type.into(),
            self.aggregate_type.into(),
            self.aggregate_id.into(),
            self.version.into(),
            self.payload.into(),
            self.person_id.into(),
            self.cause.correlation_id.into(),
            self.cause.event_id.map(|id| id.to_string()).into(),
            self.trace.traceparent.into(),
            self.trace.tracestate.into(),
            self.trace.baggage.into(),
            self.held_until_ms.into(),
        ]
    }
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
