//! Health from a balancer's view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use runtime::auth::{Guard, Verifier};
use runtime::config::GrpcConfig;
use runtime::{GrpcServer, Service, Serving, Shutdown, SystemClock, Tasks};
use store::DatabaseConfig;
use store::Doubt;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::probe::{PROBE, Server, ask};

type Statuses = tonic::Streaming<HealthCheckResponse>;

async fn watch(channel: Channel, name: &str) -> Statuses {
    let answer = HealthClient::new(channel).watch(ask(name)).await;
    answer.unwrap().into_inner()
}

async fn next(statuses: &mut Statuses) -> ServingStatus {
    statuses.message().await.unwrap().unwrap().status()
}

async fn check(server: &Server, name: &str) -> Result<ServingStatus, Code> {
    let mut client = HealthClient::new(server.channel().await);
    match client.check(ask(name)).await {
        Ok(answer) => Ok(answer.into_inner().status()),
        Err(status) => Err(status.code()),
    }
}

#[tokio::test]
async fn nothing_serves_before_it_is_ready_and_unknown_is_not_found() {
    let server = Server::with_defaults().await;
    assert_eq!(check(&server, "").await, Ok(ServingStatus::NotServing));
    assert_eq!(check(&server, PROBE).await, Ok(ServingStatus::NotServing));
    assert_eq!(check(&server, "unknown").await, Err(Code::NotFound));
    server.health.set_services(true);
    assert_eq!(check(&server, "").await, Ok(ServingStatus::Serving));
    assert_eq!(check(&server, PROBE).await, Ok(ServingStatus::Serving));
}

#[tokio::test]
async fn a_watcher_of_an_unknown_name_sees_it_appear() {
    let server = Server::with_defaults().await;
    let mut statuses = watch(server.channel().await, "later").await;
    assert_eq!(next(&mut statuses).await, ServingStatus::ServiceUnknown);
    server.health.set("later", true);
    assert_eq!(next(&mut statuses).await, ServingStatus::Serving);
}

#[tokio::test]
async fn a_watcher_hears_changes_only() {
    let server = Server::with_defaults().await;
    let mut statuses = watch(server.channel().await, PROBE).await;
    assert_eq!(next(&mut statuses).await, ServingStatus::NotServing);
    server.health.set(PROBE, false);
    server.health.set("another", true);
    server.health.set(PROBE, true);
    assert_eq!(next(&mut statuses).await, ServingStatus::Serving);
}

#[tokio::test]
async fn a_lost_dependency_shows_in_5_s_and_its_return_in_10_s() {
    let server = Server::with_defaults().await;
    let shutdown = Shutdown::new(Duration::from_secs(600));
    let there = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&there);
    let mut tasks = Tasks::new(&shutdown);
    let dependency = move || {
        let seen = Arc::clone(&seen);
        async move { seen.load(Ordering::SeqCst) }
    };
    let watching = server.health.clone().watch(dependency, shutdown.clone());
    tasks.spawn("health", watching);

    let mut statuses = watch(server.channel().await, PROBE).await;
    while next(&mut statuses).await != ServingStatus::Serving {}
    there.store(false, Ordering::SeqCst);
    let lost = Instant::now();
    assert_eq!(next(&mut statuses).await, ServingStatus::NotServing);
    assert!(lost.elapsed() < Duration::from_secs(5));
    there.store(true, Ordering::SeqCst);
    let back = Instant::now();
    assert_eq!(next(&mut statuses).await, ServingStatus::Serving);
    assert!(back.elapsed() < Duration::from_secs(10));

    shutdown.trigger();
    tasks.join().await.unwrap();
    assert_eq!(next(&mut statuses).await, ServingStatus::NotServing);
}

#[tokio::test]
async fn a_named_part_has_its_own_state_and_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let config = DatabaseConfig::sqlite(folder.path().join("probe.db"));
    let database = store::connect(&config, "probe").await.unwrap();
    let verifier = Verifier::new(database.clone(), Arc::new(SystemClock));
    let grpc = GrpcConfig::on("127.0.0.1:0".parse().unwrap());
    let server = GrpcServer::bind(&grpc).await.unwrap();
    let endpoint = Channel::from_shared(format!("http://{}", server.addr())).unwrap();
    let service = Service {
        name: PROBE,
        routes: Routes::default(),
        guard: Guard::new(&[], verifier),
        descriptor_set: &[],
        database,
        doubt: Doubt::new(),
    };
    let shutdown = Shutdown::new(Duration::from_secs(600));
    let mut serving = Serving::start(server, service, &shutdown);
    let (connected, state) = tokio::sync::watch::channel(false);
    serving.report("broker", state);
    let mut running = tokio::task::JoinSet::new();
    let nothing = |stop: CancellationToken, _| async move { stop.cancelled().await };
    running.spawn(serving.finish_with("nothing", nothing));

    let channel = endpoint.connect().await.unwrap();
    let mut whole = watch(channel.clone(), "").await;
    while next(&mut whole).await != ServingStatus::Serving {}
    let mut broker = watch(channel, &format!("{PROBE}/broker")).await;
    assert_eq!(next(&mut broker).await, ServingStatus::NotServing);
    connected.send_replace(true);
    assert_eq!(next(&mut broker).await, ServingStatus::Serving);
    connected.send_replace(false);
    assert_eq!(next(&mut broker).await, ServingStatus::NotServing);
    shutdown.trigger();
    assert_eq!(next(&mut whole).await, ServingStatus::NotServing);
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_dependency_that_never_answers_is_lost_as_well() {
    let server = Server::with_defaults().await;
    let shutdown = Shutdown::new(Duration::from_secs(600));
    let hangs = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&hangs);
    let mut tasks = Tasks::new(&shutdown);
    let dependency = move || {
        let seen = Arc::clone(&seen);
        async move {
            if seen.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            true
        }
    };
    let watching = server.health.clone().watch(dependency, shutdown.clone());
    tasks.spawn("health", watching);

    let mut statuses = watch(server.channel().await, "").await;
    while next(&mut statuses).await != ServingStatus::Serving {}
    hangs.store(true, Ordering::SeqCst);
    let lost = Instant::now();
    assert_eq!(next(&mut statuses).await, ServingStatus::NotServing);
    assert!(lost.elapsed() < Duration::from_secs(5));
    shutdown.trigger();
    tasks.join().await.unwrap();
}
