//! Health notices a database that answers but accepts no writes, on both stores, and writes only with a reason.

use std::path::PathBuf;
use std::sync::Arc;

use rstest::rstest;
use runtime::auth::{Guard, Verifier};
use runtime::config::GrpcConfig;
use runtime::{GrpcServer, Service, Serving, Shutdown, SystemClock, status};
use sea_orm::{ConnectionTrait as _, DbErr};
use store::{Doubt, Transaction, Writable};
use testkit::{Database, SmallDisk, StoreKind, eventually_is, reason};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::probe::{PROBE, ask};

/// The probe file beside the database cannot be written, as on a full disk.
struct Occupied(PathBuf);

impl Occupied {
    fn beside(database: &Database) -> Self {
        let file = database.url().trim_start_matches("sqlite://");
        let path = PathBuf::from(format!("{file}.write-probe"));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn free(self) {
        std::fs::remove_dir(self.0).unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn a_database_that_takes_writes_is_written_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let database = Database::create(store).await;
    let doubt = Doubt::new();
    let writable = Writable::new(database.connect().await, doubt.clone());
    assert!(writable.check().await);
    if store == StoreKind::Sqlite {
        // Without a reason there is no check.
        let occupied = Occupied::beside(&database);
        assert!(writable.check().await);
        doubt.raise();
        assert!(!writable.check().await);
        occupied.free();
        assert!(writable.check().await);
    }
}

#[tokio::test]
async fn a_full_disk_is_noticed_and_so_is_its_end() {
    let Some(disk) = SmallDisk::for_test(4, "a_full_disk_is_noticed_and_so_is_its_end") else {
        return;
    };
    let database = Database::in_folder(disk.path(), "test.db");
    let doubt = Doubt::new();
    let writable = Writable::new(database.connect().await, doubt.clone());
    for _ in 0..3 {
        assert!(writable.check().await);
        disk.fill();
        doubt.raise();
        assert!(!writable.check().await);
        assert!(!writable.check().await, "nothing has changed");
        disk.free();
    }
    assert!(writable.check().await);
    let files = std::fs::read_dir(disk.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.contains("probe")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_read_only_server_is_noticed() {
    let database = Database::create(StoreKind::Postgres).await;
    let writable = Writable::new(database.connect().await, Doubt::new());
    let switch = async |value: &str| {
        let operator = database.connect().await;
        let setting = Transaction::begin(&operator).await.unwrap();
        let writing = "SET TRANSACTION READ WRITE";
        setting.execute_unprepared(writing).await.unwrap();
        let set = format!(
            "DO $$ BEGIN EXECUTE format(
                 'ALTER DATABASE %I SET default_transaction_read_only = {value}', current_database()); END $$"
        );
        setting.execute_unprepared(&set).await.unwrap();
        setting.commit().await.unwrap();
    };
    switch("on").await;
    assert!(!writable.check().await);
    // The setting applies to new sessions only, so the pool is new.
    switch("off").await;
    let renewed = Writable::new(database.connect().await, Doubt::new());
    assert!(renewed.check().await);
}

/// Each CREATE TABLE AS gets the error of a full disk.
#[tokio::test]
async fn a_server_with_a_full_disk_is_noticed() {
    let database = Database::create(StoreKind::Postgres).await;
    let db = database.connect().await;
    let doubt = Doubt::new();
    let writable = Writable::new(db.clone(), doubt.clone());
    assert!(writable.check().await);
    for statement in [
        "CREATE FUNCTION no_room() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$",
        "CREATE EVENT TRIGGER full_disk ON ddl_command_start WHEN TAG IN ('CREATE TABLE AS')
             EXECUTE FUNCTION no_room()",
    ] {
        db.execute_unprepared(statement).await.unwrap();
    }
    doubt.raise();
    assert!(!writable.check().await);
    let freeing = "DROP EVENT TRIGGER full_disk";
    db.execute_unprepared(freeing).await.unwrap();
    assert!(writable.check().await);
}

#[tokio::test]
async fn a_full_server_is_reported_as_that() {
    let database = Database::create(StoreKind::Postgres).await;
    let error = refusal(&database.connect().await, "53100").await;
    assert!(store::is_full(&error));
    let answer = status::database(&error);
    assert_eq!(answer.code(), Code::ResourceExhausted);
    assert_eq!(reason(&answer), "DATABASE_FULL");
}

async fn refusal(db: &store::Database, code: &str) -> DbErr {
    let raising = format!(
        "DO $$ BEGIN RAISE EXCEPTION 'as a test wants it' USING ERRCODE = '{code}'; END $$"
    );
    db.execute_unprepared(&raising).await.unwrap_err()
}

#[tokio::test]
async fn a_service_that_starts_without_room_serves_once_there_is_some() {
    let database = Database::create(StoreKind::Sqlite).await;
    let db = database.connect().await;
    let occupied = Occupied::beside(&database);
    let grpc = GrpcConfig::on("127.0.0.1:0".parse().unwrap());
    let server = GrpcServer::bind(&grpc).await.unwrap();
    let endpoint = Channel::from_shared(format!("http://{}", server.addr())).unwrap();
    let shutdown = Shutdown::new(std::time::Duration::from_secs(600));
    let verifier = Verifier::new(db.clone(), Arc::new(SystemClock));
    let service = Service {
        name: PROBE,
        routes: Routes::default(),
        guard: Guard::new(&[], verifier),
        descriptor_set: &[],
        database: db,
        doubt: Doubt::new(),
    };
    let serving = Serving::start(server, service, &shutdown);
    let mut running = tokio::task::JoinSet::new();
    let nothing = |stop: CancellationToken, _| async move { stop.cancelled().await };
    running.spawn(serving.finish_with("nothing", nothing));

    let mut statuses = HealthClient::new(endpoint.connect().await.unwrap());
    let mut statuses = statuses.watch(ask("")).await.unwrap().into_inner();
    let first = statuses.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::NotServing);
    // Longer than a check takes.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    occupied.free();
    eventually_is("it serves", ServingStatus::Serving, async || {
        statuses.message().await.unwrap().unwrap().status()
    })
    .await;
    shutdown.trigger();
    running.join_next().await.unwrap().unwrap().unwrap();
}
