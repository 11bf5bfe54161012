//! PostgreSQL: schemas, replicas that start together, and a server that goes away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use sea_orm::{ConnectionTrait, Statement};
use store::{DatabaseConfig, Transaction};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use url::Url;
use uuid::Uuid;

use crate::sqlite::{Migrator, count, insert};

struct Database {
    admin: store::Database,
    name: String,
    url: Url,
}

impl Database {
    async fn create() -> Self {
        let mut url = server();
        let admin = DatabaseConfig::new(url.to_string());
        let admin = store::connect(&admin, "runtime-tests").await.unwrap();
        let name = format!("runtime_{}", Uuid::now_v7().simple());
        let create = format!("CREATE DATABASE {name}");
        admin.execute_unprepared(&create).await.unwrap();
        url.set_path(&name);
        Self { admin, name, url }
    }

    fn config(&self) -> DatabaseConfig {
        DatabaseConfig::new(self.url.to_string())
    }

    async fn drop(self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.admin.execute_unprepared(&drop).await.unwrap();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one setting of the tests, and no service reads it"
)]
fn server() -> Url {
    let Ok(url) = std::env::var("ANGARIUM_TEST_POSTGRES_URL") else {
        panic!("set ANGARIUM_TEST_POSTGRES_URL, or run `cargo xtask test`");
    };
    url.parse().unwrap()
}

async fn text(db: &impl ConnectionTrait, sql: &str) -> String {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn each_connection_has_its_schema_and_the_services_name() {
    let database = Database::create().await;
    let config = database.config().with_schema("order_service");
    let db = store::connect(&config, "order-service").await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        let transaction = begin(&db).await;
        assert_eq!(
            text(&transaction, "SELECT current_schema()").await,
            "order_service"
        );
        let name = "SELECT current_setting('application_name')";
        assert_eq!(text(&transaction, name).await, "order-service");
        held.push(transaction);
    }
    drop(held);
    database.drop().await;
}

#[tokio::test]
async fn replicas_that_start_together_all_succeed() {
    let database = Database::create().await;
    let config = database.config().with_schema("user_service");
    let replicas = join_all((0..4).map(|_| async {
        let db = store::connect(&config, "user-service").await.unwrap();
        store::migrate::<Migrator>(&db).await.unwrap();
        db
    }))
    .await;
    assert_eq!(count(&replicas[0]).await, 0);
    store::migrate::<Migrator>(&replicas[1]).await.unwrap();
    database.drop().await;
}

#[tokio::test]
async fn two_services_share_a_database_without_seeing_each_other() {
    let database = Database::create().await;
    let users = database.config().with_schema("user_service");
    let orders = database.config().with_schema("order_service");
    let users = store::connect(&users, "user-service").await.unwrap();
    let orders = store::connect(&orders, "order-service").await.unwrap();
    store::migrate::<Migrator>(&users).await.unwrap();
    store::migrate::<Migrator>(&orders).await.unwrap();
    insert(&users, "a").await.unwrap();
    assert_eq!(count(&users).await, 1);
    assert_eq!(count(&orders).await, 0);
    database.drop().await;
}

#[tokio::test]
async fn a_taken_name_is_a_unique_violation_and_says_which() {
    let database = Database::create().await;
    let db = store::connect(&database.config(), "test").await.unwrap();
    store::migrate::<Migrator>(&db).await.unwrap();
    insert(&db, "a").await.unwrap();
    let error = insert(&db, "a").await.unwrap_err();
    assert_eq!(
        store::unique_violation(&error).as_deref(),
        Some("things_name_key")
    );
    assert!(!store::is_unavailable(&error));
    database.drop().await;
}

#[tokio::test]
async fn of_two_transactions_in_a_deadlock_one_is_a_conflict() {
    let database = Database::create().await;
    let db = store::connect(&database.config(), "test").await.unwrap();
    store::migrate::<Migrator>(&db).await.unwrap();
    for name in ["a", "b"] {
        insert(&db, name).await.unwrap();
    }
    let (one, other) = (begin(&db).await, begin(&db).await);
    let lock = async |transaction: &Transaction, name: &str| {
        let sql = format!("SELECT name FROM things WHERE name = '{name}' FOR UPDATE");
        let statement = Statement::from_string(transaction.get_database_backend(), sql);
        transaction.query_one_raw(statement).await
    };
    lock(&one, "a").await.unwrap();
    lock(&other, "b").await.unwrap();
    let in_turn = async |transaction: Transaction, name| {
        let answer = lock(&transaction, name).await;
        transaction.rollback().await.unwrap();
        answer.err()
    };
    let (one, other) = tokio::join!(in_turn(one, "b"), in_turn(other, "a"));
    assert!(one.is_none() != other.is_none(), "{one:?}, {other:?}");
    let error = one.or(other).unwrap();
    assert!(store::is_conflict(&error), "{error}");
    database.drop().await;
}

