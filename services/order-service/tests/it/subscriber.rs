//! A subscriber of the events of orders.

use contracts::Event;
use contracts::order::v1::{OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped};
use event::Message;
use messaging::transport::{Ack, Receiver, Topology};
use messaging::{Delivered, HandlerError, Subscriptions, Transaction};
use testkit::Broker;

const QUEUE: &str = "subscriber";

pub(crate) struct Subscriber(Box<dyn Receiver>);

impl Subscriber {
    pub(crate) async fn of(broker: &Broker) -> Self {
        let transport = broker.transport(topology());
        Self(transport.receiver(QUEUE, 20).await.unwrap())
    }

    pub(crate) async fn receive(&mut self) -> Message {
        let delivery = self.0.receive().await.unwrap();
        self.0.acknowledge(Ack::One(delivery.tag)).await.unwrap();
        delivery.message
    }
}

/// From now on, the broker stores events of orders.
pub(crate) async fn declare(broker: &Broker) {
    broker.transport(topology()).declare().await.unwrap();
}

fn topology() -> Topology {
    let subscriptions = Subscriptions::new(QUEUE)
        .on::<OrderPlaced>(ignore)
        .on::<OrderConfirmed>(ignore)
        .on::<OrderShipped>(ignore)
        .on::<OrderCancelled>(ignore);
    Topology::publishing([OrderPlaced::EXCHANGE]).consuming(subscriptions.queue())
}

async fn ignore<E: Event>(_: &Transaction, _: E, _: &Delivered) -> Result<(), HandlerError> {
    Ok(())
}
