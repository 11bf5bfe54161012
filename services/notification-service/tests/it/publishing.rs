//! Events that reach the notification service, each as a part of a trace.

use contracts::Event;
use event::{Envelope, TraceContext};
use uuid::Uuid;

use crate::fixture::Fixture;

pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

impl Fixture {
    /// Publishes `event` as version 1 of its aggregate, and returns its id.
    pub(crate) async fn publish<E: Event>(&self, event: &E) -> Uuid {
        let id = Uuid::now_v7();
        self.publish_as(id, event).await;
        id
    }

    pub(crate) async fn publish_as<E: Event>(&self, id: Uuid, event: &E) {
        self.publish_version(id, 1, event).await;
    }

    pub(crate) async fn publish_version<E: Event>(&self, id: Uuid, version: i64, event: &E) {
        let envelope = Envelope {
            id,
            correlation_id: correlation_id(id),
            trace: TraceContext::accept(Some(TRACEPARENT), None, None),
            ..testkit::envelope::<E>(event.aggregate_id(), version)
        };
        self.send(&testkit::message_in(&envelope, event)).await;
    }
}

pub(crate) fn correlation_id(event_id: Uuid) -> String {
    format!("because-of-{event_id}")
}
