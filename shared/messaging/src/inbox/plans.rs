//! Tests that the statements on the inbox use an index on both stores, for any number of done and held events.

use rstest::rstest;
use sea_orm::QueryResult;
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use serde_json::json;
use testkit::{Database, StoreKind};

use super::positions::{LOCK, RELEASE};
use super::{LOWEST_HELD, erasure, held};
use crate::dead_letters::{self, aging};
use store::sql;

const DONE: u32 = 600_000;
const HELD: u32 = 200_000;
/// Limited, because a statement has a time limit.
const CHUNK: usize = 250_000;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        crate::migrations()
    }
}

async fn fill(db: &store::Database) {
    for (kind, (state, due, begun, rows)) in [
        ("done", "NULL", 0, DONE),
        ("deferred", "{time of n}", 0, HELD),
        ("waiting", "NULL", 0, HELD),
        ("deferred", "{time + (30000 + n)}", 1, 20),
    ]
    .into_iter()
    .enumerate()
    {
        for before in (0..rows).step_by(CHUNK) {
            let last = rows.min(before + u32::try_from(CHUNK).unwrap());
            let filling = format!(
                "WITH RECURSIVE number (n) AS (SELECT {before} + 1 UNION ALL SELECT n + 1 FROM number WHERE n < {last})
                 INSERT INTO angarium_inbox (consumer, event_id, state, aggregate_type, aggregate_id, aggregate_version,
                                             received_at, due_at, begun)
                 SELECT 'queue', {{uuid ('00000000-0000-0000-000{kind}-' || (100000000000 + n))}}, '{state}', 'account',
                        '{state}-{begun}-' || n, 1, {{time of n}}, {due}, {begun}
                 FROM number"
            );
            sql::execute(db, &filling, []).await.unwrap();
        }
    }
    let positions = format!(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {HELD})
         INSERT INTO angarium_position (consumer, aggregate_type, aggregate_id, version)
         SELECT 'queue', 'account', 'waiting-0-' || n, 1 FROM number"
    );
    sql::execute(db, &positions, []).await.unwrap();
    sql::execute(db, "ANALYZE", []).await.unwrap();
}

async fn plan(db: &store::Database, kind: StoreKind, statement: &str) -> String {
    let (explain, _) = explain(kind);
    let mut statement = statement.to_owned();
    for (parameter, value) in [
        ("$1", "'queue'"),
        ("LIMIT $2", "LIMIT 8"),
        ("$2", "'account'"),
        ("+ $3", "+ 1000"),
        ("$3", "'waiting-0-7'"),
        ("$4", "1"),
    ] {
        statement = statement.replace(parameter, value);
    }
    let rows = sql::query_all(db, &format!("{explain} {statement}"), []).await;
    steps(&rows.unwrap(), kind)
}

fn explain(kind: StoreKind) -> (&'static str, &'static str) {
    match kind {
        StoreKind::Postgres => ("EXPLAIN", "QUERY PLAN"),
        StoreKind::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
    }
}

fn steps(rows: &[QueryResult], kind: StoreKind) -> String {
    let (_, column) = explain(kind);
    let steps = rows.iter().map(|row| row.try_get("", column).unwrap());
    steps.collect::<Vec<String>>().join("\n")
}

