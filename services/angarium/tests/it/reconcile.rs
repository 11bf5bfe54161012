//! `angarium reconcile` as a process: what an operator and a schedule see of it.

use std::path::Path;
use std::process::{Command, Output};

use angarium::registry::SERVICES;
use scenarios::{Caller, Mailbox};
use serde_json::Value;
use tonic::transport::Channel;

use crate::process::{PASSWORD, Process, command, run};

const OPERATOR: &str = "operator@example.com";
/// No program listens there.
const AWAY: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn the_exit_code_says_whether_something_is_left() {
    let data = tempfile::tempdir().unwrap();
    let mut embedded = command(data.path());
    embedded.env("OPERATOR_EMAILS", OPERATOR);
    let process = Process::start(&mut embedded);
    become_operator(&process, data.path()).await;

    let complete = reconcile(&process, data.path(), &process.orders);
    assert_eq!(complete.status.code(), Some(0), "{complete:?}");
    assert_eq!(consumers(&complete).len(), SERVICES.len(), "{complete:?}");

    let incomplete = reconcile(&process, data.path(), AWAY);
    assert_eq!(incomplete.status.code(), Some(2), "{incomplete:?}");
    assert_eq!(
        consumers(&incomplete).len(),
        SERVICES.len(),
        "{incomplete:?}"
    );
    let error = String::from_utf8_lossy(&incomplete.stderr);
    assert!(error.contains("something is left to do for"), "{error}");
    assert!(error.contains("orders_queue"), "{error}");
}

async fn become_operator(process: &Process, data: &Path) {
    let channels = [&process.users, &process.orders, &process.notifications].map(|url| {
        let endpoint = Channel::from_shared(url.clone()).unwrap();
        endpoint.connect_lazy()
    });
    let caller = Caller::over(channels, Mailbox::Folder(data.join("mails")));
    caller.register(OPERATOR, "Olga").await.unwrap();
    caller.verify(OPERATOR).await.unwrap();
}

fn reconcile(process: &Process, data: &Path, orders: &str) -> Output {
    let password = data.join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let mut reconcile = Command::new(env!("CARGO_BIN_EXE_angarium"));
    reconcile.args(["reconcile", "--json", "--patience", "2s"]);
    for (service, url) in &process.endpoints {
        let url = match *service {
            "order-service" => orders,
            _ => url,
        };
        reconcile.args(["--endpoint", &format!("{service}={url}")]);
    }
    reconcile.args(["--email", OPERATOR, "--password-file"]);
    run(reconcile.arg(password))
}

/// In the answer, also if something is left.
fn consumers(output: &Output) -> Vec<String> {
    let reports: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let name = |report: &Value| report["consumer"].as_str().unwrap().to_owned();
    reports.iter().map(name).collect()
}
