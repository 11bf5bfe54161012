//! Conflicts of transactions: unrelated calls all succeed, and a call that cannot succeed gets a status that clients
//! retry.

use futures::future::join_all;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use store::Transaction;
use testkit::{Database, StoreKind, reason};
use tonic::Code;

use crate::fixture::Fixture;
use crate::samples::tea_for;

const MANY: usize = 40;

async fn with(setting: &str) -> Fixture {
    let database = Database::create(StoreKind::Postgres).await;
    let alter = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$"
    );
    let db = database.connect().await;
    db.execute_unprepared(&alter).await.unwrap();
    let config = database.config();
    Fixture::on(database, config).await
}

#[tokio::test]
async fn where_all_is_serializable_independent_orders_are_all_taken() {
    let fixture = with("default_transaction_isolation = serializable").await;
    let user_id = fixture.known_user().await;
    let calls = (0..MANY).map(|_| fixture.place(tea_for(&user_id)));
    let refused: Vec<_> = join_all(calls)
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(
        refused.is_empty(),
        "{} of {MANY}: {refused:?}",
        refused.len()
    );
    fixture.stop().await;
}

#[tokio::test]
async fn an_order_that_another_transaction_keeps_is_a_conflict() {
    let fixture = with("lock_timeout = ''50ms''").await;
    let placed = fixture.placed_order().await;
    let other = Transaction::begin(&fixture.db).await.unwrap();
    let lock = "SELECT order_id FROM orders FOR UPDATE";
    let lock = Statement::from_string(DbBackend::Postgres, lock);
    other.query_all_raw(lock).await.unwrap();
    let refused = fixture.cancel(&placed.order_id, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    assert_eq!(reason(&refused), "TRANSACTION_CONFLICT");
    other.rollback().await.unwrap();
    fixture.cancel(&placed.order_id, "").await.unwrap();
    fixture.stop().await;
}
