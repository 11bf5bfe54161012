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
    outbox::enqueue(&dropped, &Changed::of("a"), 1, &cause())
        .await
        .unwrap();
    drop(dropped);
    let undone = world.store.begin().await.unwrap();
    outbox::enqueue(&undone, &Changed::of("a"), 1, &cause())
        .await
        .unwrap();
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
    let second = outbox::enqueue(
        &transaction,
        &Audited {
            account: "a".to_owned(),
        },
        1,
        &cause(),
    )
    .await;
    assert!(second.is_err());
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
    let refused = outbox::enqueue(&transaction, &large, 1, &cause()).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("test.account.v1.Changed"), "{text}");
    assert!(text.contains("65536"), "{text}");
}

/// A statement that failed has undone the whole transaction on PostgreSQL, whoever has looked away. Its commit undoes too,
/// and the server calls that a success.
#[rstest]
#[tokio::test]
async fn a_commit_that_would_save_nothing_is_an_error(
    #[values(StoreKind::Postgres)] store: StoreKind,
) {
    let world = World::new(store, BrokerKind::Embedded).await;
    let transaction = world.store.begin().await.unwrap();
    outbox::enqueue(&transaction, &Changed::of("a"), 1, &cause())
        .await
        .unwrap();
    let failed = crate::effects::execute(&*transaction, "INSERT INTO nowhere VALUES (1)", []);
    assert!(failed.await.is_err());
    assert!(transaction.commit().await.is_err());
    assert_eq!(world.outbox().await, []);
}
