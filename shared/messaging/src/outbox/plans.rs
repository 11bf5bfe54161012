//! Tests that the frequent queries use an index, however many rows are published, set aside or wait behind a set-aside row.

use rstest::rstest;
use sea_orm::{ConnectionTrait as _, Value};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use testkit::{Database, StoreKind};

use super::pending::{due_in_ms, look_sql};
use super::taken::MARK;
use crate::backlog::{Budget, OLDEST, question};
use store::sql;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        crate::migrations()
    }
}

/// Rows of many aggregates, `$1` of them published, as many set aside, and few that are to be published.
const ROWS: &str = "
WITH RECURSIVE numbers (i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM numbers WHERE i < $1)
INSERT INTO outbox (event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
                    aggregate_version, payload, correlation_id, created_at_ms, due_at_ms, published_at_ms,
                    set_aside_at_ms, unroutable_since_ms)
SELECT $2 || i, '', '', false, '', $2, '' || (i % 500), i, CAST('' AS {bytes}), '', i, {due}, {published}, {aside}, {aside}
FROM numbers";

async fn filled(database: &Database) -> store::Database {
    let db = database.migrated::<Migrator>().await;
    let bytes = match database.kind() {
        StoreKind::Postgres => "bytea",
        StoreKind::Sqlite => "blob",
    };
    let (past, future, null) = ("1", "4102444800000", "CAST(NULL AS bigint)");
    for (name, count, due, published, aside) in [
        ("published", 20_000_i64, past, past, null),
        ("aside", 20_000, future, null, past),
        ("ready", 300, past, null, null),
    ] {
        let rows = ROWS
            .replace("{bytes}", bytes)
            .replace("{due}", due)
            .replace("{published}", published)
            .replace("{aside}", aside);
        let values = [Value::from(count), name.into()];
        sql::execute(&db, &rows, values).await.unwrap();
    }
    sql::execute(&db, "ANALYZE", []).await.unwrap();
    db
}

async fn plan(db: &store::Database, statement: &str, values: Vec<Value>) -> String {
    let (explain, column) = match db.get_database_backend() {
        sea_orm::DbBackend::Postgres => ("EXPLAIN", "QUERY PLAN"),
        _ => ("EXPLAIN QUERY PLAN", "detail"),
    };
    let asked = sql::statement(db, &format!("{explain} {statement}"), values);
    let rows = db.query_all_raw(asked).await.unwrap();
    let steps = rows.iter().map(|row| row.try_get("", column).unwrap());
    steps.collect::<Vec<String>>().join("\n")
}

/// Which steps of a plan read the table without an index.
fn scans(plan: &str) -> Vec<&str> {
    let is_scan = |step: &&str| {
        step.contains("Seq Scan on outbox")
            || step.contains("SCAN outbox") && !step.contains("USING")
    };
    plan.lines().filter(is_scan).collect()
}

#[rstest]
#[tokio::test]
async fn a_look_reads_only_what_is_ready_or_due_again(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = filled(&database).await;
    let values = vec![500_i64.into(), sql::texts([])];
    let plan = plan(&db, &look_sql(), values).await;
    for index in ["outbox_ready", "outbox_aside", "outbox_timers"] {
        assert!(plan.contains(index), "{index}: {plan}");
    }
    assert_eq!(scans(&plan), [""; 0], "{plan}");
}

#[rstest]
#[tokio::test]
async fn when_something_is_due_is_found_by_indexes(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = filled(&database).await;
    let plan = plan(&db, &due_in_ms(), Vec::new()).await;
    for index in ["outbox_ready", "outbox_aside", "outbox_timers"] {
        assert!(plan.contains(index), "{index}: {plan}");
    }
    assert_eq!(scans(&plan), [""; 0], "{plan}");
}

#[rstest]
#[tokio::test]
async fn marking_reads_only_the_rows_that_it_marks(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = filled(&database).await;
    let plan = plan(&db, MARK, vec![sql::list(1..=500)]).await;
    assert_eq!(scans(&plan), [""; 0], "{plan}");
}

#[rstest]
#[tokio::test]
async fn the_budget_is_asked_for_by_indexes(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = filled(&database).await;
    let oldest = plan(&db, OLDEST, Vec::new()).await;
    assert!(oldest.contains("outbox_age"), "{oldest}");
    let budget = Budget {
        age: std::time::Duration::from_secs(900),
        pending: 1000,
    };
    let both = plan(&db, &question(budget), Vec::new()).await;
    assert!(both.contains("outbox_age"), "{both}");
    assert_eq!(scans(&both), [""; 0], "{both}");
}
