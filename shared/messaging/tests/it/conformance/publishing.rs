//! Routing, confirms and order, up to the queue.

use std::collections::BTreeMap;

use bytes::Bytes;
use event::Message;
use messaging::transport::Confirmation;
use rstest::rstest;
use testkit::{Broker, BrokerKind};

use super::{
    EXCHANGE, QUEUE, bodies, confirmation, message, next, numbers, publish, receive, topology,
    transport,
};

#[rstest]
#[tokio::test]
async fn a_message_without_a_bound_queue_is_confirmed_as_unrouted(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let publisher = transport(&broker).publisher().await.unwrap();
    for (key, expected) in [
        ("thing.made", Confirmation::Routed),
        ("nothing.made", Confirmation::Unrouted),
        ("thing.broken", Confirmation::Routed),
    ] {
        let confirmed = confirmation(&*publisher, &message(key, "x")).await;
        assert_eq!(confirmed, expected, "{key}");
    }
    assert_eq!(broker.messages(QUEUE).await, 2);
}

#[rstest]
#[tokio::test]
async fn each_queue_gets_what_its_patterns_match_once(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let queues: [(&str, &[&str], u64); 4] = [
        ("one_word", &["user.*"], 2),
        ("any_words", &["user.#"], 4),
        ("exact", &["user.created", "order.placed"], 2),
        // Two matching patterns still deliver one copy.
        ("twice", &["#", "user.created"], 6),
    ];
    for (queue, patterns, _) in queues {
        let declared = broker.transport(topology(queue, patterns)).declare().await;
        declared.unwrap();
    }
    let transport = broker.transport(topology("exact", queues[2].1));
    let publisher = transport.publisher().await.unwrap();
    for key in [
        "user",
        "user.created",
        "user.deleted",
        "user.created.v2",
        "order.placed",
        "users.created",
    ] {
        let confirmed = confirmation(&*publisher, &message(key, key)).await;
        assert_eq!(confirmed, Confirmation::Routed, "{key}");
    }
    for (queue, _, expected) in queues {
        assert_eq!(broker.messages(queue).await, expected, "{queue}");
    }
}

#[rstest]
#[tokio::test]
async fn an_exchange_routes_only_what_is_published_to_it(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let mut both = topology(QUEUE, &["thing.#"]);
    both.exchanges.insert("others".to_owned());
    let publisher = broker.transport(both).publisher().await.unwrap();
    let elsewhere = Message {
        exchange: "others".to_owned(),
        ..message("thing.made", "x")
    };
    let confirmed = confirmation(&*publisher, &elsewhere).await;
    assert_eq!(confirmed, Confirmation::Unrouted);
}

#[rstest]
#[tokio::test]
async fn messages_are_queued_in_the_order_of_publication(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    let publisher = transport.publisher().await.unwrap();
    let mut confirms = Vec::new();
    for body in numbers(1..=50) {
        confirms.push(
            publisher
                .publish(&message("thing.made", &body))
                .await
                .unwrap(),
        );
    }
    while let Some(confirm) = confirms.pop() {
        assert_eq!(confirm.await.unwrap(), Confirmation::Routed);
    }
    let mut receiver = transport.receiver(QUEUE, 50).await.unwrap();
    let received = receive(&mut *receiver, 50).await;
    assert_eq!(bodies(&received), numbers(1..=50));
    let tags: Vec<u64> = received.iter().map(|delivery| delivery.tag).collect();
    assert_eq!(tags, (1..=50).collect::<Vec<_>>());
    assert!(received.iter().all(|delivery| !delivery.redelivered));
}

#[rstest]
#[tokio::test]
async fn five_hundred_publications_can_wait_for_their_confirm_at_once(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    publish(&*transport(&broker), numbers(1..=500)).await;
    assert_eq!(broker.messages(QUEUE).await, 500);
}

#[rstest]
#[tokio::test]
async fn among_many_outstanding_each_is_answered_for_by_its_own_route(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    const PAIRS: usize = 1000;
    let broker = Broker::create(kind).await;
    let publisher = transport(&broker).publisher().await.unwrap();
    let mut confirms = Vec::new();
    for number in 0..2 * PAIRS {
        let (key, expected) = match number % 2 {
            0 => ("thing.made", Confirmation::Routed),
            _ => ("nothing.made", Confirmation::Unrouted),
        };
        let message = Message {
            message_id: Some(format!("{number}")),
            ..message(key, "x")
        };
        let confirm = publisher.publish(&message).await.unwrap();
        confirms.push((number, expected, confirm));
    }
    let mut wrong = Vec::new();
    for (number, expected, confirm) in confirms {
        let confirmed = confirm.await.unwrap();
        if confirmed != expected {
            wrong.push((number, confirmed));
        }
    }
    assert_eq!(wrong, []);
    assert_eq!(broker.messages(QUEUE).await, PAIRS as u64);
}

#[rstest]
#[tokio::test]
async fn a_confirmed_message_is_there_after_a_restart_with_the_routes(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let mut broker = Broker::create(kind).await;
    publish(&*transport(&broker), numbers(1..=3)).await;
    broker.reopen().await;

    let other = broker.transport(topology("another_queue", &["another.#"]));
    publish(&*other, numbers(4..=4)).await;

    let mut receiver = transport(&broker).receiver(QUEUE, 10).await.unwrap();
    let received = receive(&mut *receiver, 4).await;
    assert_eq!(bodies(&received), numbers(1..=4));
}

#[rstest]
#[tokio::test]
async fn declaring_again_changes_nothing(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    publish(&*transport, numbers(1..=2)).await;
    transport.declare().await.unwrap();
    transport.declare().await.unwrap();
    publish(&*transport, numbers(3..=3)).await;
    let mut receiver = transport.receiver(QUEUE, 10).await.unwrap();
    assert_eq!(bodies(&receive(&mut *receiver, 3).await), numbers(1..=3));
}

#[rstest]
#[tokio::test]
async fn every_property_header_and_byte_comes_back(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    let headers = [
        ("cloudEvents_subject", "größe 大きさ"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("empty", ""),
        ("long", &"x".repeat(4096)),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let full = Message {
        exchange: EXCHANGE.to_owned(),
        routing_key: "thing.made".to_owned(),
        message_id: Some("0192f3c4-0000-7000-8000-000000000001".to_owned()),
        event_type: Some("test.Thing".to_owned()),
        content_type: Some("application/protobuf".to_owned()),
        correlation_id: Some("call-1".to_owned()),
        app_id: Some("test".to_owned()),
        timestamp_s: Some(1_700_000_000),
        headers: BTreeMap::from(headers),
        body: Bytes::from((0..=255).collect::<Vec<u8>>()),
    };
    let bare = Message {
        body: Bytes::new(),
        ..message("thing", "")
    };
    let publisher = transport.publisher().await.unwrap();
    for published in [&full, &bare] {
        let confirmed = confirmation(&*publisher, published).await;
        assert_eq!(confirmed, Confirmation::Routed);
    }
    assert_eq!(broker.publish(&full).await, Confirmation::Routed);
    let mut receiver = transport.receiver(QUEUE, 10).await.unwrap();
    for expected in [&full, &bare, &full] {
        assert_eq!(&next(&mut *receiver).await.message, expected);
    }
}
