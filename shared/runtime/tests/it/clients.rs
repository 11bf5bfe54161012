//! The limits per client: connections, their age, a sign of life, and the rate of calls.

use std::num::NonZeroU32;
use std::time::Duration;

use runtime::Shutdown;
use runtime::config::GrpcConfig;
use testkit::{eventually, reason};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::probe::{Server, ask, call, open};
use crate::wire::{DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, Wire, call_headers, frame};

async fn start(configure: impl FnOnce(&mut GrpcConfig)) -> Server {
    Server::start(configure, Shutdown::new(Duration::from_secs(600))).await
}

#[tokio::test]
async fn at_its_limit_a_server_closes_new_connections_only() {
    let server = start(|grpc| grpc.clients.max_connections = 2).await;
    let channel = server.channel().await;
    assert!(call(channel.clone(), ask("")).await.is_ok());
    let second = TcpStream::connect(server.addr).await.unwrap();
    // The system accepts the third one, and the server closes it.
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    let closed = third.read(&mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert!(call(channel, ask("")).await.is_ok());

    drop(second);
    eventually("a place for one more", async || {
        let mut wire = Wire::open(server.addr).await;
        wire.greet().await;
        wire.is_answered().await.then_some(()).ok_or("closed")
    })
    .await;
}

#[tokio::test]
async fn at_its_limit_an_address_loses_new_connections_only() {
    let server = start(|grpc| grpc.clients.max_connections_per_address = Some(2)).await;
    let channel = server.channel().await;
    assert!(call(channel.clone(), ask("")).await.is_ok());
    let second = TcpStream::connect(server.addr).await.unwrap();
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    let closed = third.read(&mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert!(call(channel, ask("")).await.is_ok());
    drop(second);
    eventually("a place for one more", async || {
        let mut wire = Wire::open(server.addr).await;
        wire.greet().await;
        wire.is_answered().await.then_some(()).ok_or("closed")
    })
    .await;
}

#[tokio::test]
async fn an_old_connection_is_left_for_a_new_one_and_no_call_fails() {
    let age = Duration::from_millis(50);
    let server = start(|grpc| grpc.clients.connection_age = age).await;
    let channel = server.channel().await;
    let mut wire = Wire::open(server.addr).await;
    wire.greet().await;
    // Meanwhile the other client gets a GOAWAY, and stays.
    eventually("a GOAWAY frame", async || {
        call(channel.clone(), ask("")).await.unwrap();
        wire.has_goaway().await.then_some(()).ok_or("not yet")
    })
    .await;
    wire.is_closed().await;
    call(channel, ask("")).await.unwrap();
}

#[tokio::test]
async fn an_old_connection_is_cut_off_after_its_grace() {
    let age = Duration::from_millis(50);
    let server = start(|grpc| grpc.clients.connection_age = age).await;
    let mut stream = open(server.channel().await, ask(""))
        .await
        .unwrap()
        .into_inner();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.message()).await;
    assert!(ended.unwrap().is_err());
}

#[tokio::test]
async fn a_client_that_does_not_answer_whether_it_is_there_is_closed() {
    let period = Duration::from_millis(50);
    let server = start(|grpc| grpc.clients.keepalive = period).await;
    let mut wire = Wire::open(server.addr).await;
    wire.greet().await;
    // It does not answer the pings.
    wire.is_closed().await;
    let channel = server.channel().await;
    let mut waiting = ask("wait");
    waiting.set_timeout(10 * period);
    assert!(call(channel.clone(), waiting).await.is_err());
    assert!(call(channel, ask("")).await.is_ok());
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_closed() {
    let few = |grpc: &mut GrpcConfig| {
        grpc.max_in_flight = 2;
        grpc.deadline = Duration::from_millis(100);
    };
    let server = start(few).await;
    let patient = server.channel().await;
    let mut stream = open(patient.clone(), ask("")).await.unwrap().into_inner();

    let mut wire = Wire::open(server.addr).await;
    wire.greet().await;
    // The window has no room for an answer.
    wire.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let block = call_headers("/test.v1.ProbeService/Check");
    wire.send(&frame(HEADERS, END_HEADERS, 1, &block)).await;
    wire.send(&frame(DATA, END_STREAM, 1, &[0; 5])).await;
    wire.is_closed().await;

    eventually("its place", async || call(patient.clone(), ask("")).await).await;
    server.shutdown.trigger_hard();
    assert!(stream.message().await.is_err());
}

#[tokio::test]
async fn a_caller_over_its_rate_gets_a_retry_time_and_health_answers() {
    let slow = |grpc: &mut GrpcConfig| grpc.clients.calls_per_second = NonZeroU32::new(1);
    let server = start(slow).await;
    let channel = server.channel().await;
    let refused = eventually("a refusal", async || {
        call(channel.clone(), ask("")).await.map_or_else(Ok, Err)
    })
    .await;
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "RATE_LIMITED");
    let details = refused.get_error_details();
    assert!(details.retry_info().unwrap().retry_delay.is_some());
    let violation = &details.quota_failure().unwrap().violations[0];
    assert_eq!(violation.subject, "address:127.0.0.1");
    for _ in 0..50 {
        let mut health = HealthClient::new(channel.clone());
        assert!(health.check(ask("")).await.is_ok());
    }
    eventually("the next call", async || {
        call(channel.clone(), ask("")).await
    })
    .await;
}
