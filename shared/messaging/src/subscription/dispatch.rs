//! How the consumer uses the table.

use event::Envelope;
use tracing::Instrument as _;

use super::{Advanced, Given, Handler, HandlerError, Subscriptions};
use crate::retry::RetryPolicy;
use crate::transaction::Transaction;

impl Subscriptions {
    pub(crate) fn consumer(&self) -> &'static str {
        self.queue
    }

    pub(crate) fn policy(&self, event_type: Option<&str>, policy: &RetryPolicy) -> RetryPolicy {
        let mut policy = policy.clone();
        if let Some(limits) = event_type.and_then(|event_type| self.limits.get(event_type)) {
            // Never wider: the inbox retention was validated with the service's own policy.
            policy.attempts = policy.attempts.min(limits.attempts);
            policy.longest_age = policy.longest_age.min(limits.age);
        }
        policy
    }

    pub(crate) fn knows(&self, event_type: &str) -> bool {
        self.known.contains(event_type)
    }

    pub(crate) fn takes_in_order(&self, aggregate_type: &str) -> bool {
        self.in_order.contains(aggregate_type)
    }

    pub(crate) fn known_types(&self) -> Vec<&'static str> {
        let mut types: Vec<_> = self.known.iter().copied().collect();
        types.sort_unstable();
        types
    }

    pub(crate) fn takes_batches(&self, event_type: &str) -> bool {
        matches!(self.handlers.get(event_type), Some(Handler::Batch(_)))
    }

    /// All events have one type.
    pub(crate) async fn handle(
        &self,
        transaction: &Transaction,
        events: Vec<Given<'_>>,
    ) -> Result<(), HandlerError> {
        for event in &events {
            if let Some(of) = self.observers.get(event.aggregate_type) {
                let advanced = advanced(&event.delivered.envelope)?;
                let observing = of.observer.handle(transaction, advanced, event.delivered);
                observing.instrument(event.span.clone()).await?;
            }
        }
        let Some(first) = events.first() else {
            return Ok(());
        };
        match self.handlers.get(&first.delivered.envelope.event_type) {
            None => Ok(()),
            Some(Handler::Batch(call)) => call(transaction, events).await,
            Some(Handler::One(call)) => {
                for event in events {
                    call(transaction, event.body, event.delivered).await?;
                }
                Ok(())
            }
        }
    }
}

fn advanced(envelope: &Envelope) -> Result<Advanced, HandlerError> {
    let version = envelope.aggregate_version;
    let version = version.ok_or_else(|| HandlerError::reject("it has no cloudEvents_sequence"))?;
    Ok(Advanced {
        aggregate_id: envelope.aggregate_id.clone(),
        version,
    })
}
