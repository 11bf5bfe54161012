//! PostgreSQL sessions in the pool: callers cancel at any moment, and no session returns with an open transaction.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use sea_orm::sqlx::{self, PgPool};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use store::Transaction;
use testkit::{Database, Proxy, StoreKind, eventually_is};
use tokio::time::timeout;

use crate::sqlite::{Migrator, insert};

/// In each direction. An answer takes twice as long.
const DELAY: Duration = Duration::from_millis(15);
const SESSIONS: u32 = 4;

struct Slow {
    db: store::Database,
    database: Database,
    _proxy: Proxy,
    beside: store::Database,
}

impl Slow {
    async fn start() -> Self {
        let database = Database::create(StoreKind::Postgres).await;
        let proxy = Proxy::before(database.url()).await;
        let db = database.connect_by(proxy.url(), SESSIONS).await;
        store::migrate::<Migrator>(&db).await.unwrap();
        let beside = database.connect().await;
        let pool = db.get_postgres_connection_pool();
        drop(join_all((0..SESSIONS).map(|_| pool.acquire())).await);
        proxy.delay(DELAY, Duration::ZERO);
        Self {
            db,
            database,
            _proxy: proxy,
            beside,
        }
    }

    fn pool(&self) -> &PgPool {
        self.db.get_postgres_connection_pool()
    }

    async fn assert_each_session_works_and_is_outside_a_transaction(&self) {
        let acquiring = (0..SESSIONS).map(|_| self.pool().acquire());
        let mut held = Vec::new();
        for acquired in join_all(acquiring).await {
            let mut session = acquired.unwrap();
            let answer: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
                .fetch_one(&mut *session)
                .await
                .unwrap();
            held.push((answer, session));
        }
        for (pid, _) in &held {
            let state: String =
                sqlx::query_scalar("SELECT state FROM pg_stat_activity WHERE pid = $1")
                    .bind(pid)
                    .fetch_one(self.beside.get_postgres_connection_pool())
                    .await
                    .unwrap();
            assert_eq!(state, "idle", "session {pid}");
        }
    }

    /// After every session has returned. A later caller would end an open transaction, so each round checks.
    async fn assert_nothing_is_left_open(&self) {
        let in_use = async || self.pool().size() as usize - self.pool().num_idle();
        eventually_is("no session is in use", 0, in_use).await;
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
        )
        .fetch_one(self.beside.get_postgres_connection_pool())
        .await
        .unwrap();
        assert_eq!(open, 0, "sessions that are idle in a transaction");
    }

    async fn end(self) {
        self.db.close().await.unwrap();
        self.beside.close().await.unwrap();
        drop(self.database);
    }
}

fn moment(random: &mut fastrand::Rng, answers: u32) -> Duration {
    let longest = (2 * DELAY * answers + DELAY).as_micros();
    Duration::from_micros(random.u64(..u64::try_from(longest).unwrap()))
}

#[tokio::test]
async fn a_cancelled_begin_leaves_no_open_transaction() {
    let slow = Slow::start().await;
    let mut random = fastrand::Rng::with_seed(4393);
    let mut begun = 0;
    for _ in 0..20 {
        let limits: Vec<_> = (0..SESSIONS).map(|_| moment(&mut random, 2)).collect();
        let beginning = limits
            .iter()
            .map(|limit| timeout(*limit, Transaction::begin(&slow.db)));
        begun += join_all(beginning).await.iter().flatten().count();
        slow.assert_nothing_is_left_open().await;
    }
    assert!(begun < 80, "none was cancelled");
    slow.assert_each_session_works_and_is_outside_a_transaction()
        .await;
    slow.end().await;
}

#[tokio::test]
async fn a_cancelled_statement_or_end_leaves_no_open_transaction() {
    let slow = Slow::start().await;
    let mut random = fastrand::Rng::with_seed(4385);
    for round in 0..20 {
        let limits = (0..SESSIONS).map(|number| (number, moment(&mut random, 4)));
        let limits: Vec<_> = limits.collect();
        let db = &slow.db;
        let working = limits.into_iter().map(|(number, limit)| {
            timeout(limit, async move {
                let transaction = Transaction::begin(db).await?;
                let name = format!("{round}-{number}");
                insert(&transaction, &name).await?;
                match number % 2 {
                    0 => transaction.commit().await,
                    _ => transaction.rollback().await,
                }
            })
        });
        join_all(working).await;
        slow.assert_nothing_is_left_open().await;
    }
    slow.assert_each_session_works_and_is_outside_a_transaction()
        .await;
    slow.end().await;
}

