//! Begin and end of transactions: a cancelled caller leaves no open transaction in the pool.

use std::time::Duration;

use futures::future::join_all;
use messaging::Store;
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, Statement};
use testkit::{Database, Proxy, StoreKind};
use tokio::time::timeout;

use crate::effects::Migrator;

const SESSIONS: u32 = 4;
/// A file answers within microseconds.
const DELAY: Duration = Duration::from_millis(15);

/// The relay's and the timers' statements outside a transaction must be visible to other sessions at once.
#[rstest]
#[tokio::test]
async fn after_cancelled_begins_each_statement_stands_alone(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let beside = database.migrated::<Migrator>().await;
    let proxy = match kind {
        StoreKind::Postgres => Some(Proxy::before(database.url()).await),
        StoreKind::Sqlite => None,
    };
    let url = proxy.as_ref().map_or(database.url(), Proxy::url);
    let store = Store::new(database.connect_by(url, SESSIONS).await);
    let asking = (0..SESSIONS).map(|_| store.connection().ping());
    join_all(asking).await;
    let mut longest = Duration::from_micros(300);
    if let Some(proxy) = &proxy {
        proxy.delay(DELAY, Duration::ZERO);
        longest = 5 * DELAY;
    }
    let mut random = fastrand::Rng::with_seed(4393);
    for round in 0..25 {
        let limits: Vec<_> = (0..SESSIONS)
            .map(|_| longest.mul_f64(random.f64()))
            .collect();
        let beginning = limits.iter().map(|limit| timeout(*limit, store.begin()));
        drop(join_all(beginning).await);
        let statements = (0..SESSIONS).map(async |number| {
            let insert = format!(
                "INSERT INTO angarium_relay_lease (name, holder, expires_at) VALUES ('{round}-{number}', 'test', CURRENT_TIMESTAMP)"
            );
            store.connection().execute_unprepared(&insert).await
        });
        for written in join_all(statements).await {
            written.unwrap();
        }
        let seen = beside
            .query_all_raw(Statement::from_string(
                beside.get_database_backend(),
                "SELECT name FROM angarium_relay_lease WHERE holder = 'test'",
            ))
            .await
            .unwrap();
        assert_eq!(seen.len(), (round + 1) * SESSIONS as usize);
    }
    store.begin().await.unwrap().commit().await.unwrap();
}
