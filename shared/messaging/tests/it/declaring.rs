//! A broker on which the names of a service have other settings.

use event::Message;
use messaging::transport::{
    Binding, Confirmation, Queue, RabbitMq, RabbitMqConfig, Topology, TransportError,
};
use testkit::{Broker, BrokerKind, Statements};

use crate::log::Log;

const EXCHANGE: &str = "thing_events";
const QUEUE: &str = "things_queue";

fn limited_to(delivery_limit: u16, exchange: &str) -> Topology {
    let binding = Binding {
        exchange: exchange.to_owned(),
        pattern: "thing.#".to_owned(),
    };
    Topology::publishing([exchange]).consuming(Queue {
        name: QUEUE.to_owned(),
        bindings: [binding].into(),
        delivery_limit,
    })
}

fn event(exchange: &str) -> Message {
    Message {
        exchange: exchange.to_owned(),
        routing_key: "thing.made".to_owned(),
        ..Message::default()
    }
}

/// As in a rolling upgrade: both releases run, and neither ends.
#[tokio::test]
async fn a_queue_with_other_settings_is_used_with_a_warning() {
    let (_statements, _listening) = Statements::listen();
    let (log, _logging) = Log::listen();
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let older = broker.transport(limited_to(20, EXCHANGE));
    older.declare().await.unwrap();
    assert_eq!(log.lines_with("other settings"), [""; 0]);

    let newer = broker.transport(limited_to(7, EXCHANGE));
    newer.declare().await.unwrap();
    let publisher = newer.publisher().await.unwrap();
    let confirm = publisher.publish(&event(EXCHANGE)).await.unwrap();
    assert_eq!(confirm.await.unwrap(), Confirmation::Routed);
    let mut receiver = newer.receiver(QUEUE, 1).await.unwrap();
    assert_eq!(
        receiver.receive().await.unwrap().message.routing_key,
        "thing.made"
    );
    older.declare().await.unwrap();

    // Each of the three connections has found it.
    let warned = log.lines_with("other settings");
    let [warning] = warned.as_slice() else {
        panic!("one warning: {warned:?}");
    };
    for part in [
        " WARN ",
        "what=\"things_queue\"",
        "argument=\"x-delivery-limit\"",
        "declared=\"7\"",
        "existing=\"20\"",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
}

/// Its events would reach no queue.
#[tokio::test]
async fn an_exchange_of_another_type_is_refused_with_what_to_do() {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    broker
        .transport(limited_to(20, EXCHANGE))
        .declare()
        .await
        .unwrap();
    // The dead-letter exchange is direct.
    let error = broker
        .transport(Topology::publishing(["dlx"]))
        .declare()
        .await
        .unwrap_err();
    let said = error.mismatch().unwrap().to_string();
    for part in ["dlx'", "'type'", "'topic'", "'direct'", "delete it"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn a_virtual_host_that_is_not_there_is_named_with_its_setting() {
    let mut url = testkit::amqp_url();
    url.set_path("no%2Fsuch%20host");
    let error = declare(RabbitMqConfig::new(url)).await.unwrap_err();
    let said = error.mismatch().unwrap().to_string();
    for part in ["AMQP_URL", "no/such host", "NOT_ALLOWED"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

/// A password goes to the host of the URL only.
#[tokio::test]
async fn an_ipv6_address_is_connected_to() {
    use std::net::TcpListener;

    let named = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = named.local_addr().unwrap().port();
    let other = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let url = format!("amqp://u:p@[::ffff:127.0.0.2]:{port}");
    let config = RabbitMqConfig {
        time_out: std::time::Duration::from_millis(500),
        ..RabbitMqConfig::new(url.parse().unwrap())
    };
    declare(config).await.unwrap_err();
    for listener in [&named, &other] {
        listener.set_nonblocking(true).unwrap();
    }
    assert!(named.accept().is_ok(), "the named host was not reached");
    assert!(other.accept().is_err(), "another host was reached");
}

async fn declare(config: RabbitMqConfig) -> Result<(), TransportError> {
    use messaging::transport::Transport as _;
    let topology = Topology::publishing([EXCHANGE]);
    RabbitMq::new(config, "test", topology).declare().await
}
