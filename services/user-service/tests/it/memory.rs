//! The memory that a burst of registrations uses, and keeps.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;

use contracts::user::v1::CreateUserRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use futures::future::join_all;
use tempfile::TempDir;
use testkit::eventually;
use tokio::process::{Child, Command};
use tonic::transport::Channel;

use crate::bench::from;
use crate::samples::ada;

/// Beyond the binary: one block per core for hashes, and the service itself.
const AT_MOST_KIB: u64 = 64 * 1_024;
const BLOCK_KIB: u64 = 19 * 1_024;

#[tokio::test]
async fn a_burst_of_registrations_takes_bounded_memory() {
    let started = Started::with(&[("CLIENT_ADDRESS_HEADER", "x-forwarded-for")]).await;
    let channel = started.channel.clone();

    for round in 0..3 {
        let calls = (0..99).map(|number| {
            let mut client = UserServiceClient::new(channel.clone());
            let request = CreateUserRequest {
                email: format!("user-{round}-{number}@example.com"),
                ..ada()
            };
            let address = format!("203.0.113.{round}");
            async move { client.create_user(from(&address, request)).await }
        });
        let answers = join_all(calls).await;
        let served = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(served > 0, "{:?}", answers.first());
    }
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let anonymous = kib(&started.process, "RssAnon");
    assert!(
        anonymous <= AT_MOST_KIB + cores * BLOCK_KIB,
        "{anonymous} KiB on {cores} cores"
    );
}

/// On a database of its own and without a broker.
pub(crate) struct Started {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) channel: Channel,
    _folder: TempDir,
}

impl Started {
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("users.db");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new(env!("CARGO_BIN_EXE_user-service"));
        command
            .env_clear()
            .env("GRPC_LISTEN", address.to_string())
            .env("DATABASE_URL", format!("sqlite://{}", database.display()))
            .env("AMQP_URL", "amqp://127.0.0.1:1")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let process = command.spawn().unwrap();
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        let channel = eventually("it serves", async || endpoint.connect().await).await;
        Self {
            process,
            address,
            channel,
            _folder: folder,
        }
    }
}

pub(crate) fn resident_kib(process: &Child) -> u64 {
    kib(process, "VmRSS")
}

fn kib(process: &Child, name: &str) -> u64 {
    let path = format!("/proc/{}/status", process.id().unwrap());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with(name));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse().unwrap()
}
