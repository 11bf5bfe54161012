//! An event is published if and only if its transaction commits.

use messaging::{Cause, outbox};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};
use tokio::task::JoinSet;

use crate::effects::{each_on_its_own, execute};
use crate::events::{Audited, Changed};
use crate::fixture::{Fixture, cause};

#[rstest]
#[tokio::test]
async fn an_event_is_promised_only_if_its_transaction_commits(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let dropped = fixture.store.begin().await.unwrap();
    outbox::enqueue(&dropped, &Changed::of("a"), 1, &cause()).unwrap();
    drop(dropped);
    let undone = fixture.store.begin().await.unwrap();
    outbox::enqueue(&undone, &Changed::of("a"), 1, &cause()).unwrap();
    undone.rollback().await.unwrap();
    assert_eq!(fixture.outbox().await, []);

    let id = fixture.commit(&Changed::of("a"), 1).await;
    let promised: Vec<String> = fixture
        .outbox()
        .await
        .into_iter()
        .map(|row| row.event_id)
        .collect();
    assert_eq!(promised, [id.to_string()]);
}

#[rstest]
#[tokio::test]
async fn two_events_cannot_take_the_same_version_of_an_aggregate(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.commit(&Changed::of("b"), 1).await;
    let transaction = fixture.store.begin().await.unwrap();
    let second = Audited {
        account: "a".to_owned(),
    };
    outbox::enqueue(&transaction, &second, 1, &cause()).unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(store::is_unique_violation(&error), "{error}");
    assert_eq!(fixture.outbox().await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn all_events_of_one_transaction_are_promised_in_order(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transaction = fixture.store.begin().await.unwrap();
    // In more than one statement.
    let enqueue = |version| outbox::enqueue(&transaction, &Changed::of("a"), version, &cause());
    let ids: Vec<String> = (1..=40)
        .map(|version| enqueue(version).unwrap().to_string())
        .collect();
    transaction.commit().await.unwrap();
    let promised = fixture.outbox().await.into_iter().map(|row| row.event_id);
    assert_eq!(promised.collect::<Vec<_>>(), ids);
}

#[rstest]
#[tokio::test]
async fn an_event_that_is_too_large_is_refused_with_its_size(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let large = Changed {
        note: "x".repeat(event::MAX_BODY_BYTES),
        ..Changed::of("a")
    };
    let transaction = fixture.store.begin().await.unwrap();
    let refused = outbox::enqueue(&transaction, &large, 1, &cause());
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("test.account.v1.Changed"), "{text}");
    assert!(text.contains("65536"), "{text}");
}

/// On PostgreSQL, the server reports the commit of a failed transaction as a success.
#[rstest]
#[tokio::test]
async fn a_commit_that_would_save_nothing_is_an_error(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transaction = fixture.store.begin().await.unwrap();
    outbox::enqueue(&transaction, &Changed::of("a"), 1, &cause()).unwrap();
    let failed = crate::effects::execute(&transaction, "INSERT INTO nowhere VALUES (1)", []);
    assert!(failed.await.is_err());
    assert!(transaction.commit().await.is_err());
    assert_eq!(fixture.outbox().await, []);
}

#[rstest]
#[tokio::test]
async fn a_version_that_was_published_cannot_be_taken_again(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transport = fixture.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    fixture.run_relay(transport);
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    let transaction = fixture.store.begin().await.unwrap();
    outbox::enqueue(&transaction, &Changed::of("a"), 1, &cause()).unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(store::is_unique_violation(&error), "{error}");
    assert_eq!(fixture.outbox().await.len(), 1);
    fixture.stop().await;
}

/// The move of the version is not committed. A check before the INSERT would miss it.
#[tokio::test]
async fn a_version_that_is_just_being_moved_cannot_be_taken_again() {
    let fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    fixture.commit(&Changed::of("a"), 1).await;
    let moving = fixture.store.begin().await.unwrap();
    for sql in [
        "INSERT INTO angarium_outbox_history
             (sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
              aggregate_version, payload, correlation_id, created_at, published_at)
         SELECT sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
                aggregate_version, payload, correlation_id, created_at, {time}
         FROM angarium_outbox",
        "DELETE FROM angarium_outbox",
    ] {
        execute(&moving, sql, []).await.unwrap();
    }
    let second = fixture.store.begin().await.unwrap();
    outbox::enqueue(&second, &Changed::of("a"), 1, &cause()).unwrap();
    let mut running = JoinSet::new();
    running.spawn(second.commit());
    let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    eventually_is("the second waits", 1, async || {
        fixture.rows(waits, []).await.len()
    })
    .await;
    moving.commit().await.unwrap();
    let error = running.join_next().await.unwrap().unwrap().unwrap_err();
    assert!(store::is_unique_violation(&error), "{error}");
}

#[rstest]
#[tokio::test]
async fn what_an_event_causes_names_it_and_a_call_names_none(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let first = fixture.commit(&Changed::of("a"), 1).await;
    let transaction = fixture.store.begin().await.unwrap();
    let caused = Cause {
        event_id: Some(first),
        ..cause()
    };
    outbox::enqueue(&transaction, &Changed::of("b"), 1, &caused).unwrap();
    transaction.commit().await.unwrap();
    let rows = fixture
        .rows(
            "SELECT {text causation_id} AS causation_id FROM angarium_events ORDER BY sequence",
            [],
        )
        .await;
    let causes: Vec<Option<String>> = rows
        .iter()
        .map(|row| row.try_get("", "causation_id").unwrap())
        .collect();
    assert_eq!(causes, [None, Some(first.to_string())]);
}

fn about(person: &str) -> Changed {
    Changed {
        note: person.to_owned(),
        ..Changed::of(person)
    }
}

#[rstest]
#[tokio::test]
async fn an_erasure_covers_what_is_published_and_what_is_still_to_be(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transport = fixture.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    fixture.run_relay(transport);
    fixture.commit(&about("ada"), 1).await;
    fixture.commit(&about("bob"), 1).await;
    fixture.all_is_published().await;
    fixture.stop().await;
    fixture.commit(&about("ada"), 2).await;

    let transaction = fixture.store.begin().await.unwrap();
    outbox::erase(&transaction, "ada").await.unwrap();
    transaction.commit().await.unwrap();
    let pending = "SELECT 1 FROM angarium_outbox WHERE length(payload) > 0";
    assert_eq!(fixture.rows(pending, []).await.len(), 1);
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.all_is_published().await;
    let left = "SELECT person_id FROM angarium_outbox_history WHERE length(payload) > 0 OR erased_at IS NULL";
    let left = fixture.rows(left, []).await;
    let left: Vec<String> = left
        .iter()
        .map(|row| row.try_get("", "person_id").unwrap())
        .collect();
    assert_eq!(left, ["bob"]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_was_published_can_be_published_again_in_its_order(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transport = fixture.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    fixture.run_relay(transport);
    let mut enqueued = Vec::new();
    for version in 1..=3 {
        let id = fixture.commit(&Changed::of("a"), version).await;
        enqueued.push(id.to_string());
    }
    fixture.all_is_published().await;
    fixture.stop().await;
    enqueued.push(fixture.commit(&Changed::of("a"), 4).await.to_string());
    assert_eq!(outbox::publish_again(&fixture.store, 0).await.unwrap(), 3);
    assert_eq!(fixture.pending().await, 4);
    let ids: Vec<String> = fixture
        .outbox()
        .await
        .into_iter()
        .map(|row| row.event_id)
        .collect();
    assert_eq!(ids, enqueued);
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.all_is_published().await;
    fixture.stop().await;
}

/// Without the trigger, only the history's key detects the repeated version.
#[rstest]
#[tokio::test]
async fn an_event_that_the_history_refuses_is_not_published_for_ever(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transport = fixture.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    fixture.commit(&Changed::of("a"), 1).await;
    let other = "INSERT INTO angarium_outbox_history
             (sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
              aggregate_version, payload, correlation_id, created_at, published_at)
         SELECT sequence, {uuid '00000000-0000-0000-0000-000000000001'}, exchange, routing_key, may_be_unrouted, event_type,
                aggregate_type, aggregate_id, aggregate_version, payload, correlation_id, created_at, {time}
         FROM angarium_outbox";
    execute(fixture.store.connection(), other, [])
        .await
        .unwrap();
    fixture.commit(&Changed::of("b"), 1).await;
    fixture.run_relay(transport);
    fixture.all_is_published().await;
    let history = "SELECT 1 FROM angarium_outbox_history";
    assert_eq!(fixture.rows(history, []).await.len(), 2);
    fixture.stop().await;
}
