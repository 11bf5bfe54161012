//! No event overtakes an earlier one of its aggregate, for every answer of the broker, at any time.

use std::collections::BTreeMap;

use messaging::transport::Confirmation;
use messaging::{Store, outbox};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use super::next;
use crate::events::Changed;
use crate::fixture::{Fixture, cause};
use crate::scripted::Scripted;

#[rstest]
#[tokio::test]
async fn an_aggregates_next_event_waits_for_the_previous_confirm(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    for (account, version) in [("a", 1), ("a", 2), ("b", 1), ("a", 3)] {
        fixture.commit(&Changed::of(account), version).await;
    }
    let (transport, mut published) = Scripted::new(0);
    fixture.run_relay(transport);
    let mut outstanding = BTreeMap::new();
    for _ in 0..2 {
        let publication = next(&mut published).await;
        outstanding.insert(publication.event(), publication);
    }
    let events: Vec<_> = outstanding.keys().cloned().collect();
    assert_eq!(events, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    outstanding
        .remove(&("b".to_owned(), 1))
        .unwrap()
        .answer(Confirmation::Routed);
    eventually_is("one is published", 3, async || fixture.pending().await).await;
    assert!(published.try_recv().is_err());
    outstanding
        .remove(&("a".to_owned(), 1))
        .unwrap()
        .answer(Confirmation::Routed);
    for version in [2, 3] {
        let publication = next(&mut published).await;
        assert_eq!(publication.event(), ("a".to_owned(), version));
        publication.answer(Confirmation::Routed);
    }
    fixture.all_is_published().await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_aggregate_with_many_events_does_not_keep_the_others(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const MANY: i64 = 1200;
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transaction = fixture.store.begin().await.unwrap();
    for version in 1..=MANY {
        outbox::enqueue(&transaction, &Changed::of("a"), version, &cause()).unwrap();
    }
    transaction.commit().await.unwrap();
    fixture.commit(&Changed::of("b"), 1).await;
    let (transport, mut published) = Scripted::new(0);
    fixture.run_relay(transport);
    let (mut before, mut versions) = (None, Vec::new());
    while versions.len() < MANY as usize || before.is_none() {
        let publication = next(&mut published).await;
        match publication.event() {
            (account, version) if account == "a" => versions.push(version),
            _ => before = Some(versions.len()),
        }
        publication.answer(Confirmation::Routed);
    }
    assert_eq!(versions, (1..=MANY).collect::<Vec<_>>());
    assert!(
        before.is_some_and(|before| before < 50),
        "{before:?} went before it"
    );
    fixture.all_is_published().await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_confirm_that_is_late_keeps_no_event_of_another_process(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let (transport, mut published) = Scripted::new(0);
    fixture.run_relay(transport);
    fixture.commit(&Changed::of("a"), 1).await;
    let late = next(&mut published).await;
    let elsewhere = Store::new(fixture.store.connection().clone());
    let transaction = elsewhere.begin().await.unwrap();
    outbox::enqueue(&transaction, &Changed::of("b"), 1, &cause()).unwrap();
    transaction.commit().await.unwrap();
    let other = next(&mut published).await;
    assert_eq!(other.event(), ("b".to_owned(), 1));
    other.answer(Confirmation::Routed);
    late.answer(Confirmation::Routed);
    fixture.all_is_published().await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_the_broker_refuses_holds_back_its_own_aggregate_only(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    for (account, version) in [("a", 1), ("a", 2), ("b", 1), ("b", 2)] {
        fixture.commit(&Changed::of(account), version).await;
    }
    let (transport, mut published) = Scripted::new(0);
    fixture.look_soon();
    fixture.run_relay(transport);
    let (mut refused, mut order) = (false, Vec::new());
    while order.len() < 4 {
        let publication = next(&mut published).await;
        let event = publication.event();
        if event == ("a".to_owned(), 1) && !refused {
            refused = true;
            publication.answer(Confirmation::Refused("the queue is full".to_owned()));
        } else {
            order.push(format!("{}{}", event.0, event.1));
            publication.answer(Confirmation::Routed);
        }
    }
    fixture.all_is_published().await;
    assert_eq!(order, ["b1", "b2", "a1", "a2"]);
    assert_eq!(fixture.outbox().await[0].attempts, 1);
    fixture.stop().await;
}
