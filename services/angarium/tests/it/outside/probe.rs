//! `grpc-health-probe`: its exit code for each state, over plaintext, TLS and mTLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Authority, Broker, BrokerKind, Proxy, Tools, eventually};

use crate::process::{Process, broker_settings, command, run};

const USERS: &str = "angarium.user.v1.UserService";
const BROKER: &str = "angarium.user.v1.UserService/broker";

fn probe(url: &str, arguments: &[&str]) -> Option<Option<i32>> {
    let mut probe = Tools::ready().program("grpc-health-probe")?;
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    probe.arg(format!("-addr={address}")).args(arguments);
    Some(run(&mut probe).status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_exit_code_of_the_probe_is_right() {
    if probe("127.0.0.1:1", &[]).is_none() {
        return;
    }
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let (url, prefix) = broker_settings(&broker);
    let proxy = Proxy::before(&url).await;
    let data = tempfile::tempdir().unwrap();
    let mut command = command(data.path());
    command
        .env("AMQP_URL", proxy.url())
        .env("AMQP_PREFIX", prefix);
    let process = Process::start(&mut command);
    let ask = |service: &str| probe(&process.users, &[&format!("-service={service}")]).unwrap();
    eventually("the broker is there", async || {
        if ask(BROKER) == Some(0) {
            Ok(())
        } else {
            Err("not yet")
        }
    })
    .await;
    assert_eq!(ask(""), Some(0));
    assert_eq!(ask(USERS), Some(0));
    // Bad arguments, no connection, an unknown service.
    assert_eq!(probe(&process.users, &["-no-such-flag"]).unwrap(), Some(1));
    assert_eq!(
        probe("127.0.0.1:1", &["-connect-timeout=2s"]).unwrap(),
        Some(2)
    );
    assert_eq!(ask("angarium.order.v1.OrderService"), Some(3));
    proxy.cut();
    eventually("the broker is away", async || {
        if ask(BROKER) == Some(4) {
            Ok(())
        } else {
            Err("not yet")
        }
    })
    .await;
    // Commands work without it.
    assert_eq!(ask(USERS), Some(0));
    proxy.mend();
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_asks_over_tls_and_mtls() {
    let data = tempfile::tempdir().unwrap();
    let (authority, clients) = (Authority::new(), Authority::new());
    let write = |name: &str, text: &str| {
        let path = data.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let server = authority.server("127.0.0.1");
    let client = clients.client("probe");
    let files = [
        ("GRPC_TLS_CERT_FILE", write("server.pem", &server.cert)),
        ("GRPC_TLS_KEY_FILE", write("server.key", &server.key)),
        (
            "GRPC_TLS_CLIENT_CA_FILE",
            write("clients.pem", clients.pem()),
        ),
    ];
    let trusted = write("authority.pem", authority.pem());
    let (cert, key) = (
        write("probe.pem", &client.cert),
        write("probe.key", &client.key),
    );
    let trusting = ["-tls", &flag("-tls-ca-cert", &trusted)].map(str::to_owned);
    let proven = [
        flag("-tls-client-cert", &cert),
        flag("-tls-client-key", &key),
    ];

    for (settings, arguments, expected) in [
        (&files[..2], &trusting[..], 0),
        (&files[..2], &["-tls".to_owned()], 2),
        (&files[..2], &[], 2),
        (&files[..], &[&trusting[..], &proven[..]].concat(), 0),
        (&files[..], &trusting, 2),
    ] {
        let mut command: Command = command(&data.path().join("data"));
        command.envs(settings.iter().map(|(name, path)| (name, path)));
        let process = Process::start(&mut command);
        let mut flags: Vec<&str> = arguments.iter().map(String::as_str).collect();
        flags.push("-service=angarium.user.v1.UserService");
        if probe(&process.users, &flags).is_none() {
            return;
        }
        eventually(&format!("{flags:?} is {expected}"), async || {
            let code = probe(&process.users, &flags).unwrap();
            if code == Some(expected) {
                Ok(())
            } else {
                Err(code)
            }
        })
        .await;
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", PathBuf::from(path).display())
}
