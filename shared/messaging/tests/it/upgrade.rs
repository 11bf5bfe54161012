//! A newer release adds columns while this one runs: prepared statements keep working.

use messaging::dead_letters::DeadLetters;
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{BrokerKind, StoreKind};

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::{Changed, Failure};
use crate::fixture::Fixture;

const TABLES: [&str; 7] = [
    "angarium_outbox",
    "angarium_outbox_history",
    "angarium_relay_lease",
    "angarium_inbox",
    "angarium_position",
    "angarium_dead_letter_decision",
    "angarium_erased_person",
];

/// PostgreSQL refuses a prepared statement with changed result columns (`0A000`), permanently on that connection.
#[rstest]
#[tokio::test]
async fn columns_of_a_newer_release_disturb_no_statement(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::with_connections(store, BrokerKind::Embedded, 2).await;
    fixture.look_soon();
    fixture
        .transport(&each_on_its_own())
        .declare()
        .await
        .unwrap();
    fixture.run_relay(fixture.transport(&each_on_its_own()));
    fixture.run_consumer(each_on_its_own());
    // Every connection prepares every statement.
    for before in ["1", "2", "3"] {
        everything_works(&fixture, before).await;
    }
    let migration = fixture.store.begin().await.unwrap();
    for table in TABLES {
        let adding = format!("ALTER TABLE {table} ADD COLUMN of_the_next_release text");
        migration.execute_unprepared(&adding).await.unwrap();
    }
    migration.commit().await.unwrap();
    for after in ["4", "5", "6"] {
        everything_works(&fixture, after).await;
    }
    fixture.stop().await;
}

async fn everything_works(fixture: &Fixture, round: &str) {
    let account = |name: &str| format!("{round} {name}");
    let handled = fixture.commit(&Changed::of(&account("handled")), 1).await;
    let late = Changed::failing(&account("late"), 1, Failure::Retry);
    let late = fixture.commit(&late, 1).await;
    let dead = Changed::failing(&account("dead"), 99, Failure::Reject);
    let dead = fixture.commit(&dead, 1).await.to_string();
    fixture.becomes(&handled.to_string(), "done").await;
    fixture.becomes(&late.to_string(), "done").await;
    fixture.becomes(&dead, "dead").await;

    let letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    let listed = letters.list(None, 10).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(letters.find(&dead).await.unwrap().is_some());
    assert!(letters.replay(&dead, "operator", "mended").await.unwrap());
    fixture.becomes(&dead, "dead").await;
    assert!(letters.discard(&dead, "operator", "a test").await.unwrap());
    assert_eq!(letters.decisions(&dead).await.unwrap().len(), 2);
}
