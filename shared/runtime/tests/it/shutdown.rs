//! The shutdown of a server: graceful first, then forced.

use std::time::{Duration, Instant};

use runtime::config::GrpcConfig;
use runtime::{GrpcServer, Shutdown};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::probe::{Server, ask, call, open};

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_taken_port_fails_the_start_and_is_named() {
    let server = Server::with_defaults().await;
    let error = GrpcServer::bind(&GrpcConfig::on(server.addr)).await;
    let message = error.unwrap_err().to_string();
    assert!(message.contains(&server.addr.to_string()), "{message}");
}

#[tokio::test]
async fn an_open_watch_and_an_idle_connection_do_not_hold_up_the_end() {
    let server = Server::with_defaults().await;
    server.health.set_services(true);
    let _idle = TcpStream::connect(server.addr).await.unwrap();
    let mut client = HealthClient::new(server.channel().await);
    let mut statuses = client.watch(ask("")).await.unwrap().into_inner();
    let first = statuses.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    server.shutdown.trigger();
    let state = statuses.message().await.unwrap().unwrap();
    assert_eq!(state.status(), ServingStatus::NotServing);
    let ended = statuses.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    server.running.await.unwrap().unwrap();
    assert!(!server.shutdown.hard.is_cancelled());
    assert!(TcpStream::connect(server.addr).await.is_err());
}

#[tokio::test]
async fn a_call_in_flight_ends_before_the_server_does() {
    let half = |config: &mut GrpcConfig| config.deadline = Duration::from_millis(300);
    let server = Server::start(half, Shutdown::new(LONG)).await;
    let channel = server.channel().await;
    #[expect(clippy::disallowed_methods, reason = "the test joins it")]
    let call = tokio::spawn(async move { call(channel, ask("wait")).await });
    server.events.waiting.notified().await;
    server.shutdown.trigger();
    // Not a broken connection.
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    server.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn after_the_grace_every_open_call_is_cut_off() {
    let shutdown = Shutdown::new(Duration::from_millis(100));
    let server = Server::start(|config| config.deadline = LONG, shutdown).await;
    let channel = server.channel().await;
    let mut stream = open(channel.clone(), ask("")).await.unwrap().into_inner();
    #[expect(clippy::disallowed_methods, reason = "the test joins it")]
    let waiting = tokio::spawn(async move { call(channel, ask("wait")).await });
    server.events.waiting.notified().await;

    let begun = Instant::now();
    server.shutdown.trigger();
    server.running.await.unwrap().unwrap();
    server.events.dropped.notified().await;
    assert!(waiting.await.unwrap().is_err());
    assert!(stream.message().await.is_err());
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert!(begun.elapsed() < Duration::from_secs(10));
}
