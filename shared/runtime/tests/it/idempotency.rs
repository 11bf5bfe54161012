//! Repeated calls: one effect, one answer, on both stores.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use rstest::rstest;
use runtime::idempotency::{Call, ClaimError, answered, claim, clean_up, keep};
use runtime::status::Violations;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use sea_orm_migration::prelude::*;
use store::Transaction;
use testkit::{Database, StoreKind};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        runtime::migrations()
    }
}

fn call(caller: &str, request_id: &str, content: &str) -> Option<Call> {
    let mut violations = Violations::new();
    let call = Call::read(
        caller,
        "Place",
        request_id,
        content.as_bytes(),
        &mut violations,
    );
    assert!(violations.is_empty());
    call
}

/// Each effect has a different answer.
async fn perform(db: &store::Database, call: Option<&Call>) -> Result<Vec<u8>, ClaimError> {
    let transaction = begin(db).await;
    if let Some(first) = claim(&transaction, call).await? {
        return Ok(first);
    }
    let answer = Uuid::now_v7().as_bytes().to_vec();
    keep(&transaction, call, answer.clone()).await?;
    transaction.commit().await?;
    Ok(answer)
}

async fn begin(db: &store::Database) -> Transaction {
    Transaction::begin(db).await.unwrap()
}

async fn count(db: &store::Database) -> i64 {
    let sql = "SELECT count(*) AS n FROM angarium_idempotency";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
}

#[rstest]
#[tokio::test]
async fn only_a_repeated_call_gets_the_first_answer(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = database.migrated::<Migrator>().await;
    let id = new_id();
    let ada = call("ada", &id, "tea");
    assert_eq!(answered(&db, ada.as_ref()).await.unwrap(), None);
    let first = perform(&db, ada.as_ref()).await.unwrap();
    assert_eq!(perform(&db, ada.as_ref()).await.unwrap(), first);
    assert_eq!(
        answered(&db, ada.as_ref()).await.unwrap(),
        Some(first.clone())
    );

    for other in [
        call("eve", &id, "tea"),
        call("ada", &new_id(), "tea"),
        call("ada", "", "tea"),
    ] {
        assert_ne!(perform(&db, other.as_ref()).await.unwrap(), first);
    }
    let reused = call("ada", &id, "coffee");
    for refused in [
        perform(&db, reused.as_ref()).await.map(Some),
        answered(&db, reused.as_ref()).await,
    ] {
        assert!(matches!(refused, Err(ClaimError::Reused(_))), "{refused:?}");
    }
    assert_eq!(count(&db).await, 3);
}

#[rstest]
#[tokio::test]
async fn fifty_at_once_have_one_effect_and_one_answer(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = database.migrated::<Migrator>().await;
    let call = call("ada", &new_id(), "tea");
    let answers = join_all((0..50).map(|_| perform(&db, call.as_ref()))).await;
    let first = answers[0].as_ref().unwrap();
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap(), first);
    }
    assert_eq!(count(&db).await, 1);
}

#[rstest]
#[tokio::test]
async fn a_call_that_was_rolled_back_leaves_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = database.migrated::<Migrator>().await;
    let call = call("ada", &new_id(), "tea");
    let transaction = begin(&db).await;
    assert!(claim(&transaction, call.as_ref()).await.unwrap().is_none());
    transaction.rollback().await.unwrap();
    assert_eq!(count(&db).await, 0);
    perform(&db, call.as_ref()).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[rstest]
#[tokio::test]
async fn answers_are_kept_for_a_day_and_deleted_after_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = database.migrated::<Migrator>().await;
    // More than one batch.
    for _ in 0..3 {
        let ids = (0..400).map(|_| new_id());
        let rows: Vec<String> = ids
            .map(|id| format!("('ada', 'Place', '{id}', '', {{time of 1000}})"))
            .collect();
        let sql = format!(
            "INSERT INTO angarium_idempotency (caller, method, request_id, request_hash, created_at) VALUES {}",
            rows.join(",")
        );
        store::sql::execute(&db, &sql, []).await.unwrap();
    }
    let recent = call("ada", &new_id(), "tea");
    let first = perform(&db, recent.as_ref()).await.unwrap();
    let almost_a_day = "UPDATE angarium_idempotency SET created_at = {time - 82800000} \
                        WHERE response IS NOT NULL";
    store::sql::execute(&db, almost_a_day, []).await.unwrap();

    clean_up(&db, &CancellationToken::new()).await.unwrap();
    assert_eq!(count(&db).await, 1);
    assert_eq!(perform(&db, recent.as_ref()).await.unwrap(), first);
}

/// The first look at the old answer comes after its deletion.
struct Expiring<'a> {
    db: &'a Transaction,
    has_expired: AtomicBool,
}

#[async_trait::async_trait]
impl ConnectionTrait for Expiring<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.db.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.db.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        if !self.has_expired.swap(true, Ordering::AcqRel) {
            let deleting = "DELETE FROM angarium_idempotency";
            self.db.execute_unprepared(deleting).await?;
        }
        self.db.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.db.query_all_raw(statement).await
    }
}

#[rstest]
#[tokio::test]
async fn a_call_that_finds_its_answer_deleted_is_claimed(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = database.migrated::<Migrator>().await;
    let call = call("ada", &Uuid::now_v7().to_string(), "one");
    perform(&db, call.as_ref()).await.unwrap();
    let transaction = begin(&db).await;
    let expiring = Expiring {
        db: &transaction,
        has_expired: AtomicBool::new(false),
    };
    let claimed = claim(&expiring, call.as_ref()).await.unwrap();
    assert_eq!(claimed, None);
    keep(&transaction, call.as_ref(), b"again".to_vec())
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let repeated = answered(&db, call.as_ref()).await.unwrap();
    assert_eq!(repeated.as_deref(), Some(&b"again"[..]));
}
