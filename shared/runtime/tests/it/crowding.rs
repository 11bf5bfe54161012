//! A client that begins calls and does not go on takes nothing from the others, even at the same address.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use runtime::Shutdown;
use runtime::config::GrpcConfig;
use testkit::{eventually, reason};
use tonic::Code;

use crate::probe::{Server, ask, call, open};
use crate::raw_calls::{Caller, Open};

const PROBE: &str = "/test.v1.ProbeService/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// More than the server's slots.
const MANY: usize = 600;

async fn start(configure: impl FnOnce(&mut GrpcConfig)) -> Server {
    let unlimited = |grpc: &mut GrpcConfig| {
        grpc.clients.calls_per_second = None;
        // The server must not close an idle call before the test has looked.
        grpc.deadline = Duration::from_secs(600);
        configure(grpc);
    };
    Server::start(unlimited, Shutdown::new(Duration::from_secs(600))).await
}

/// With their connections.
async fn begin(server: &Server, path: &str, many: usize, bytes: usize) -> (Vec<Caller>, Vec<Open>) {
    let mut callers = Vec::new();
    let mut opened = Vec::new();
    for number in 0..many {
        if number % 150 == 0 {
            callers.push(Caller::connect(server.addr).await);
        }
        let caller = callers.last().unwrap();
        let mut open = caller.begin(path, &[]).await;
        if bytes > 0 {
            let length = u32::try_from(bytes + 1).unwrap().to_be_bytes();
            let mut half = [&[0], &length[..]].concat();
            half.resize(5 + bytes, 0);
            open.body.send_data(Bytes::from(half), false).unwrap();
        }
        opened.push(open);
    }
    // All of them have arrived.
    for caller in &callers {
        caller
            .call("/grpc.health.v1.Health/Check", &[], &[0; 5])
            .await;
    }
    (callers, opened)
}

async fn serves(server: &Server) {
    let channel = server.channel().await;
    for _ in 0..250 {
        call(channel.clone(), ask("")).await.unwrap();
    }
}

#[tokio::test]
async fn calls_without_a_message_take_no_place() {
    let server = start(|_| {}).await;
    let held = begin(&server, PROBE, MANY, 0).await;
    serves(&server).await;
    drop(held);
}

#[tokio::test]
async fn half_sent_messages_are_bounded_and_the_oldest_give_way() {
    let most = 1 << 20;
    let server = start(|grpc| {
        grpc.max_request_bytes = 64 << 10;
        grpc.callers.max_request_memory = most;
        grpc.callers.max_request_memory_per_address = Some(most / 2);
    })
    .await;
    let (callers, opened) = begin(&server, PROBE, 100, 32 << 10).await;
    serves(&server).await;
    // The most that is left of the address's share.
    let most_left = (most / 2) / (32 << 10);
    let refused = opened.len() - most_left;
    let mut opened = opened.into_iter();
    let ended = join_all(opened.by_ref().take(refused).map(Open::status)).await;
    for status in ended {
        let status = status.unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert_eq!(reason(&status), "REQUESTS_TOO_LARGE");
    }
    drop((callers, opened));
}

#[tokio::test]
async fn idle_reflection_takes_no_place_of_calls_and_ends() {
    let server = start(|grpc| grpc.callers.longest_reflection = Duration::from_millis(300)).await;
    let (callers, opened) = begin(&server, REFLECTION, 525, 0).await;
    serves(&server).await;
    let ended = join_all(opened.into_iter().map(Open::status)).await;
    let codes: Vec<Code> = ended
        .into_iter()
        .map(|ended| ended.unwrap().code())
        .collect();
    let count = |code| codes.iter().filter(|found| **found == code).count();
    let (in_time, refused) = (
        count(Code::DeadlineExceeded),
        count(Code::ResourceExhausted),
    );
    assert!(in_time > 0 && refused > 0, "{in_time} and {refused}");
    assert_eq!(in_time + refused, codes.len());
    drop(callers);
}

#[tokio::test]
async fn watched_health_has_a_limit_and_a_check_is_never_refused() {
    let server = start(|grpc| grpc.callers.longest_health_watch = Duration::from_millis(300)).await;
    let mut callers = Vec::new();
    let mut opened = Vec::new();
    for number in 0..300 {
        if number % 150 == 0 {
            callers.push(Caller::connect(server.addr).await);
        }
        let mut open = callers.last().unwrap().begin(WATCH, &[]).await;
        open.body
            .send_data(Bytes::from_static(&[0; 5]), true)
            .unwrap();
        opened.push(open);
    }
    serves(&server).await;
    for caller in &callers {
        let check = caller.call("/grpc.health.v1.Health/Check", &[], &[0; 5]);
        assert_eq!(check.await.code(), Code::Ok);
    }
    let ended = join_all(opened.into_iter().map(Open::status)).await;
    let codes: Vec<Code> = ended
        .into_iter()
        .map(|ended| ended.unwrap().code())
        .collect();
    assert!(codes.contains(&Code::ResourceExhausted), "{codes:?}");
    assert!(codes.contains(&Code::DeadlineExceeded), "{codes:?}");
}

#[tokio::test]
async fn one_address_has_a_share_of_the_calls_only() {
    let server = start(|grpc| {
        grpc.max_in_flight = 8;
        grpc.callers.max_in_flight_per_address = Some(3);
        grpc.callers.address_header = Some("x-forwarded-for".to_owned());
    })
    .await;
    let channel = server.channel().await;
    let from = |address: &'static str, what: &str| {
        let mut request = ask(what);
        let address = address.parse().unwrap();
        request.metadata_mut().insert("x-forwarded-for", address);
        request
    };
    let mut streams = Vec::new();
    let mut refused = None;
    while refused.is_none() {
        match open(channel.clone(), from("192.0.2.1", "")).await {
            Ok(stream) => streams.push(stream),
            Err(status) => refused = Some(status),
        }
    }
    let refused = refused.unwrap();
    assert_eq!(streams.len(), 3);
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "TOO_MANY_CALLS_OF_CALLER");
    call(channel.clone(), from("192.0.2.2", "")).await.unwrap();

    drop(streams);
    eventually("its places are free", async || {
        call(channel.clone(), from("192.0.2.1", "")).await
    })
    .await;
}
