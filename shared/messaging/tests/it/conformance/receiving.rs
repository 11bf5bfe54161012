//! Prefetch, acknowledgement and redelivery, starting at the queue.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt as _;
use messaging::transport::{Ack, Queue, Receiver, Topology, dead_letter_queue};
use rstest::rstest;
use testkit::{Broker, BrokerKind, eventually, eventually_is};
use tokio::time::timeout;

use super::{QUEUE, bodies, body, next, numbers, publish, receive, topology, transport};

#[rstest]
#[tokio::test]
async fn what_is_not_acknowledged_comes_again_and_says_so(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    publish(&*transport, numbers(1..=3)).await;
    let mut first = transport.receiver(QUEUE, 10).await.unwrap();
    assert_eq!(bodies(&receive(&mut *first, 3).await), numbers(1..=3));
    drop(first);
    let mut second = transport.receiver(QUEUE, 10).await.unwrap();
    let again = receive(&mut *second, 3).await;
    assert_eq!(bodies(&again), numbers(1..=3));
    assert!(again.iter().all(|delivery| delivery.redelivered));
}

#[rstest]
#[tokio::test]
async fn what_was_delivered_before_a_restart_says_so_after_it(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let mut broker = Broker::create(kind).await;
    publish(&*transport(&broker), numbers(1..=1)).await;
    let mut receiver = transport(&broker).receiver(QUEUE, 10).await.unwrap();
    next(&mut *receiver).await;
    drop(receiver);
    broker.reopen().await;
    let mut receiver = transport(&broker).receiver(QUEUE, 10).await.unwrap();
    assert!(next(&mut *receiver).await.redelivered);
}

