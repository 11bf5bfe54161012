//! Events that are promised but not yet published: the one way to publish. `pending.rs` and `taken.rs` are the relay's side.
//!
//! Guarantee: an event is there if and only if the transaction that enqueued it has committed.

use std::time::Duration;

use event::{Event, MAX_BODY_BYTES, TraceContext};
use sea_orm::DbErr;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use crate::store::Transaction;
use crate::{faults, sql, telemetry, trace};

mod pending;
#[cfg(test)]
mod plans;
mod taken;

pub(crate) use pending::{Aggregate, Pending, bound, due_in_ms, look};
pub(crate) use taken::{
    NotTaken, RELEASED, mark_published, postpone, release_behind, set_aside_behind,
};

/// The signal that a committed event raises, and a timer.
pub(crate) const SIGNAL: &str = "outbox";
/// The longest delay before the next attempt.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How long an event that waits behind a set-aside one is not read again, unless that one is published first.
pub(crate) const BEHIND: Duration = Duration::from_secs(60);

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
