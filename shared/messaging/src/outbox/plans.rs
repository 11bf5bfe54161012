//! Tests that the frequent queries use an index, for any number of published, set-aside and waiting rows.

use rstest::rstest;
use sea_orm::{ConnectionTrait as _, Value};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use testkit::{Database, StoreKind};

use super::erasure::{ERASE, ERASE_LATER};
use super::history::{copying, moving};
use super::pending::{due_in_ms, look_sql};
use super::taken::releasing;
use crate::backlog::Budget;
use crate::backlog::watch::{OLDEST, question};
use crate::retention::HISTORY;
use store::sql;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        crate::migrations()
    }
}

/// The rows of each table.
const MANY: i64 = 1_000_000;
/// Limited, because a statement has a time limit.
const CHUNK: usize = 250_000;

const ROWS: &str = "
WITH RECURSIVE numbers (i) AS (SELECT CAST($1 AS bigint) UNION ALL SELECT i + 1 FROM numbers WHERE i < $2)
INSERT INTO {table} (event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
                     aggregate_version, payload, correlation_id, created_at, {more})
SELECT {uuid '00000000-0000-0000-0000-000000000001'}, '', '', false, '', $3, '' || (i % 5000), i, CAST('' AS {bytes}), '',
       {time of i}, {values}
FROM numbers";

async fn filled(database: &Database) -> store::Database {
    let db = database.migrated::<Migrator>().await;
    let bytes = match database.kind() {
        StoreKind::Postgres => "bytea",
        StoreKind::Sqlite => "blob",
    };
    let outbox = "angarium_outbox";
    for (table, name, count, more, values) in [
        (
            "angarium_outbox_history",
            "published",
            MANY,
            "sequence, published_at",
            "i, {time of i}",
        ),
        (
            outbox,
            "aside",
            MANY / 4,
            "set_aside_at, due_at, unroutable_since",
            "{time}, {time + 1000000}, {time}",
        ),
        (outbox, "timer", MANY / 4, "held_until", "{time + 1000000}"),
        (outbox, "ready", MANY / 2, "attempts", "0"),
    ] {
        let rows = ROWS
            .replace("{table}", table)
            .replace("{bytes}", bytes)
            .replace("{more}", more)
            .replace("{values}", values);
        for before in (0..count).step_by(CHUNK) {
            let last = count.min(before + i64::try_from(CHUNK).unwrap());
            let values = [Value::from(before + 1), last.into(), name.into()];
            sql::execute(&db, &rows, values).await.unwrap();
        }
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

fn scans(plan: &str) -> Vec<&str> {
    let is_scan = |step: &&str| {
        step.contains("Seq Scan on angarium_") && !step.contains("angarium_relay_lease")
            || step.contains("SCAN angarium_") && !step.contains("USING")
    };
    plan.lines().filter(is_scan).collect()
}

/// Per batch, or every few seconds; with the indexes that they must use.
fn regular() -> Vec<(&'static str, String, Vec<Value>, &'static [&'static str])> {
    let numbers = || sql::numbers(1..=500);
    let look = |after: i64| vec![500_i64.into(), after.into(), numbers(), sql::texts([])];
    let ready_aside_timers = &[
        "angarium_outbox_ready",
        "angarium_outbox_aside",
        "angarium_outbox_timers",
    ][..];
    let aggregates = ["1", "2"].map(|id| ("aside".to_owned(), id.to_owned()));
    let budget = Budget {
        age: std::time::Duration::from_secs(900),
        pending: 1000,
    };
    vec![
        ("a complete look", look_sql(), look(0), ready_aside_timers),
        (
            "a look from a hint",
            look_sql(),
            look(5_000),
            &ready_aside_timers[1..],
        ),
        (
            "when something is due",
            due_in_ms().to_owned(),
            vec![],
            ready_aside_timers,
        ),
        ("a release", releasing(), vec![sql::pairs(aggregates)], &[]),
        (
            "the oldest",
            OLDEST.to_owned(),
            vec![],
            &["angarium_outbox_age"],
        ),
        (
            "the budget",
            question(budget),
            vec![],
            &["angarium_outbox_age", "angarium_outbox_ready"],
        ),
        (
            "an erasure to come",
            ERASE_LATER.to_owned(),
            vec!["7".into()],
            &["angarium_outbox_personal"],
        ),
        (
            "an erasure",
            ERASE.to_owned(),
            vec!["7".into()],
            &["angarium_outbox_history_personal"],
        ),
    ]
}

#[rstest]
#[tokio::test]
async fn every_regular_statement_finds_its_rows_by_an_index(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let db = filled(&database).await;
    let mut statements = regular();
    let numbers = || vec![sql::numbers(1..=500)];
    if store == StoreKind::Sqlite {
        statements.push(("a move", copying(), numbers(), &[]));
    } else {
        statements.push(("a move", moving(), numbers(), &[]));
        // SQLite calls a walk along the primary key a scan, even if it ends after a thousand rows.
        let values = vec![1000_i64.into(), 1000_i64.into()];
        let by_position = &["angarium_outbox_history_pkey"];
        statements.push(("old history", HISTORY.to_owned(), values, by_position));
    }
    for (name, statement, values, indexes) in statements {
        let plan = plan(&db, &statement, values).await;
        for index in indexes {
            assert!(plan.contains(index), "{name}: {index}: {plan}");
        }
        assert_eq!(scans(&plan), [""; 0], "{name}: {plan}");
    }
}
