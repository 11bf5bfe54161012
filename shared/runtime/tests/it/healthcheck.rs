//! The `healthcheck` of a program, as a container runs it.

use std::process::Output;

use tokio::process::Command;

use testkit::Authority;

use crate::probe::{PROBE, Server};
use crate::process::{Running, example};
use crate::tls::Encrypted;

const SERVING: i32 = 0;
const BAD_ARGUMENTS: i32 = 1;
const NO_CONNECTION: i32 = 2;
const NO_ANSWER: i32 = 3;
const NOT_SERVING: i32 = 4;

fn healthcheck(addr: &str) -> Command {
    let mut command = example();
    command.env_remove("GRPC_LISTEN");
    command.args(["healthcheck", "--addr", addr]);
    command
}

async fn code(command: &mut Command) -> i32 {
    let Output { status, .. } = command.output().await.unwrap();
    status.code().unwrap()
}

#[tokio::test]
async fn its_exit_codes_are_those_of_a_probe() {
    let server = Server::with_defaults().await;
    let addr = server.addr.to_string();
    assert_eq!(code(&mut healthcheck(&addr)).await, NOT_SERVING);
    server.health.set_services(true);
    server.health.set("test.v1.ProbeService/broker", false);
    assert_eq!(code(&mut healthcheck(&addr)).await, SERVING);
    for (name, expected) in [
        (PROBE, SERVING),
        ("test.v1.ProbeService/broker", NOT_SERVING),
        ("unknown", NO_ANSWER),
    ] {
        let code = code(healthcheck(&addr).args(["--service", name])).await;
        assert_eq!(code, expected, "{name}");
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = free.local_addr().unwrap().to_string();
    drop(free);
    assert_eq!(code(&mut healthcheck(&closed)).await, NO_CONNECTION);
    assert_eq!(code(&mut healthcheck("here")).await, BAD_ARGUMENTS);
    let unknown = code(healthcheck(&closed).arg("--tls-no-verify")).await;
    assert_eq!(unknown, BAD_ARGUMENTS);
}

#[tokio::test]
async fn it_uses_the_configured_address_of_the_service() {
    let mut running = Running::start(&mut example());
    let port = running.addr().await.port();
    let everywhere = format!("0.0.0.0:{port}");
    let asking = async || {
        let mut command = example();
        code(command.env("GRPC_LISTEN", &everywhere).arg("healthcheck")).await
    };
    testkit::eventually_is("it serves", SERVING, asking).await;
}

#[tokio::test]
async fn it_checks_tls_certificates_and_shows_its_own() {
    let authority = Authority::new();
    let encrypted = Encrypted::with(&authority.server("users.example"), Some(&authority)).await;
    encrypted.server.health.set_services(true);
    let addr = encrypted.server.addr.to_string();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let (cert, key) = authority.client("probe").write(folder.path());
    let trusting = || {
        let mut command = healthcheck(&addr);
        command.arg("--tls-ca-cert").arg(&ca);
        command.args(["--tls-server-name", "users.example"]);
        command
    };
    let mut known = trusting();
    known.arg("--tls-client-cert").arg(&cert);
    known.arg("--tls-client-key").arg(&key);
    assert_eq!(code(&mut known).await, SERVING);

    let anonymous = code(&mut trusting()).await;
    assert!(
        [NO_CONNECTION, NO_ANSWER].contains(&anonymous),
        "{anonymous}"
    );
    let plain = code(&mut healthcheck(&addr)).await;
    assert!([NO_CONNECTION, NO_ANSWER].contains(&plain), "{plain}");
    let mut by_address = healthcheck(&addr);
    by_address.arg("--tls-ca-cert").arg(&ca);
    assert_eq!(code(&mut by_address).await, NO_CONNECTION);
    let without_key = code(trusting().arg("--tls-client-cert").arg(&cert)).await;
    assert_eq!(without_key, BAD_ARGUMENTS);
}
