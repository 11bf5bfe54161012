//! Conversions between the messages of operators and the types of the engine.

use contracts::ops::v1::{
    CheckpointGap, DivergedProducer, HandOverResponse, LostEvent, MissingEvent, ReceivedEvent,
    StoredEvent, VersionGap,
};
use messaging::repair::{self, Checkpoint, Envelope, Handed, Lost, Received, Stored};
use messaging::trace::TraceContext;
use runtime::status::Violations;

use crate::time::timestamp;

/// `None` if its envelope cannot be read. No producer writes such an event.
pub(super) fn stored_event(event: &Stored) -> Option<StoredEvent> {
    let message = &event.message;
    let envelope = Envelope::from_message(message).ok()?;
    Some(StoredEvent {
        position: event.position,
        erased: event.erased,
        exchange: message.exchange.clone(),
        routing_key: message.routing_key.clone(),
        event_id: envelope.id.to_string(),
        event_type: envelope.event_type,
        source: envelope.source,
        created_ms: envelope.time_ms,
        aggregate_id: envelope.aggregate_id,
        aggregate_version: envelope.aggregate_version.unwrap_or(1),
        correlation_id: envelope.correlation_id,
        traceparent: envelope.trace.traceparent.unwrap_or_default(),
        tracestate: envelope.trace.tracestate.unwrap_or_default(),
        baggage: envelope.trace.baggage.unwrap_or_default(),
        body: message.body.to_vec(),
        state: message.is_state(),
    })
}

pub(super) fn events(events: Vec<StoredEvent>, violations: &mut Violations) -> Vec<Stored> {
    let numbered = events.into_iter().enumerate();
    let events = numbered.map(|(index, event)| {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let trace = [&event.traceparent, &event.tracestate, &event.baggage].map(|text| given(text));
        let [traceparent, tracestate, baggage] = trace;
        let envelope = Envelope {
            id: violations.uuid(&format!("events[{index}].event_id"), &event.event_id),
            event_type: event.event_type,
            source: event.source,
            time_ms: event.created_ms,
            aggregate_id: event.aggregate_id,
            aggregate_version: Some(event.aggregate_version),
            correlation_id: event.correlation_id,
            trace: TraceContext {
                traceparent,
                tracestate,
                baggage,
            },
        };
        let body = event.body.into();
        let mut message = envelope.to_message(&event.exchange, &event.routing_key, body);
        if event.state {
            message.set_state();
        }
        Stored {
            position: event.position,
            erased: event.erased,
            message,
        }
    });
    events.collect()
}

pub(super) fn checkpoints(encoded: &[Vec<u8>], violations: &mut Violations) -> Vec<Checkpoint> {
    let mut checkpoints = Vec::with_capacity(encoded.len());
    for (index, bytes) in encoded.iter().enumerate() {
        match repair::read_checkpoint(bytes) {
            Some(checkpoint) => checkpoints.push(checkpoint),
            None => violations.add(
                format!("checkpoints[{index}]"),
                "is an angarium.checkpoint.v1.Checkpoint as ListCheckpoints answers it",
            ),
        }
    }
    checkpoints
}

pub(super) fn missing(event: repair::MissingEvent) -> MissingEvent {
    MissingEvent {
        event_id: event.event_id,
        source: event.source,
        event_type: event.event_type,
        checkpoint_number: event.checkpoint,
        missing_since: event.missing_since_ms.map(timestamp),
    }
}

pub(super) fn checkpoint_gap(gap: repair::CheckpointGap) -> CheckpointGap {
    CheckpointGap {
        source: gap.source,
        exchange: gap.exchange,
        first_number: gap.first,
        last_number: gap.last,
        seen_time: Some(timestamp(gap.seen_at_ms)),
    }
}

pub(super) fn version_gap(gap: repair::VersionGap) -> VersionGap {
    VersionGap {
        aggregate_type: gap.aggregate_type,
        aggregate_id: gap.aggregate_id,
        source: gap.source.unwrap_or_default(),
        position: gap.position,
        waiting_version: gap.waits,
        waiting_events: gap.events,
        waiting_since: Some(timestamp(gap.since_ms)),
    }
}

pub(super) fn diverged(producer: repair::Diverged) -> DivergedProducer {
    DivergedProducer {
        source: producer.source,
        exchange: producer.exchange,
        first_number: producer.from,
        diverged_time: Some(timestamp(producer.at_ms)),
    }
}

pub(super) fn received(event: Received) -> ReceivedEvent {
    ReceivedEvent {
        event_id: event.event_id,
        aggregate_type: event.aggregate_type,
        aggregate_id: event.aggregate_id,
        aggregate_version: event.version,
        handled: event.handled,
    }
}

pub(super) fn received_ones(
    events: Vec<ReceivedEvent>,
    violations: &mut Violations,
) -> Vec<Received> {
    let numbered = events.into_iter().enumerate();
    let events = numbered.map(|(index, event)| Received {
        event_id: violations
            .uuid(&format!("events[{index}].event_id"), &event.event_id)
            .to_string(),
        aggregate_type: event.aggregate_type,
        aggregate_id: event.aggregate_id,
        version: event.aggregate_version,
        handled: event.handled,
    });
    events.collect()
}

pub(super) fn lost(lost: Lost) -> LostEvent {
    LostEvent {
        event_id: lost.event.event_id,
        aggregate_type: lost.event.aggregate_type,
        aggregate_id: lost.event.aggregate_id,
        aggregate_version: lost.event.version,
        other_event_id: lost.other.unwrap_or_default(),
    }
}

pub(super) fn handed(handed: Handed) -> HandOverResponse {
    let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
    HandOverResponse {
        new_events: number(handed.new),
        known_events: number(handed.known),
        foreign_events: number(handed.foreign),
        erased_events: number(handed.erased),
    }
}
