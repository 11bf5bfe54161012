//! Unusual but legal HTTP/2, sent to a server in a separate process: it still answers other clients within a second,
//! and its memory does not grow. Limited on purpose, and only over the loopback interface.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tonic::transport::Channel;
use tonic_health::pb::health_client::HealthClient;

use crate::probe::ask;
use crate::process::{Running, connect, example};
use crate::wire::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, Wire, call_headers, frame, header,
};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// Bytes under attack.
const MOST_GROWTH: u64 = 48 << 20;
const MOST_CONNECTIONS: usize = 200;

struct Attacked {
    server: Running,
    addr: SocketAddr,
    client: Channel,
    size: u64,
}

impl Attacked {
    async fn start() -> Self {
        let mut server =
            Running::start(example().env("GRPC_MAX_CONNECTIONS", MOST_CONNECTIONS.to_string()));
        let addr = server.addr().await;
        let client = connect(addr).await;
        let attacked = Self {
            size: server.resident_bytes(),
            server,
            addr,
            client,
        };
        attacked.answers().await;
        attacked
    }

    async fn answers(&self) {
        let begun = Instant::now();
        let mut health = HealthClient::new(self.client.clone());
        health.check(ask("")).await.unwrap();
        let taken = begun.elapsed();
        assert!(taken < Duration::from_secs(1), "it took {taken:?}");
    }

    async fn wire(&self) -> Wire {
        let mut wire = Wire::open(self.addr).await;
        wire.greet().await;
        wire
    }

    /// Sends `bytes` up to `times` times, until the server closes, and checks that other clients are answered
    /// meanwhile.
    async fn flood(&self, wire: &mut Wire, times: u32, mut bytes: impl FnMut(u32) -> Vec<u8>) {
        for turn in 0..times {
            if !wire.send(&bytes(turn)).await {
                break;
            }
            if turn % 1000 == 0 {
                self.answers().await;
            }
        }
    }

    async fn is_well(&self) {
        self.answers().await;
        let mut newcomer = HealthClient::new(connect(self.addr).await);
        newcomer.check(ask("")).await.unwrap();
        let growth = self.server.resident_bytes().saturating_sub(self.size);
        assert!(growth < MOST_GROWTH, "it grew by {growth} bytes");
    }
}

/// Clients use odd numbers.
fn stream(turn: u32) -> u32 {
    2 * turn + 1
}

#[tokio::test]
async fn streams_that_are_reset_immediately_end_the_connection() {
    let attacked = Attacked::start().await;
    let mut wire = attacked.wire().await;
    let block = call_headers(WATCH);
    let open_and_reset = |turn| {
        let open = frame(HEADERS, END_HEADERS, stream(turn), &block);
        let reset = frame(RST_STREAM, 0, stream(turn), &8_u32.to_be_bytes());
        [open, reset].concat()
    };
    attacked.flood(&mut wire, 10_000, open_and_reset).await;
    wire.is_closed().await;
    attacked.is_well().await;
}

#[tokio::test]
async fn headers_that_never_end_close_the_connection() {
    let attacked = Attacked::start().await;
    for size in [0, 1, 16_000] {
        let mut wire = attacked.wire().await;
        wire.send(&frame(HEADERS, 0, 1, &call_headers(CHECK))).await;
        let mut more = Vec::new();
        header(&mut more, "x-more", &"x".repeat(size));
        let more = frame(CONTINUATION, 0, 1, if size == 0 { &[] } else { &more });
        attacked.flood(&mut wire, 10_000, |_| more.clone()).await;
        wire.is_closed().await;
    }
    attacked.is_well().await;
}

#[tokio::test]
async fn headers_past_their_limit_reach_no_handler() {
    let attacked = Attacked::start().await;
    let mut wire = attacked.wire().await;
    let mut block = call_headers(CHECK);
    header(&mut block, "x-large", &"x".repeat(20_000));
    for turn in 0..100 {
        let (first, rest) = block.split_at(16_000);
        wire.send(&frame(HEADERS, 0, stream(turn), first)).await;
        wire.send(&frame(CONTINUATION, END_HEADERS, stream(turn), rest))
            .await;
    }
    attacked.is_well().await;
}

#[tokio::test]
async fn control_frames_without_end_close_the_connection() {
    let attacked = Attacked::start().await;
    for (what, bytes) in [
        ("PING", frame(PING, 0, 0, b"anyone??")),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        (
            "SETTINGS with a window",
            frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        ),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        (
            "WINDOW_UPDATE of a call",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        ),
        ("RST_STREAM", frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())),
        ("DATA without data", frame(DATA, 0, 1, &[])),
        ("a frame that no one knows", frame(0x2a, 0, 0, b"anyone??")),
    ] {
        let mut wire = attacked.wire().await;
        wire.send(&frame(HEADERS, END_HEADERS, 1, &call_headers(CHECK)))
            .await;
        let mut sent = 0;
        while sent < 20_000 && wire.send(&bytes).await {
            sent += 1;
            // Answers are read: only their number is wrong.
            if sent % 100 == 0 {
                wire.has_goaway().await;
            }
            if sent % 1000 == 0 {
                attacked.answers().await;
            }
        }
        assert!(sent < 20_000, "{what}: the server takes all of them");
    }
    attacked.is_well().await;
}

#[tokio::test]
async fn a_client_at_full_speed_is_no_abuse() {
    let attacked = Attacked::start().await;
    // A client that acknowledges each piece of each answer, and measures the link with each.
    let mut wire = attacked.wire().await;
    for turn in 0..3_000 {
        let request = [0, 0, 0, 0, 0];
        let answered = [
            frame(HEADERS, END_HEADERS, stream(turn), &call_headers(CHECK)),
            frame(DATA, END_STREAM, stream(turn), &request),
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 7]),
            frame(PRIORITY, 0, stream(turn), &[0, 0, 0, 0, 16]),
            frame(PING, 0, 0, b"how long"),
        ];
        assert!(wire.send(&answered.concat()).await, "closed at call {turn}");
        while wire.next().await.unwrap() != (PING, ACK) {}
    }
    assert!(wire.is_answered().await);
}

#[tokio::test]
async fn clients_that_stall_do_not_delay_others() {
    let attacked = Attacked::start().await;
    let mut slow = Vec::new();
    for number in 0..100_usize {
        let mut wire = attacked.wire().await;
        let head = frame(HEADERS, 0, 1, &call_headers(CHECK));
        match number % 3 {
            0 => wire.send(&head[..12]).await,
            1 => wire.send(&head).await,
            _ => {
                let whole = frame(HEADERS, END_HEADERS, 1, &call_headers(CHECK));
                let half = frame(DATA, 0, 1, &[0, 0, 0, 0, 200, 1, 2, 3]);
                wire.send(&[whole, half].concat()).await
            }
        };
        slow.push(wire);
    }
    attacked.is_well().await;
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_delay_other_clients() {
    let attacked = Attacked::start().await;
    let mut idle = Vec::new();
    for turn in 0..1000 {
        let mut wire = Wire::open(attacked.addr).await;
        // One belongs to the client.
        if idle.len() < MOST_CONNECTIONS - 1 {
            idle.push(wire);
        } else {
            wire.is_closed().await;
        }
        if turn % 100 == 0 {
            attacked.answers().await;
        }
    }
    attacked.answers().await;
    drop(idle);
    testkit::eventually("room for a newcomer", async || {
        let mut health = HealthClient::new(connect_lazily(attacked.addr));
        health.check(ask("")).await
    })
    .await;
    attacked.is_well().await;
}

fn connect_lazily(addr: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{addr}")).unwrap();
    endpoint.connect_lazy()
}
