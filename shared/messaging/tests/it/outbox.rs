//! An event is promised if and only if its transaction commits.

use messaging::outbox;
use rstest::rstest;
use testkit::{BrokerKind, StoreKind};

use crate::events::{Audited, Changed};
use crate::world::{World, cause};

#[rstest]
#[tokio::test]
async fn an_event_is_promised_only_if_its_transaction_commits(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store, BrokerKind::Embedded).await;
    let dropped = world.store.begin().await.unwrap();
    outbox::enqueue(&dropped, &Changed::of("a"), 1, &cause()).unwrap();
    drop(dropped);
    let undone = world.store.begin().await.unwrap();
    outbox::enqueue(&undone, &Changed::of("a"), 1, &cause()).unwrap();
    undone.rollback().await.unwrap();
    assert_eq!(world.outbox().await, []);

    let id = world.commit(&Changed::of("a"), 1).await;
    let promised: Vec<String> = world
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
    let world = World::new(store, BrokerKind::Embedded).await;
    world.commit(&Changed::of("a"), 1).await;
    world.commit(&Changed::of("b"), 1).await;
    let transaction = world.store.begin().await.unwrap();
    let second = Audited {
        account: "a".to_owned(),
    };
    outbox::enqueue(&transaction, &second, 1, &cause()).unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(store::is_unique_violation(&error), "{error}");
    assert_eq!(world.outbox().await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn all_events_of_one_transaction_are_promised_in_order(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store, BrokerKind::Embedded).await;
    let transaction = world.store.begin().await.unwrap();
    // More than one statement holds.
    let enqueue = |version| outbox::enqueue(&transaction, &Changed::of("a"), version, &cause());
    let ids: Vec<String> = (1..=40)
        .map(|version| enqueue(version).unwrap().to_string())
        .collect();
    transaction.commit().await.unwrap();
    let promised = world.outbox().await.into_iter().map(|row| row.event_id);
    assert_eq!(promised.collect::<Vec<_>>(), ids);
}

#[rstest]
#[tokio::test]
async fn an_event_that_is_too_large_is_refused_with_its_size(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store, BrokerKind::Embedded).await;
    let large = Changed {
        note: "x".repeat(event::MAX_BODY_BYTES),
        ..Changed::of("a")
    };
    let transaction = world.store.begin().await.unwrap();
    let refused = outbox::enqueue(&transaction, &large, 1, &cause());
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("test.account.v1.Changed"), "{text}");
    assert!(text.contains("65536"), "{text}");
}

/// On PostgreSQL a failed statement undoes the whole transaction. Its commit undoes it too, and the server reports a success.
#[rstest]
#[tokio::test]
async fn a_commit_that_would_save_nothing_is_an_error(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store, BrokerKind::Embedded).await;
    let transaction = world.store.begin().await.unwrap();
    outbox::enqueue(&transaction, &Changed::of("a"), 1, &cause()).unwrap();
    let failed = crate::effects::execute(&transaction, "INSERT INTO nowhere VALUES (1)", []);
    assert!(failed.await.is_err());
    assert!(transaction.commit().await.is_err());
    assert_eq!(world.outbox().await, []);
}