#[rstest]
#[tokio::test]
async fn no_more_than_the_prefetch_is_with_one_receiver(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    publish(&*transport, numbers(1..=5)).await;
    let mut narrow = transport.receiver(QUEUE, 2).await.unwrap();
    assert_eq!(bodies(&receive(&mut *narrow, 2).await), numbers(1..=2));
    let mut wide = transport.receiver(QUEUE, 10).await.unwrap();
    assert_eq!(bodies(&receive(&mut *wide, 3).await), numbers(3..=5));
    narrow.acknowledge(Ack::One(1)).await.unwrap();
    drop(wide);
    assert_eq!(receive(&mut *narrow, 1).await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn an_acknowledgement_settles_one_or_all_up_to_it(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    publish(&*transport, numbers(1..=5)).await;
    let mut receiver = transport.receiver(QUEUE, 10).await.unwrap();
    receive(&mut *receiver, 5).await;
    receiver.acknowledge(Ack::One(4)).await.unwrap();
    receiver.acknowledge(Ack::UpTo(2)).await.unwrap();
    drop(receiver);
    let mut receiver = transport.receiver(QUEUE, 10).await.unwrap();
    let again = receive(&mut *receiver, 2).await;
    assert_eq!(bodies(&again), ["3", "5"]);
    receiver.acknowledge(Ack::UpTo(2)).await.unwrap();
    drop(receiver);
    eventually_is("the queue is empty", 0, async || {
        broker.messages(QUEUE).await
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn an_invalid_acknowledgement_ends_the_receiver(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    publish(&*transport, numbers(1..=4)).await;
    let mut receiver = transport.receiver(QUEUE, 3).await.unwrap();
    receive(&mut *receiver, 3).await;
    for ack in [Ack::One(2), Ack::One(3), Ack::UpTo(1)] {
        receiver.acknowledge(ack).await.unwrap();
    }
    assert_eq!(bodies(&receive(&mut *receiver, 1).await), ["4"]);

    let acknowledged_already = receiver.acknowledge(Ack::UpTo(3)).await;
    assert!(acknowledged_already.is_err() || receiver.receive().await.is_err());
}

#[rstest]
#[tokio::test]
async fn two_receivers_share_a_queue_and_each_message_goes_to_one(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    const MESSAGES: usize = 60;
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    let mut one = transport.receiver(QUEUE, 3).await.unwrap();
    let mut two = transport.receiver(QUEUE, 3).await.unwrap();
    publish(&*transport, (1..=MESSAGES).map(|number| number.to_string())).await;
    let mut received = Vec::new();
    while received.len() < MESSAGES {
        let (receiver, delivery) = tokio::select! {
            delivery = next(&mut *one) => (&mut one, delivery),
            delivery = next(&mut *two) => (&mut two, delivery),
        };
        receiver.acknowledge(Ack::One(delivery.tag)).await.unwrap();
        received.push(body(&delivery));
    }
    let different: BTreeSet<&String> = received.iter().collect();
    assert_eq!(different.len(), MESSAGES);
    drop((one, two));
    eventually_is("the queue is empty", 0, async || {
        broker.messages(QUEUE).await
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_receiver_that_waits_is_woken_by_what_arrives(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    let mut receiver = transport.receiver(QUEUE, 10).await.unwrap();
    assert!(receiver.receive().now_or_never().is_none());
    let (received, ()) = tokio::join!(next(&mut *receiver), publish(&*transport, numbers(1..=1)));
    assert_eq!(body(&received), "1");
}

#[rstest]
#[tokio::test]
async fn a_receiver_that_is_widened_holds_more_and_loses_nothing(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    publish(&*transport, numbers(1..=6)).await;
    let mut receiver = transport.receiver(QUEUE, 1).await.unwrap();
    let first = next(&mut *receiver).await;
    receiver.acknowledge(Ack::One(first.tag)).await.unwrap();
    let mut received = vec![body(&first), body(&next(&mut *receiver).await)];
    receiver.widen(5).await.unwrap();
    while received.len() < 6 {
        let delivery = next(&mut *receiver).await;
        assert!(!delivery.redelivered);
        received.push(body(&delivery));
    }
    assert_eq!(received, numbers(1..=6));
    receiver.acknowledge(Ack::UpTo(6)).await.unwrap();
    drop(receiver);
    eventually_is("all are acknowledged", 0, async || {
        broker.messages(QUEUE).await
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_receive_that_is_cancelled_loses_nothing(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    let broker = Broker::create(kind).await;
    let transport = transport(&broker);
    publish(&*transport, numbers(1..=20)).await;
    let mut receiver = transport.receiver(QUEUE, 5).await.unwrap();
    let mut received = Vec::new();
    let mut patience = (0..).map(|micros| Duration::from_micros(50 * (micros % 60)));
    eventually("all have come", async || {
        let receiving = timeout(patience.next().unwrap_or_default(), receiver.receive());
        if let Ok(delivery) = receiving.await {
            let delivery = delivery.unwrap();
            receiver.acknowledge(Ack::One(delivery.tag)).await.unwrap();
            received.push(body(&delivery));
        }
        (received.len() == 20).then_some(()).ok_or(received.len())
    })
    .await;
    assert_eq!(received, numbers(1..=20));
}

/// RabbitMQ counts by itself.
#[tokio::test]
async fn a_receive_that_is_cancelled_spends_no_delivery() {
    const LIMIT: u16 = 30;
    let broker = Broker::create(BrokerKind::Embedded).await;
    let limited = topology(QUEUE, &["thing.#"]).queue.map(|queue| Queue {
        delivery_limit: LIMIT,
        ..queue
    });
    let transport = broker.transport(Topology {
        queue: limited,
        ..topology(QUEUE, &[])
    });
    publish(&*transport, numbers(1..=1)).await;
    let mut patience = (0..).map(|micros| Duration::from_micros(20 * (micros % 60)));
    for delivery in 0..=LIMIT {
        let mut receiver = transport.receiver(QUEUE, 1).await.unwrap();
        eventually(
            &format!("delivery {delivery} of {LIMIT} and one more"),
            async || {
                let receiving = timeout(patience.next().unwrap_or_default(), receiver.receive());
                receiving.await.map(|delivery| delivery.unwrap())
            },
        )
        .await;
    }
}

#[rstest]
#[tokio::test]
async fn a_message_delivered_too_often_becomes_a_dead_letter(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] kind: BrokerKind,
) {
    const LIMIT: u16 = 2;
    let broker = Broker::create(kind).await;
    let limited = topology(QUEUE, &["thing.#"]).queue.map(|queue| Queue {
        delivery_limit: LIMIT,
        ..queue
    });
    let transport = broker.transport(Topology {
        queue: limited,
        ..topology(QUEUE, &[])
    });
    publish(&*transport, numbers(1..=1)).await;
    for _ in 0..=LIMIT {
        let mut receiver = transport.receiver(QUEUE, 1).await.unwrap();
        assert_eq!(body(&next(&mut *receiver).await), "1");
    }
    // On the embedded transport, the next receiver's request moves the message.
    let mut receiver = transport.receiver(QUEUE, 1).await.unwrap();
    let dead_letters = dead_letter_queue(QUEUE);
    tokio::select! {
        delivery = receiver.receive() => panic!("delivered again: {delivery:?}"),
        () = eventually_is("it is among the dead letters", 1, async || {
            broker.messages(&dead_letters).await
        }) => (),
    }
    let mut receiver = transport.receiver(&dead_letters, 1).await.unwrap();
    assert_eq!(body(&next(&mut *receiver).await), "1");
    assert_eq!(broker.messages(QUEUE).await, 0);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_an_error_and_no_panic() {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let error = transport(&broker).receiver("no_such_queue", 1).await;
    let error = error
        .map(|_: Box<dyn Receiver>| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("consuming queue `no_such_queue`"), "{error}");
}
