//! A message over which the broker closes the channel: whatever was outstanding with it fails, and must say because of which.

use bytes::Bytes;
use event::Message;
use messaging::transport::Topology;
use testkit::{Broker, BrokerKind};

const ID: &str = "0192f3c4-0000-7000-8000-000000000007";

fn message(exchange: &str, id: &str) -> Message {
    Message {
        exchange: exchange.to_owned(),
        routing_key: "thing.made".to_owned(),
        message_id: Some(id.to_owned()),
        body: Bytes::from_static(b"x"),
        ..Message::default()
    }
}

#[tokio::test]
async fn an_exchange_that_is_gone_is_named_with_the_event_by_all_that_fails_with_it() {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let transport = broker.transport(Topology::publishing(["things"]));
    let publisher = transport.publisher().await.unwrap();
    let mut confirms = vec![publisher.publish(&message("gone", ID)).await.unwrap()];
    let mut errors = Vec::new();
    for number in 0..200 {
        match publisher
            .publish(&message("things", &number.to_string()))
            .await
        {
            Ok(confirm) => confirms.push(confirm),
            Err(error) => {
                errors.push(error);
                break;
            }
        }
    }
    for confirm in confirms {
        errors.extend(confirm.await.err());
    }
    let told = errors.iter().map(ToString::to_string);
    // What is handed over after the channel is gone knows no more than that.
    let told: Vec<_> = told.filter(|error| !error.contains("given up")).collect();
    assert!(!told.is_empty());
    for error in told {
        for part in [ID, "gone`", "`thing.made`", "NOT_FOUND"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
