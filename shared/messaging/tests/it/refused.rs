//! The broker closes the channel because of one message: all outstanding ones fail, and the error must name that one.

use bytes::Bytes;
use event::Message;
use messaging::transport::Topology;
use testkit::{Broker, BrokerKind, Operator, VirtualHost};

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
async fn each_failure_names_the_missing_exchange_and_the_event() {
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
    let errors = errors.iter().map(ToString::to_string);
    let errors: Vec<_> = errors.filter(|error| !error.contains("given up")).collect();
    assert!(!errors.is_empty());
    for error in errors {
        for part in [ID, "gone`", "`thing.made`", "NOT_FOUND"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[tokio::test]
async fn a_connection_closed_by_the_broker_fails_with_its_reason() {
    let host = VirtualHost::create(&Operator::of_test_run(), &testkit::amqp_url()).await;
    let broker = Broker::of(&host);
    let transport = broker.transport(Topology::publishing(["things"]));
    let (busy, idle) = (transport.publisher(), transport.publisher());
    let (busy, idle) = (busy.await.unwrap(), idle.await.unwrap());
    let publish_until_it_fails = async {
        loop {
            let confirm = match busy.publish(&message("things", ID)).await {
                Ok(confirm) => confirm,
                Err(error) => return error,
            };
            if let Err(error) = confirm.await {
                return error;
            }
        }
    };
    let (error, lost, ()) = tokio::join!(
        publish_until_it_fails,
        idle.lost(),
        host.close_connections()
    );
    let after = idle.publish(&message("things", ID)).await.err().unwrap();
    for error in [error, lost, after] {
        let error = error.to_string();
        assert!(error.contains("closed by an operator"), "{error}");
    }
}