#[rstest]
#[tokio::test]
async fn no_statement_reads_all_that_is_held(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let db = database.migrated::<Migrator>().await;
    fill(&db).await;
    let known = ["acme.user.v1.Created", "acme.user.v1.Renamed"];
    let due_in_ms = held::due_in_ms("queue", &known);
    let adoptable = format!(
        "SELECT event_id FROM angarium_inbox {}",
        held::adoptable("queue", &known)
    );
    let letters = dead_letters::letters(dead_letters::OPEN);
    for (statement, index) in [
        (held::SUSPECT, "angarium_inbox_suspect"),
        (&held::taking_up(true), "angarium_inbox_suspect"),
        (&held::taking_up(false), "angarium_inbox_due"),
        (&due_in_ms, "angarium_inbox_due"),
        (&adoptable, "angarium_inbox_unknown"),
        (LOWEST_HELD, "angarium_inbox_unsettled"),
        (&letters, "angarium_inbox_unsettled"),
    ] {
        let plan = plan(&db, kind, statement).await;
        assert!(plan.contains(index), "{statement}:\n{plan}");
        let reads_all = ["Seq Scan on angarium_inbox", "SCAN angarium_inbox"];
        let reads_all = reads_all.iter().any(|step| {
            let lines = plan.lines().filter(|line| line.contains(step));
            lines.clone().any(|line| !line.contains("USING"))
        });
        assert!(!reads_all, "{statement}:\n{plan}");
    }
    let account = |id: &str| ("account".to_owned(), id.to_owned());
    let position = json!({"aggregate_type": "account", "aggregate_id": "waiting-0-7", "version": 0, "ahead": 1});
    for (statement, value, index) in [
        (
            LOCK,
            sql::pairs([account("waiting-0-7"), account("new")]),
            "angarium_position",
        ),
        (
            RELEASE,
            sql::list(position.as_object().cloned()),
            "angarium_inbox_unsettled",
        ),
    ] {
        let (explain, _) = explain(kind);
        let statement = format!("{explain} {statement}");
        let rows = sql::query_all(&db, &statement, ["queue".into(), value]).await;
        let plan = steps(&rows.unwrap(), kind);
        assert!(plan.contains(index), "{statement}:\n{plan}");
        for table in ["angarium_inbox", "angarium_position"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{plan}");
            assert!(!plan.contains(&format!("SCAN {table}\n")), "{plan}");
        }
    }
    let types = || {
        let one = json!({"event_type": "angarium.user.v1.UserCreated"});
        sql::list(one.as_object().cloned())
    };
    // PostgreSQL estimates which one is the smallest.
    const HELD: &[&str] = &[
        "angarium_inbox_unattributed",
        "angarium_inbox_late",
        "angarium_inbox_given_up",
    ];
    for (statement, values, indexes) in [
        (erasure::UNATTRIBUTED, vec![types(), 200_i64.into()], HELD),
        (erasure::LATE, vec![types(), 200_i64.into()], HELD),
        (
            erasure::PERSONAL,
            vec!["user".into(), 200_i64.into()],
            &["angarium_inbox_personal"],
        ),
        (erasure::LEFT, vec![types(), "user".into()], HELD),
        (
            aging::AGED,
            vec!["queue".into(), 1000_i64.into(), 200_i64.into()],
            &["angarium_inbox_given_up"],
        ),
        (
            aging::REJECTED,
            vec!["queue".into(), 200_i64.into()],
            &["angarium_inbox_given_up"],
        ),
    ] {
        let (explain, _) = explain(kind);
        let statement = format!("{explain} {statement}");
        let rows = sql::query_all(&db, &statement, values).await;
        let plan = steps(&rows.unwrap(), kind);
        let is_found = indexes.iter().any(|index| plan.contains(index));
        assert!(is_found, "{statement}:\n{plan}");
        assert!(!plan.contains("Seq Scan on angarium_inbox"), "{plan}");
        let reads_all =
            |line: &str| line.contains("SCAN angarium_inbox") && !line.contains("USING");
        assert!(!plan.lines().any(reads_all), "{plan}");
    }
    if kind == StoreKind::Postgres {
        a_look_for_suspects_reads_none_of_those_that_are_due(&db).await;
    }
}

async fn a_look_for_suspects_reads_none_of_those_that_are_due(db: &store::Database) {
    let counted = format!("(ANALYZE, TIMING OFF) {}", held::SUSPECT);
    let plan = plan(db, StoreKind::Postgres, &counted).await;
    assert!(!plan.contains("Rows Removed"), "{plan}");
    assert!(plan.contains("rows=0 loops=1"), "{plan}");
}
