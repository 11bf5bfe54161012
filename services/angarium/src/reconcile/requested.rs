//! What an operator requests beside the repair: events since a time, events of an aggregate, and the state of users.

use std::time::UNIX_EPOCH;

use contracts::ops::v1::{ListStateRequest, ListStoredEventsRequest};
use service::time;

use super::consumer::Consumer;
use super::operator::Refusal;
use crate::registry::SERVICES;

impl Consumer<'_> {
    pub(super) async fn hand_over_requested(&mut self) -> Result<(), Refusal> {
        let mut requests = Vec::new();
        if let Some(since) = self.asked.since {
            let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
            let since_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            requests.push(ListStoredEventsRequest {
                published_after: Some(time::timestamp(since_ms)),
                ..ListStoredEventsRequest::default()
            });
        }
        if let Some((kind, id)) = &self.asked.aggregate {
            requests.push(ListStoredEventsRequest {
                aggregate_type: kind.clone(),
                aggregate_id: id.clone(),
                ..ListStoredEventsRequest::default()
            });
        }
        for request in requests {
            for producer in SERVICES {
                let name = producer.definition.name;
                self.hand_over_stored(name, request.clone()).await?;
            }
        }
        if self.asked.snapshot {
            for producer in SERVICES {
                self.hand_over_state(producer.definition.name).await?;
            }
        }
        Ok(())
    }

    /// After the events, so that a state meets what the history still has of its aggregate.
    async fn hand_over_state(&mut self, producer: &str) -> Result<(), Refusal> {
        let mut request = ListStateRequest::default();
        loop {
            let Some(page) = self.at_producer(producer, request.clone()).await? else {
                return Ok(());
            };
            let Some(last) = page.events.last() else {
                return Ok(());
            };
            request.after_aggregate_id.clone_from(&last.aggregate_id);
            self.report.states += self.hand_over(page.events).await?;
        }
    }
}
