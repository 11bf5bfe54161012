//! Mistakes of clients have a reason, and are no failure of the server in its log.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use testkit::reason;
use tonic::Code;

use crate::process::{Running, example};
use crate::raw_calls::Caller;

const CHECK: &str = "/grpc.health.v1.Health/Check";
/// An empty message, after its prefix.
const EMPTY: &[u8] = &[0, 0, 0, 0, 0];

async fn start() -> (Running, Caller) {
    let mut server = Running::start(&mut example());
    let caller = Caller::connect(server.addr().await).await;
    (server, caller)
}

async fn is_logged(server: &mut Running, status: &str) {
    let line = server.line_with("call").await;
    assert_eq!(line["status"], status, "{line}");
    assert_eq!(line["level"], "INFO", "{line}");
}

#[tokio::test]
async fn a_body_that_is_not_one_message_is_the_clients_mistake() {
    let (mut server, caller) = start().await;
    let two = [EMPTY, EMPTY].concat();
    let two: &[u8] = two.leak();
    for (what, body, code, expected) in [
        ("no message", &[][..], Code::Unimplemented, "MESSAGE_COUNT"),
        ("two messages", two, Code::Unimplemented, "MESSAGE_COUNT"),
        (
            "3 bytes of a prefix",
            &[0, 0, 0],
            Code::InvalidArgument,
            "MESSAGE_MALFORMED",
        ),
        (
            "10 of 100 bytes",
            &[0, 0, 0, 0, 100, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            Code::InvalidArgument,
            "MESSAGE_MALFORMED",
        ),
        (
            "flag 5",
            &[5, 0, 0, 0, 0],
            Code::InvalidArgument,
            "MESSAGE_MALFORMED",
        ),
        // gRPC names the code.
        (
            "packed, by no method",
            &[1, 0, 0, 0, 0],
            Code::Internal,
            "MESSAGE_MALFORMED",
        ),
    ] {
        let status = caller.call(CHECK, &[], body).await;
        assert_eq!(status.code(), code, "{what}: {status:?}");
        assert_eq!(reason(&status), expected, "{what}");
        is_logged(&mut server, &name(code)).await;
    }
    assert_eq!(caller.call(CHECK, &[], EMPTY).await.code(), Code::Ok);
}

#[tokio::test]
async fn an_unknown_compression_is_named_with_the_known_ones() {
    let (mut server, caller) = start().await;
    let status = caller
        .call(CHECK, &[("grpc-encoding", "snappy")], EMPTY)
        .await;
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    assert_eq!(reason(&status), "COMPRESSION_UNKNOWN");
    let known = status.metadata().get("grpc-accept-encoding").unwrap();
    assert!(known.to_str().unwrap().contains("gzip"));
    is_logged(&mut server, "UNIMPLEMENTED").await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_its_message_is_cancelled() {
    let (mut server, caller) = start().await;
    for body in [&[][..], &[0, 0], &[0, 0, 0, 0, 9, 1]] {
        for why in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
            let mut open = caller.begin(CHECK, &[]).await;
            open.body
                .send_data(Bytes::from_static(body), false)
                .unwrap();
            // The server has seen the call.
            caller.call(CHECK, &[], EMPTY).await;
            open.body.send_reset(why);
            is_logged(&mut server, "CANCELLED").await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_a_message_cancels_the_call() {
    let (mut server, _caller) = start().await;
    let addr = server.known_addr();
    let caller = Caller::connect(addr).await;
    let mut open = caller.begin(CHECK, &[]).await;
    open.body
        .send_data(Bytes::from_static(&[0, 0]), false)
        .unwrap();
    caller.call(CHECK, &[], EMPTY).await;
    drop((open, caller));
    is_logged(&mut server, "CANCELLED").await;
}

#[tokio::test]
async fn a_message_that_does_not_come_in_time_is_no_fault() {
    let (mut server, caller) = start().await;
    let open = caller.begin(CHECK, &[("grpc-timeout", "50m")]).await;
    let status = tokio::time::timeout(Duration::from_secs(20), open.status());
    let status = status.await.unwrap().unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    is_logged(&mut server, "DEADLINE_EXCEEDED").await;
}

/// As the log writes it.
fn name(code: Code) -> String {
    let words = format!("{code:?}");
    let mut name = String::new();
    for letter in words.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
