//! Rows that are no longer needed are deleted in batches; others stay.

use std::time::{Duration, Instant};

use messaging::{Engine, EngineConfig, Participant, Retention};
use rstest::rstest;
use testkit::{BrokerKind, Statements, StoreKind, eventually, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::{each_on_its_own, execute};
use crate::events::EXCHANGE;
use crate::fixture::Fixture;

const OLD: i64 = 1;
const YOUNG: i64 = 4_102_444_800_000;
const MANY: i64 = 2500;

#[rstest]
#[tokio::test]
async fn old_rows_go_in_batches_and_pending_dead_or_young_ones_stay(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (statements, _listening) = Statements::listen();
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    published(&fixture, store, "old", MANY, OLD).await;
    published(&fixture, store, "young", 1, YOUNG).await;
    for (name, count, state, settled) in [
        ("old", MANY, "done", Some(OLD)),
        ("young", 1, "done", Some(YOUNG)),
        ("dead", 1, "dead", None),
        ("waiting", 1, "waiting", None),
    ] {
        seen(&fixture, name, count, state, settled).await;
    }

    let participant = Participant {
        service: "test",
        exchanges: &[EXCHANGE],
        subscriptions: Some(each_on_its_own()),
    };
    let broker = fixture.broker.of_services([&participant.topology()]);
    let config = EngineConfig {
        retention: Retention {
            outbox: Duration::from_secs(60),
            inbox: Duration::from_secs(3600),
            every: Duration::from_secs(5),
            ..Retention::default()
        },
        ..EngineConfig::default()
    };
    let begun = Instant::now();
    let engine = Engine::new(&fixture.store, &broker, participant, config);
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    for (table, left) in [
        ("angarium_outbox_history", &["young"][..]),
        ("angarium_inbox", &["dead", "waiting", "young"]),
    ] {
        let left = left.iter().map(ToString::to_string).collect();
        eventually_is(table, left, async || names(&fixture, table).await).await;
    }
    for stamped in [
        "angarium_outbox_history WHERE published_at",
        "angarium_inbox WHERE settled_at",
    ] {
        let ahead = format!("SELECT 1 FROM {stamped} >= {{time of {YOUNG}}}");
        eventually_is(stamped, 0, async || fixture.rows(&ahead, []).await.len()).await;
    }
    if store == StoreKind::Postgres {
        for table in ["angarium_outbox_history", "angarium_inbox"] {
            // A statement is recorded after its answer, which is after the rows show it.
            let batches = || {
                let asked = statements.since(begun).into_iter();
                let deleting = format!("DELETE FROM {table}");
                asked.filter(|one| one.contains(&deleting)).count()
            };
            eventually(&format!("batches of {table}"), async || match batches() {
                3.. => Ok(()),
                few => Err(few),
            })
            .await;
        }
    }
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}

async fn published(fixture: &Fixture, store: StoreKind, name: &str, count: i64, at_ms: i64) {
    let bytes = match store {
        StoreKind::Postgres => "bytea",
        StoreKind::Sqlite => "blob",
    };
    let sql = format!(
        "{NUMBERS} INSERT INTO angarium_outbox_history
             (sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
              aggregate_version, payload, correlation_id, created_at, published_at)
         SELECT i, {ID}, '', '', false, $2, '', $2, i, CAST('' AS {bytes}), '', {{time of 1}}, {{time of $3}} FROM numbers"
    );
    let values = [count.into(), name.into(), at_ms.into()];
    execute(fixture.store.connection(), &sql, values)
        .await
        .unwrap();
}

async fn seen(fixture: &Fixture, name: &str, count: i64, state: &str, settled: Option<i64>) {
    let sql = format!(
        "{NUMBERS} INSERT INTO angarium_inbox (consumer, event_id, state, event_type, received_at, settled_at)
         SELECT $2, {ID}, $3, $2, {{time of 1}}, {{time of $4}} FROM numbers"
    );
    let values = [count.into(), name.into(), state.into(), settled.into()];
    execute(fixture.store.connection(), &sql, values)
        .await
        .unwrap();
}

const ID: &str = "{uuid ('00000000-0000-0000-0000-' || (100000000000 + i))}";

const NUMBERS: &str = "WITH RECURSIVE numbers (i) AS (
    SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM numbers WHERE i < $1)";

async fn names(fixture: &Fixture, table: &str) -> Vec<String> {
    let sql = format!("SELECT event_type FROM {table} ORDER BY event_type LIMIT 5");
    let rows = fixture.rows(&sql, []).await;
    rows.iter()
        .map(|row| row.try_get("", "event_type").unwrap())
        .collect()
}
