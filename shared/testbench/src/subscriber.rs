//! Another service that takes the events of the service under test, as far as the broker knows it.

use event::{Event, Message};
use messaging::transport::{Ack, Receiver, Topology};
use messaging::{Delivered, HandlerError, Subscriptions, Transaction};
use testkit::Broker;

/// More than a test leaves unread.
const PREFETCH: u16 = 20;

/// Receives the events of one queue.
pub struct Subscriber(Box<dyn Receiver>);

impl Subscriber {
    pub(crate) async fn of(broker: &Broker, events: &Subscriptions) -> Self {
        let transport = broker.transport(topology(events));
        let receiver = transport.receiver(&events.queue().name, PREFETCH).await;
        Self(receiver.unwrap_or_else(|error| panic!("receiving as a subscriber: {error}")))
    }

    /// The next event from the broker.
    pub async fn receive(&mut self) -> Message {
        let delivery = self.0.receive().await.expect("a delivery");
        let taken = self.0.acknowledge(Ack::One(delivery.tag)).await;
        taken.expect("an acknowledgement");
        delivery.message
    }
}

/// The handler for subscriptions that only a broker sees: no process of the test calls it.
pub async fn ignore<E: Event>(_: &Transaction, _: E, _: &Delivered) -> Result<(), HandlerError> {
    Ok(())
}

pub(crate) fn topology(events: &Subscriptions) -> Topology {
    Topology::default().consuming(events.queue())
}
