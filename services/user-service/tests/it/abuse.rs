//! The service as a process under everything at once that HTTP/2 allows and no client needs: it serves a well-behaved
//! client, and stays small.
//!
//! Bounded on purpose: it ends with the calls of that client, and stays on the loopback interface. Each attacker goes
//! on after a number of served calls, so the attack is the same on a slow machine.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{AuthenticateRequest, CreateUserRequest, GetUserRequest};
use testkit::authorized;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::memory::{Started, resident_kib};
use crate::samples::ada;

const CREATE_USER: &str = "/angarium.user.v1.UserService/CreateUser";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// Of the well-behaved client. In a debug build each takes many times longer.
const CALLS: usize = if cfg!(debug_assertions) { 100 } else { 400 };
const AT_MOST_KIB: u64 = 200 * 1_024;
/// A promise of release builds: `cargo test --release -p user-service --test it abuse`.
const P99: Duration = Duration::from_millis(500);
/// In served calls: how long an attacker holds what it has begun, and its pause. More often, its bytes alone would keep
/// a core busy.
const HELD_FOR: usize = CALLS / 4;
const PAUSE_OF: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_abuse_of_http2_others_are_served_soon() {
    let mut started = Started::with(&[("GRPC_RATE_LIMIT", "off")]).await;
    let mut client = UserServiceClient::new(started.channel.clone());
    let CreateUserRequest {
        email, password, ..
    } = ada();
    let created = client.create_user(ada()).await.unwrap().into_inner();
    let user_id = created.user.unwrap().user_id;
    let credentials = AuthenticateRequest {
        email,
        password,
        ..AuthenticateRequest::default()
    };
    let answer = client.authenticate(credentials).await.unwrap();
    let token = answer.into_inner().tokens.unwrap().access_token;

    let (served, calls) = watch::channel(0);
    let (begun, mut attacks) = mpsc::unbounded_channel();
    let addr = started.address;
    let attacker = || Attacker {
        addr,
        calls: calls.clone(),
        begun: begun.clone(),
    };
    let mut attackers = JoinSet::new();
    for _ in 0..3 {
        attackers.spawn(attacker().begin_and_wait(CREATE_USER, 0));
        attackers.spawn(attacker().begin_and_wait(CREATE_USER, 900_000));
        attackers.spawn(attacker().begin_and_wait(REFLECTION, 0));
    }
    for _ in 0..2 {
        attackers.spawn(attacker().control_frames());
    }
    // All at once: each has what it can get, or was cut off.
    for _ in 0..attackers.len() {
        attacks.recv().await.unwrap();
    }
    let mut taken = Vec::new();
    for number in 1..=CALLS {
        let request = GetUserRequest {
            user_id: user_id.clone(),
        };
        let begun = Instant::now();
        client.get_user(authorized(&token, request)).await.unwrap();
        taken.push(begun.elapsed());
        served.send_replace(number);
    }
    let kib = resident_kib(&started.process);
    attackers.shutdown().await;

    assert_eq!(started.process.try_wait().unwrap(), None, "it has ended");
    assert!(kib < AT_MOST_KIB, "{kib} KiB");
    taken.sort();
    let (median, p99) = (taken[CALLS / 2], taken[CALLS * 99 / 100]);
    if !cfg!(debug_assertions) {
        assert!(p99 < P99, "p99 is {p99:?}, the median {median:?}");
    }
}

struct Attacker {
    addr: SocketAddr,
    /// Served calls of the well-behaved client.
    calls: watch::Receiver<usize>,
    /// A message for each attack that has what it can get.
    begun: mpsc::UnboundedSender<()>,
}

impl Attacker {
    /// Waits until so many more calls are served.
    async fn wait_for(&mut self, more: usize) {
        let until = *self.calls.borrow() + more;
        if self
            .calls
            .wait_for(|served| *served >= until)
            .await
            .is_err()
        {
            // The end of the test ends this task.
            std::future::pending::<()>().await;
        }
    }

    /// Sends so many bytes of a message of a mebibyte, and does not go on.
    async fn begin_and_wait(mut self, path: &'static str, bytes: usize) {
        loop {
            if let Ok(socket) = TcpStream::connect(self.addr).await
                && let Ok((requests, connection)) = h2::client::handshake(socket).await
            {
                let mut running = JoinSet::new();
                running.spawn(async move {
                    let _ = connection.await;
                });
                let mut open = Vec::new();
                while let Ok(mut ready) = requests.clone().ready().await {
                    let request = http::Request::post(format!("http://localhost{path}"))
                        .header("content-type", "application/grpc")
                        .body(())
                        .unwrap();
                    let Ok((response, mut body)) = ready.send_request(request, false) else {
                        break;
                    };
                    if bytes > 0 {
                        let mut half = vec![0, 0, 15, 0, 0];
                        half.resize(bytes, 0);
                        let _ = body.send_data(Bytes::from(half), false);
                    }
                    open.push((response, body));
                    // As many as one connection may have.
                    if open.len() == 190 {
                        let _ = self.begun.send(());
                        self.wait_for(HELD_FOR).await;
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            let _ = self.begun.send(());
            self.wait_for(PAUSE_OF).await;
        }
    }

    /// PING, SETTINGS, PRIORITY and WINDOW_UPDATE as fast as it can, on one connection after the other.
    async fn control_frames(mut self) {
        let mut frames = Vec::new();
        for _ in 0..100 {
            frames.extend(frame(6, 0, b"anyone??"));
            frames.extend(frame(4, 0, &[]));
            frames.extend(frame(2, 1, &[0, 0, 0, 0, 16]));
            frames.extend(frame(8, 0, &[0, 0, 0, 1]));
        }
        loop {
            if let Ok(mut socket) = TcpStream::connect(self.addr).await {
                let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
                let greeting = [&preface[..], &frame(4, 0, &[])].concat();
                let mut sending = socket.write_all(&greeting).await;
                while sending.is_ok() {
                    sending = socket.write_all(&frames).await;
                }
            }
            let _ = self.begun.send(());
            self.wait_for(PAUSE_OF).await;
        }
    }
}

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, 0]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
