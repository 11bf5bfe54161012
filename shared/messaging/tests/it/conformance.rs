//! The guarantees of a transport: one suite for both.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use event::Message;
use messaging::transport::{
    Binding, Confirmation, Delivery, Publisher, Queue, Receiver, Topology, Transport,
};
use testkit::{Broker, eventually};

mod publishing;
mod queue_file;
mod receiving;

const EXCHANGE: &str = "things";
const QUEUE: &str = "things_queue";

fn topology(queue: &str, patterns: &[&str]) -> Topology {
    let bindings = patterns.iter().map(|pattern| Binding {
        exchange: EXCHANGE.to_owned(),
        pattern: (*pattern).to_owned(),
    });
    Topology::publishing([EXCHANGE]).consuming(Queue {
        name: queue.to_owned(),
        bindings: bindings.collect(),
        delivery_limit: 20,
    })
}

fn transport(broker: &Broker) -> Arc<dyn Transport> {
    broker.transport(topology(QUEUE, &["thing.#"]))
}

fn message(routing_key: &str, body: &str) -> Message {
    Message {
        exchange: EXCHANGE.to_owned(),
        routing_key: routing_key.to_owned(),
        body: Bytes::from(body.to_owned()),
        headers: BTreeMap::new(),
        ..Message::default()
    }
}

async fn publish(transport: &dyn Transport, bodies: impl IntoIterator<Item = String>) {
    let publisher = transport.publisher().await.unwrap();
    let mut confirms = Vec::new();
    for body in bodies {
        confirms.push(
            publisher
                .publish(&message("thing.made", &body))
                .await
                .unwrap(),
        );
    }
    for confirm in confirms {
        assert_eq!(confirm.await.unwrap(), Confirmation::Routed);
    }
}

async fn confirmation(publisher: &dyn Publisher, message: &Message) -> Confirmation {
    publisher.publish(message).await.unwrap().await.unwrap()
}

async fn receive(receiver: &mut dyn Receiver, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        deliveries.push(next(receiver).await);
    }
    deliveries
}

async fn next(receiver: &mut dyn Receiver) -> Delivery {
    eventually("a message has come", async || receiver.receive().await).await
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.body.to_vec()).unwrap()
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(body).collect()
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