#[tokio::test]
async fn a_transaction_that_cannot_be_serialised_is_a_conflict() {
    let database = Database::create().await;
    let db = store::connect(&database.config(), "test").await.unwrap();
    store::migrate::<Migrator>(&db).await.unwrap();
    insert(&db, "a").await.unwrap();
    let late = begin(&db).await;
    let strict = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    late.execute_unprepared(strict).await.unwrap();
    text(&late, "SELECT name FROM things").await;
    let change = "UPDATE things SET name = name || '!'";
    db.execute_unprepared(change).await.unwrap();
    let error = late.execute_unprepared(change).await.unwrap_err();
    assert!(store::is_conflict(&error), "{error}");
    late.rollback().await.unwrap();
    database.drop().await;
}

async fn begin(db: &store::Database) -> Transaction {
    Transaction::begin(db).await.unwrap()
}

#[tokio::test]
async fn a_closed_connection_is_unavailable_and_the_next_one_works() {
    let database = Database::create().await;
    let db = store::connect(&database.config(), "test").await.unwrap();
    let transaction = begin(&db).await;
    let pid = text(&transaction, "SELECT pg_backend_pid()::text").await;
    let kill = format!("SELECT pg_terminate_backend({pid})");
    database.admin.execute_unprepared(&kill).await.unwrap();
    let error = transaction
        .execute_unprepared("SELECT 1")
        .await
        .unwrap_err();
    assert!(store::is_unavailable(&error), "{error}");
    drop(transaction);
    assert!(store::ping(&db).await);
    database.drop().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_does_not_keep_its_place_in_the_pool() {
    let database = Database::create().await;
    let config = DatabaseConfig {
        pool_max: 1,
        acquire_timeout: Duration::from_secs(12),
        ..database.config()
    };
    let db = store::connect(&config, "test").await.unwrap();
    let silent = db.execute_unprepared("SELECT pg_sleep(60)");
    let given_up = tokio::time::timeout(Duration::from_millis(100), silent).await;
    assert!(given_up.is_err(), "{given_up:?}");
    db.execute_unprepared("SELECT 1").await.unwrap();
    database.drop().await;
}

#[tokio::test]
async fn a_server_that_is_away_at_first_is_waited_for() {
    let proxy = Proxy::start().await;
    proxy.up.send_replace(false);
    let config = DatabaseConfig::new(proxy.url.to_string());
    let connecting = store::connect(&config, "test");
    let coming_back = async {
        proxy.refused.notified().await;
        proxy.refused.notified().await;
        proxy.up.send_replace(true);
    };
    let (db, ()) = tokio::join!(connecting, coming_back);
    assert!(store::ping(&db.unwrap()).await);
}

#[tokio::test]
async fn a_lost_server_is_unavailable_fast_and_the_pool_recovers() {
    let proxy = Proxy::start().await;
    let config = DatabaseConfig::new(proxy.url.to_string());
    let db = store::connect(&config, "test").await.unwrap();
    assert!(store::ping(&db).await);

    proxy.up.send_replace(false);
    let begun = Instant::now();
    let error = db.execute_unprepared("SELECT 1").await.unwrap_err();
    assert!(store::is_unavailable(&error), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(!store::ping(&db).await);

    proxy.up.send_replace(true);
    assert!(store::ping(&db).await);
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_for_an_operator() {
    let database = Database::create().await;
    let mut url = database.url.clone();
    url.set_path("no_such_database");
    let mut config = DatabaseConfig::new(url);
    config.patience = Duration::from_millis(300);
    let error = store::connect(&config, "test").await.unwrap_err();
    assert!(error.is_misconfiguration(), "{error}");
    let message = error.to_string();
    for part in ["DATABASE_URL", "no_such_database"] {
        assert!(message.contains(part), "{message}");
    }
    database.drop().await;
}

#[tokio::test]
async fn a_server_that_stays_away_is_named_without_its_password() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut config = DatabaseConfig::new(format!("postgres://app:hunter2@127.0.0.1:{port}/x"));
    config.patience = Duration::from_millis(300);
    let error = store::connect(&config, "test").await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
    assert!(
        !format!("{message} {error:?}").contains("hunter2"),
        "{message}"
    );
}

#[tokio::test]
async fn a_schema_that_is_no_plain_name_is_refused() {
    let config = DatabaseConfig::new("postgres://db/x").with_schema("x; DROP SCHEMA public");
    let error = store::connect(&config, "test").await.unwrap_err();
    assert!(
        error.to_string().contains("not a valid schema name"),
        "{error}"
    );
}

/// When cut, it refuses new connections and ends open ones.
struct Proxy {
    url: Url,
    up: watch::Sender<bool>,
    refused: Arc<Notify>,
}

impl Proxy {
    async fn start() -> Self {
        let mut url = server();
        let target = url.socket_addrs(|| Some(5432)).unwrap()[0];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        let proxy = Self {
            url,
            up: watch::Sender::new(true),
            refused: Arc::default(),
        };
        let (up, refused) = (proxy.up.subscribe(), Arc::clone(&proxy.refused));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                if *up.borrow() {
                    tokio::spawn(forward(near, target, up.clone()));
                } else {
                    drop(near);
                    refused.notify_one();
                }
            }
        });
        proxy
    }
}

async fn forward(mut near: TcpStream, target: SocketAddr, mut up: watch::Receiver<bool>) {
    let mut far = TcpStream::connect(target).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = up.wait_for(|up| !up) => {}
    }
}
