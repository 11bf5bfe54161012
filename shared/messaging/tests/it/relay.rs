//! From a committed row to a confirmed message.

use std::collections::{BTreeMap, BTreeSet};

use event::Envelope;
use messaging::transport::Confirmation;
use messaging::{RelayConfig, outbox};
use prost::Message as _;
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::{Changed, Echoed};
use crate::fixture::{Fixture, cause};
use crate::scripted::{Publication, Scripted};

mod blocked;
mod order;
mod routes;

#[rstest]
#[tokio::test]
async fn a_commit_wakes_the_relay_and_the_event_arrives_unchanged(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let transport = fixture.transport(&each_on_its_own());
    let mut receiver = transport.receiver(QUEUE, 10).await.unwrap();
    fixture.run_relay(transport);
    let first = fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    // Its next poll is an hour away.
    let event = Changed {
        note: "größer".to_owned(),
        ..Changed::of("a")
    };
    let second = fixture.commit(&event, 2).await;

    let mut messages = Vec::new();
    eventually("both have come", async || {
        let delivery = receiver.receive().await.unwrap();
        messages.push(delivery.message);
        (messages.len() == 2).then_some(()).ok_or(messages.len())
    })
    .await;
    let envelopes: Vec<Envelope> = messages
        .iter()
        .map(|message| Envelope::from_message(message).unwrap())
        .collect();
    assert_eq!([envelopes[0].id, envelopes[1].id], [first, second]);
    let envelope = &envelopes[1];
    assert_eq!(envelope.event_type, "test.account.v1.Changed");
    assert_eq!(envelope.source, "test");
    assert_eq!(envelope.aggregate_id, "a");
    assert_eq!(envelope.aggregate_version, Some(2));
    assert_eq!(envelope.correlation_id, "call-1");
    assert_eq!(messages[1].routing_key, "account.changed");
    assert_eq!(Changed::decode(messages[1].body.clone()).unwrap(), event);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_unroutable_event_stays_until_a_queue_is_bound(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let exchange = messaging::transport::Topology::publishing([crate::events::EXCHANGE]);
    fixture.look_soon();
    fixture.run_relay(fixture.broker.transport(exchange));
    fixture.commit(&Changed::of("a"), 1).await;
    let row = eventually("it was tried", async || {
        let row = fixture.outbox().await.remove(0);
        if row.attempts > 0 { Ok(row) } else { Err(row) }
    })
    .await;
    assert!(!row.published);
    let reason = "no queue is bound for account_events account.changed";
    assert_eq!(row.last_error.as_deref(), Some(reason));

    fixture
        .transport(&each_on_its_own())
        .declare()
        .await
        .unwrap();
    fixture.all_is_published().await;
    assert_eq!(fixture.broker.messages(QUEUE).await, 1);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_that_may_go_nowhere_is_published_without_a_queue(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    let echo = Echoed {
        echo: "a".to_owned(),
    };
    fixture.commit(&echo, 1).await;
    fixture.all_is_published().await;
    assert_eq!(fixture.outbox().await[0].attempts, 0);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_broker_that_is_away_costs_no_attempts_and_loses_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    for account in 0..20 {
        fixture.commit(&Changed::of(&account.to_string()), 1).await;
    }
    let (transport, mut published) = Scripted::new(3);
    fixture.run_relay(transport);
    for _ in 0..20 {
        next(&mut published).await.answer(Confirmation::Routed);
    }
    fixture.all_is_published().await;
    let outbox = fixture.outbox().await;
    assert!(outbox.iter().all(|row| row.attempts == 0));
    assert!(published.try_recv().is_err(), "published twice");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_lost_connection_repeats_only_unconfirmed_events(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    for account in ["a", "b", "c"] {
        fixture.commit(&Changed::of(account), 1).await;
    }
    let (transport, mut published) = Scripted::new(0);
    fixture.run_relay(transport);
    let mut outstanding = BTreeMap::new();
    for _ in 0..3 {
        let publication = next(&mut published).await;
        outstanding.insert(publication.event().0, publication);
    }
    let confirmed = outstanding.remove("b").unwrap();
    confirmed.answer(Confirmation::Routed);
    drop(outstanding);
    let mut again = BTreeSet::new();
    for _ in 0..2 {
        let publication = next(&mut published).await;
        again.insert(publication.event().0);
        publication.answer(Confirmation::Routed);
    }
    assert_eq!(again, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
    fixture.all_is_published().await;
    assert!(fixture.outbox().await.iter().all(|row| row.attempts == 0));
    fixture.stop().await;
}

#[tokio::test]
async fn a_late_commit_with_a_lower_sequence_is_published() {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let late = fixture.store.begin().await.unwrap();
    let late_id = outbox::enqueue(&late, &Changed::of("late"), 1, &cause()).unwrap();
    late.write_early().await.unwrap();
    let (transport, mut published) = Scripted::new(0);
    fixture.run_relay(transport);
    fixture.commit(&Changed::of("early"), 1).await;
    let first = next(&mut published).await;
    assert_eq!(first.event().0, "early");
    first.answer(Confirmation::Routed);
    fixture.all_is_published().await;

    late.commit().await.unwrap();
    let second = next(&mut published).await;
    assert_eq!(second.message.message_id, Some(late_id.to_string()));
    second.answer(Confirmation::Routed);
    fixture.all_is_published().await;
    let ids: Vec<String> = fixture
        .outbox()
        .await
        .into_iter()
        .map(|row| row.event_id)
        .collect();
    assert_eq!(ids[0], late_id.to_string(), "its sequence is not lower");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn more_events_than_the_window_holds_are_all_published(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const EVENTS: i64 = 300;
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transaction = fixture.store.begin().await.unwrap();
    for number in 0..EVENTS {
        let event = Changed::of(&(number % 50).to_string());
        outbox::enqueue(&transaction, &event, number / 50 + 1, &cause()).unwrap();
    }
    transaction.commit().await.unwrap();
    let config = RelayConfig {
        window: 20,
        ..RelayConfig::new("test")
    };
    fixture.run_relay_as(fixture.transport(&each_on_its_own()), config);
    fixture.all_is_published().await;
    let messages = fixture.broker.messages(QUEUE).await;
    assert_eq!(i64::try_from(messages).unwrap(), EVENTS);
    fixture.stop().await;
}

/// A commit, the last confirm and the stop at the same time.
#[rstest]
#[tokio::test]
async fn events_committed_before_the_stop_are_published(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    for round in 0..10 {
        let (transport, mut published) = Scripted::new(0);
        fixture.run_relay(transport);
        let accounts = [format!("{round} first"), format!("{round} last")];
        fixture.commit(&Changed::of(&accounts[0]), 1).await;
        let first = next(&mut published).await;
        let last = fixture.store.begin().await.unwrap();
        outbox::enqueue(&last, &Changed::of(&accounts[1]), 1, &cause()).unwrap();
        last.commit().await.unwrap();
        // The relay, on this thread, has not run since the commit.
        first.answer(Confirmation::Routed);
        fixture.begin_stop();
        let answering = async {
            while let Some(publication) = published.recv().await {
                publication.answer(Confirmation::Routed);
            }
        };
        tokio::join!(answering, fixture.stop());
        assert_eq!(fixture.pending().await, 0, "round {round}");
    }
}

async fn next(published: &mut UnboundedReceiver<Publication>) -> Publication {
    eventually("something is published", async || {
        published.recv().await.ok_or("the relay has ended")
    })
    .await
}
