//! Enqueues events: the only way to publish. `pending.rs`, `taken.rs` and `history.rs` are the relay's side.
//!
//! Guarantee: an event is in the outbox if and only if its transaction has committed. The database refuses a second
//! event with a version of an aggregate, even if the first is already published.

use std::time::Duration;

use event::{Event, MAX_BODY_BYTES};
use sea_orm::DbErr;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use crate::transaction::Transaction;
use crate::{telemetry, trace};

pub(crate) mod enqueued;
mod erasure;
mod history;
mod pending;
#[cfg(test)]
mod plans;
mod taken;

pub use enqueued::Cause;
pub(crate) use enqueued::{Enqueued, SIGNAL};
pub use erasure::erase;
pub(crate) use history::move_published;
pub use history::publish_again;
pub(crate) use pending::{Aggregate, Look, Pending, Wanted, bound, due_in_ms, look};
pub(crate) use taken::{NotTaken, RELEASED, postpone, release_behind, set_aside_behind};

pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// An event behind a set-aside one is not read again for this long, unless that one is published first.
pub(crate) const BEHIND: Duration = Duration::from_secs(60);

/// Publishes `event` if and when `transaction` commits, and returns its id.
///
/// `version` is the aggregate's version after this change: 1 for its creation, then 2, 3 … without gaps; consumers rely
/// on it for order. Lock or compare the aggregate's row first, so that two changes do not take the same version; the
/// database refuses the second at its commit.
///
/// # Errors
/// If the event is larger than 64 KiB.
pub fn enqueue<E: Event>(
    transaction: &Transaction,
    event: &E,
    version: i64,
    cause: &Cause,
) -> Result<Uuid, DbErr> {
    collect(transaction, event, version, cause, None)
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
            "{} has {} bytes, more than the limit of an event ({MAX_BODY_BYTES})",
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

/// It travels with the event, so all later work on the event is in its trace.
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
