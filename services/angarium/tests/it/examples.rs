//! The clients in other languages under examples/, against the running system, as their READMEs have it.

use std::path::Path;
use std::process::Command;

use testkit::{Examples, Operator, VirtualHost};

use crate::process::{Process, command, run};

pub(crate) const ADMIN: &str = "admin@example.com";

#[test]
fn in_python_registering_to_deleting_and_every_wrong_turn() {
    let examples = Examples::ready();
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&mut embedded(data.path()));
    succeeds(examples.python().args(["-m", "mypy"]));
    let story = succeeds(on(&process, data.path(), &mut examples.python()).arg("order.py"));
    assert!(story.ends_with("state ORDER_STATE_PLACED\nstate ORDER_STATE_CANCELLED\n"));

    let mut tests = examples.python();
    pytest(&mut tests).arg("tests/calls");
    let report = succeeds(on(&process, data.path(), &mut tests));
    assert!(all_were_run(&report), "{report}");
    assert_eq!(process.interrupt().code(), Some(0));
}

#[test]
fn in_typescript_an_order_and_its_wrong_turns() {
    let examples = Examples::ready();
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&mut embedded(data.path()));
    let npm = || {
        let mut npm = Command::new("npm");
        npm.args(["run", "--silent"])
            .current_dir(&examples.typescript);
        npm
    };
    let story = succeeds(on(&process, data.path(), &mut npm()).arg("order"));
    assert!(
        story.ends_with("state PLACED\nstate CANCELLED\n"),
        "{story}"
    );
    let report = succeeds(on(&process, data.path(), &mut npm()).arg("wrong-turns"));
    assert!(report.contains("pass 3") && report.contains("skipped 0"));
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test]
async fn in_python_a_consumer_with_a_queue_of_its_own() {
    let examples = Examples::ready();
    let data = tempfile::tempdir().unwrap();
    let server = testkit::amqp_url();
    let broker = VirtualHost::create(&Operator::of_test_run(), &server).await;
    let process = Process::start(embedded(data.path()).env("AMQP_URL", broker.url().as_str()));
    let mut tests = examples.python();
    pytest(&mut tests)
        .arg("tests/events")
        .env("AMQP_URL", broker.url().as_str());
    let report = succeeds(on(&process, data.path(), &mut tests));
    assert!(all_were_run(&report), "{report}");
    assert_eq!(process.interrupt().code(), Some(0));
}

/// `angarium` as the examples expect it, with so few calls a second for each that one client can be too many on a slow machine,
/// too.
pub(crate) fn embedded(data: &Path) -> Command {
    let mut command = command(data);
    command
        .env("ADMIN_EMAILS", ADMIN)
        .env("GRPC_RATE_LIMIT", "50")
        .env("LOG_FILTER", "error");
    command
}

/// Tells a client where the services are, and the mails.
fn on<'a>(process: &Process, data: &Path, client: &'a mut Command) -> &'a mut Command {
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    client
        .env("ANGARIUM_USERS", address(&process.users))
        .env("ANGARIUM_ORDERS", address(&process.orders))
        .env("ANGARIUM_NOTIFICATIONS", address(&process.notifications))
        .env("ANGARIUM_MAILS", data.join("mails"))
        .env("ANGARIUM_ADMIN", ADMIN)
        .env_remove("ANGARIUM_CA_FILE")
}

fn pytest(python: &mut Command) -> &mut Command {
    python
        .env_remove("AMQP_PREFIX")
        .args(["-m", "pytest", "-p", "no:cacheprovider"])
}

/// As pytest sums up: some passed, and nothing else happened.
fn all_were_run(report: &str) -> bool {
    report.lines().last().is_some_and(|summary| {
        summary.contains(" passed in ") && !summary.contains(',') && !summary.contains(" 0 passed")
    })
}

/// Runs a client to its end, and answers what it said.
#[track_caller]
fn succeeds(client: &mut Command) -> String {
    let output = run(client);
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{client:?}\n{said}\n{complained}");
    said
}
