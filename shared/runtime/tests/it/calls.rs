//! The environment of a call: deadline, panics, correlation id, limits.

use std::time::Duration;

use runtime::Shutdown;
use runtime::grpc::CORRELATION_HEADER;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::probe::{Server, ask, call, open};

fn no_hurry() -> Shutdown {
    Shutdown::new(Duration::from_secs(600))
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.domain, "angarium");
    info.reason.clone()
}

fn with_correlation(what: &str, id: &str) -> Request<HealthCheckRequest> {
    let mut request = ask(what);
    let id = id.parse().unwrap();
    request.metadata_mut().insert(CORRELATION_HEADER, id);
    request
}

#[tokio::test]
async fn the_ceiling_answers_deadline_exceeded_and_drops_the_handler() {
    let short = |config: &mut runtime::config::GrpcConfig| {
        config.deadline = Duration::from_millis(50);
    };
    let server = Server::start(short, no_hurry()).await;
    let status = call(server.channel().await, ask("wait")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    server.events.dropped.notified().await;
}

#[tokio::test]
async fn a_clients_own_deadline_ends_the_handler() {
    let server = Server::with_defaults().await;
    let mut request = ask("wait");
    request.set_timeout(Duration::from_millis(50));
    assert!(call(server.channel().await, request).await.is_err());
    server.events.dropped.notified().await;
}

#[tokio::test]
async fn a_panic_is_an_internal_error_without_detail() {
    let server = Server::with_defaults().await;
    let channel = server.channel().await;
    let status = call(channel.clone(), ask("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(reason(&status), "INTERNAL");
    assert!(!status.message().contains("secret"), "{status:?}");
    assert!(call(channel, ask("")).await.is_ok());
}

#[tokio::test]
async fn a_panic_in_a_stream_of_answers_is_an_internal_error_as_well() {
    let server = Server::with_defaults().await;
    let channel = server.channel().await;
    let mut stream = open(channel.clone(), ask("panic"))
        .await
        .unwrap()
        .into_inner();
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    assert!(!status.message().contains("secret"), "{status:?}");
    assert!(call(channel, ask("")).await.is_ok());
}

#[tokio::test]
async fn a_callers_correlation_id_reaches_the_handler_and_comes_back() {
    let server = Server::with_defaults().await;
    let request = with_correlation("tell correlation", "cart 42/checkout");
    let status = call(server.channel().await, request).await.unwrap_err();
    assert_eq!(status.message(), "cart 42/checkout");
    let header = status.metadata().get(CORRELATION_HEADER).unwrap();
    assert_eq!(header, "cart 42/checkout");

    let answer = call(server.channel().await, with_correlation("", "again")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.metadata().get(CORRELATION_HEADER).unwrap(), "again");
}

#[tokio::test]
async fn a_correlation_id_that_is_too_long_is_replaced() {
    let server = Server::with_defaults().await;
    let long = "x".repeat(129);
    let answer = call(server.channel().await, with_correlation("", &long)).await;
    let answer = answer.unwrap();
    let header = answer.metadata().get(CORRELATION_HEADER).unwrap();
    assert!((1..=128).contains(&header.len()));
    assert_ne!(header, long.as_str());
}

#[tokio::test]
async fn every_answer_has_a_correlation_id_refusals_too() {
    let server = Server::with_defaults().await;
    let channel = server.channel().await;
    for what in ["", "panic", "own out of range"] {
        let metadata = match call(channel.clone(), ask(what)).await {
            Ok(response) => response.metadata().clone(),
            Err(status) => status.metadata().clone(),
        };
        assert!(metadata.get(CORRELATION_HEADER).is_some(), "{what}");
    }
}

#[tokio::test]
async fn only_a_too_large_request_becomes_resource_exhausted() {
    let small = |config: &mut runtime::config::GrpcConfig| config.max_request_bytes = 1024;
    let server = Server::start(small, no_hurry()).await;
    let channel = server.channel().await;
    let large = "x".repeat(4096);
    let status = call(channel.clone(), ask(&large)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    let status = call(channel, ask("own out of range")).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(status.message(), "past the last page");
}

#[tokio::test]
async fn a_response_past_the_limit_is_resource_exhausted() {
    let small = |config: &mut runtime::config::GrpcConfig| config.max_response_bytes = 1;
    let server = Server::start(small, no_hurry()).await;
    let status = call(server.channel().await, ask("")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

#[tokio::test]
async fn a_full_server_refuses_with_a_retry_time_and_answers_health() {
    let one = |config: &mut runtime::config::GrpcConfig| config.max_in_flight = 1;
    let server = Server::start(one, no_hurry()).await;
    let channel = server.channel().await;
    let waiting = channel.clone();
    #[expect(clippy::disallowed_methods, reason = "the test ends it")]
    let first = tokio::spawn(async move { call(waiting, ask("wait")).await });
    server.events.waiting.notified().await;

    let status = call(channel.clone(), ask("")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "TOO_MANY_CALLS");
    let details = status.get_error_details();
    assert!(details.retry_info().unwrap().retry_delay.is_some());
    let health = HealthClient::new(channel.clone()).check(ask("")).await;
    assert!(health.is_ok());

    first.abort();
    server.events.dropped.notified().await;
    // Until the server notices the closed connection, a refusal is correct.
    while call(channel.clone(), ask("")).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let server = Server::with_defaults().await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/test.v1.NoService/Nothing");
    let codec: tonic_prost::ProstCodec<HealthCheckRequest, HealthCheckRequest> =
        tonic_prost::ProstCodec::default();
    let answer = client.unary(ask(""), path, codec).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn compressed_calls_are_understood() {
    let server = Server::with_defaults().await;
    let mut health = HealthClient::new(server.channel().await)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    assert!(health.check(ask("")).await.is_ok());
}