#[tokio::test]
async fn each_session_is_ended_once_its_client_is_lost() {
    let database = Database::create(StoreKind::Postgres).await;
    let db = database.connect().await;
    for (setting, value) in [
        ("statement_timeout", "20s"),
        ("idle_in_transaction_session_timeout", "40s"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "30000"),
    ] {
        let set: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(db.get_postgres_connection_pool())
            .await
            .unwrap();
        assert_eq!(set, value, "{setting}");
    }
    db.close().await.unwrap();
}

async fn read_only_pool(database: &Database) -> store::Database {
    let db = database.connect_by(database.url(), SESSIONS).await;
    store::migrate::<Migrator>(&db).await.unwrap();
    let pool = db.get_postgres_connection_pool();
    let acquired = join_all((0..SESSIONS).map(|_| pool.acquire())).await;
    for session in acquired {
        sqlx::query("SET default_transaction_read_only = on")
            .execute(&mut *session.unwrap())
            .await
            .unwrap();
    }
    eventually_is("no session is in use", SESSIONS as usize, async || {
        pool.num_idle()
    })
    .await;
    db
}

async fn insert_one(db: &store::Database, name: &str) -> Result<(), DbErr> {
    let sql = "INSERT INTO things (name) VALUES ($1)";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [name.into()]);
    db.execute_raw(statement).await.map(|_| ())
}

async fn insert_in_a_transaction(db: &store::Database, name: &str) -> Result<(), DbErr> {
    let transaction = Transaction::begin(db).await?;
    let sql = "INSERT INTO things (name) VALUES ($1)";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [name.into()]);
    transaction.execute_raw(statement).await?;
    transaction.commit().await
}

#[tokio::test]
async fn each_read_only_session_fails_one_call_at_most() {
    let database = Database::create(StoreKind::Postgres).await;
    let db = read_only_pool(&database).await;
    let mut failed = 0;
    for number in 0..20 {
        let name = number.to_string();
        let inserted = match number % 2 {
            0 => insert_one(&db, &name).await,
            _ => insert_in_a_transaction(&db, &name).await,
        };
        if let Err(error) = inserted {
            assert!(store::is_unavailable(&error), "{error}");
            failed += 1;
        }
    }
    assert!(failed <= SESSIONS, "{failed} calls failed");
    db.close().await.unwrap();
}

#[tokio::test]
async fn once_a_session_proved_read_only_no_later_call_fails() {
    let database = Database::create(StoreKind::Postgres).await;
    let db = read_only_pool(&database).await;
    insert_one(&db, "refused").await.unwrap_err();
    // This session is closed immediately, the others on their next acquire.
    let pool = db.get_postgres_connection_pool();
    eventually_is("it is closed", SESSIONS - 1, async || pool.size()).await;
    let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for inserted in join_all(names.iter().map(|name| insert_one(&db, name))).await {
        inserted.unwrap();
    }
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_read_only_server_is_not_flooded_with_new_sessions() {
    let database = Database::create(StoreKind::Postgres).await;
    let beside = database.connect().await;
    let db = read_only_pool(&database).await;
    let read_only = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
    END $$";
    beside.execute_unprepared(read_only).await.unwrap();
    let session = "SELECT pg_backend_pid()";
    let (begun, mut sessions) = (Instant::now(), HashSet::new());
    for number in 0..100 {
        insert_one(&db, &number.to_string()).await.unwrap_err();
        let pool = db.get_postgres_connection_pool();
        let pid: i32 = sqlx::query_scalar(session).fetch_one(pool).await.unwrap();
        sessions.insert(pid);
    }
    let most = SESSIONS as usize * (2 + begun.elapsed().as_secs() as usize);
    assert!(sessions.len() <= most, "{} sessions", sessions.len());
    db.close().await.unwrap();
    beside.close().await.unwrap();
}
