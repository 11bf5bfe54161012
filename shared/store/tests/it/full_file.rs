//! A full SQLite file: every commit that succeeded is kept, on every connection.

use sea_orm::{ConnectionTrait, DbErr};
use store::{DatabaseConfig, Transaction};
use tempfile::TempDir;

use crate::sqlite::{Migrator, count, insert};

/// One connection, so that the next transaction gets the previous one if it is reused.
async fn file(folder: &TempDir) -> (store::Database, store::Database) {
    let config = DatabaseConfig {
        pool_max: 1,
        ..DatabaseConfig::sqlite(folder.path().join("things.db"))
    };
    let db = store::connect(&config, "test").await.unwrap();
    store::migrate::<Migrator>(&db).await.unwrap();
    let other = store::connect(&config, "test").await.unwrap();
    (db, other)
}

/// The limit belongs to one connection: a new one has room again.
async fn fill(db: &store::Database) {
    db.execute_unprepared("PRAGMA max_page_count = 1")
        .await
        .unwrap();
}

async fn begin(db: &store::Database) -> Transaction {
    Transaction::begin(db).await.unwrap()
}

async fn insert_too_much(db: &impl ConnectionTrait) -> DbErr {
    let name = "x".repeat(1_000_000);
    insert(db, &name).await.unwrap_err()
}

#[tokio::test]
async fn after_a_full_disk_what_commits_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (db, other) = file(&folder).await;
    for rolls_back in [true, false] {
        fill(&db).await;
        let transaction = begin(&db).await;
        insert_too_much(&transaction).await;
        if rolls_back {
            transaction.rollback().await.unwrap_err();
        } else {
            drop(transaction);
        }
        let transaction = begin(&db).await;
        insert(&transaction, "refused").await.unwrap();
        transaction.rollback().await.unwrap();

        let before = count(&other).await;
        let transaction = begin(&db).await;
        insert(&transaction, &format!("after {rolls_back}"))
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(count(&other).await, before + 1, "{rolls_back}");
    }
}

#[tokio::test]
async fn nothing_of_a_transaction_that_sqlite_ended_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (db, other) = file(&folder).await;
    fill(&db).await;
    let transaction = begin(&db).await;
    insert(&transaction, "before").await.unwrap();
    insert_too_much(&transaction).await;
    let after = insert(&transaction, "after").await.unwrap_err();
    assert!(store::is_unavailable(&after), "{after}");
    let committed = transaction.commit().await.unwrap_err();
    assert!(store::is_unavailable(&committed), "{committed}");
    assert_eq!(count(&other).await, 0);
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn a_transaction_that_was_left_open_reaches_no_one_else() {
    let folder = tempfile::tempdir().unwrap();
    let (db, other) = file(&folder).await;
    for round in 0..20 {
        let write = async {
            let transaction = begin(&db).await;
            insert(&transaction, &format!("given up {round}"))
                .await
                .unwrap();
            transaction.commit().await.unwrap();
        };
        let patience = std::time::Duration::from_micros(50 * round);
        let _ = tokio::time::timeout(patience, write).await;

        let before = count(&other).await;
        let transaction = begin(&db).await;
        insert(&transaction, &format!("kept {round}"))
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        assert!(count(&other).await > before, "{round}");
    }
}
