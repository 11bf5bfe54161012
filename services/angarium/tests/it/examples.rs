//! The example clients against the running system, as their READMEs describe.
#![expect(
    clippy::print_stderr,
    reason = "the reader of a run must see which tests were left out"
)]

use std::path::Path;
use std::process::Command;

use testkit::{Operator, VirtualHost, examples};
use tokio::sync::Mutex;

use crate::process::{Process, command, run};

/// One at a time: the tools of a language use all cores.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) const ADMIN: &str = "admin@example.com";

#[test]
fn in_python_registering_to_deleting_and_every_wrong_turn() {
    let _turn = TURN.blocking_lock();
    let data = tempfile::tempdir().unwrap();
    // The test calls one after the other, which must exceed the limit even on a busy machine.
    let process = Process::start(embedded(data.path()).env("GRPC_RATE_LIMIT", "25"));
    succeeds(examples::python().args(["-m", "mypy"]));
    let story = succeeds(on(&process, data.path(), &mut examples::python()).arg("order.py"));
    runs_the_journey(&story);

    let mut tests = examples::python();
    pytest(&mut tests).arg("tests/calls");
    let report = succeeds(on(&process, data.path(), &mut tests));
    assert!(all_were_run(&report), "{report}");
    assert_eq!(process.interrupt().code(), Some(0));
}

#[test]
fn in_typescript_an_order_and_its_wrong_turns() {
    let _turn = TURN.blocking_lock();
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&mut embedded(data.path()));
    let npm = || {
        let mut npm = Command::new("npm");
        npm.args(["run", "--silent"])
            .current_dir(examples::typescript());
        npm
    };
    let story = succeeds(on(&process, data.path(), &mut npm()).arg("order"));
    runs_the_journey(&story);
    let report = succeeds(on(&process, data.path(), &mut npm()).arg("refusals"));
    let passed = format!("pass {}\n", refusals());
    assert!(
        report.contains(&passed) && report.contains("skipped 0"),
        "{report}"
    );
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test]
async fn in_python_a_consumer_with_a_queue_of_its_own() {
    let _turn = TURN.lock().await;
    let data = tempfile::tempdir().unwrap();
    let server = testkit::amqp_url();
    let broker = VirtualHost::create(&Operator::of_test_run(), &server).await;
    let process = Process::start(embedded(data.path()).env("AMQP_URL", broker.url().as_str()));
    let mut tests = examples::python();
    pytest(&mut tests)
        .arg("tests/events")
        .env("AMQP_URL", broker.url().as_str());
    let report = succeeds(on(&process, data.path(), &mut tests));
    assert!(all_were_run(&report), "{report}");
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test]
async fn in_go_an_order_its_refusals_replicas_and_events() {
    let _turn = TURN.lock().await;
    let Some(folder) = examples::go() else {
        eprintln!("not tried: Go is not installed");
        return;
    };
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = testkit::amqp_url();
    let broker = VirtualHost::create(&Operator::of_test_run(), &server).await;
    let process = Process::start(embedded(data.path()).env("AMQP_URL", broker.url().as_str()));
    let replica = Process::start(&mut embedded(other.path()));
    let go = || {
        let mut go = Command::new("go");
        go.current_dir(folder);
        go
    };
    let story = succeeds(on(&process, data.path(), &mut go()).args(["run", "./order"]));
    runs_the_journey(&story);
    let mut tests = go();
    tests
        .args(["test", "-count=1", "-v", "./tests"])
        .env_remove("AMQP_PREFIX")
        .env("AMQP_URL", broker.url().as_str())
        .env("ANGARIUM_ORDER_REPLICAS", replicas(&process, &replica))
        .env("ANGARIUM_PROGRAM", env!("CARGO_BIN_EXE_angarium"));
    let report = succeeds(on(&process, data.path(), &mut tests));
    assert_eq!(
        report.matches("    --- PASS: TestRefusals/").count(),
        refusals()
    );
    assert!(!report.contains("--- SKIP"), "{report}");
    assert_eq!(process.interrupt().code(), Some(0));
}

#[test]
fn in_java_an_order_its_refusals_replicas_and_restarts() {
    let _turn = TURN.blocking_lock();
    let Some(folder) = examples::java() else {
        eprintln!("not tried: Java is not installed");
        return;
    };
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let process = Process::start(&mut embedded(data.path()));
    let replica = Process::start(&mut embedded(other.path()));
    let mut order = Command::new("java");
    order.current_dir(folder).args([
        "-cp",
        "target/classes:target/lib/*",
        "example.PlaceAndWatch",
    ]);
    runs_the_journey(&succeeds(on(&process, data.path(), &mut order)));
    let mut tests = Command::new("mvn");
    tests
        .current_dir(folder)
        .args(["--batch-mode", "test"])
        .env("ANGARIUM_ORDER_REPLICAS", replicas(&process, &replica))
        .env("ANGARIUM_PROGRAM", env!("CARGO_BIN_EXE_angarium"));
    let report = succeeds(on(&process, data.path(), &mut tests));
    // Those of replicas and restarts are one each.
    let all = format!(
        "Tests run: {}, Failures: 0, Errors: 0, Skipped: 0",
        refusals() + 2
    );
    assert!(report.contains(&all), "{report}");
    assert_eq!(process.interrupt().code(), Some(0));
}

/// The journey of `examples/cases.json`, in any language.
#[track_caller]
fn runs_the_journey(story: &str) {
    let journey = &cases()["journey"];
    let total = format!(" for {}\n", journey["total"].as_str().unwrap());
    let states = journey["states"].as_array().unwrap().iter();
    let states: Vec<_> = states
        .map(|state| format!("state {}\n", state.as_str().unwrap()))
        .collect();
    assert!(
        story.starts_with("registered ")
            && story.contains(&total)
            && story.ends_with(&states.concat()),
        "{story}"
    );
}

fn refusals() -> usize {
    cases()["refusals"].as_array().unwrap().len()
}

fn cases() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../examples/cases.json")).unwrap()
}

fn replicas(one: &Process, other: &Process) -> String {
    [one, other]
        .map(|process| address(&process.orders))
        .join(",")
}

fn address(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// As the examples expect it, with a rate limit that one client can exceed even on a slow machine.
pub(crate) fn embedded(data: &Path) -> Command {
    let mut command = command(data);
    command
        .env("ADMIN_EMAILS", ADMIN)
        .env("GRPC_RATE_LIMIT", "50")
        .env("LOG_FILTER", "error");
    command
}

fn on<'a>(process: &Process, data: &Path, client: &'a mut Command) -> &'a mut Command {
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

/// Only passed tests, by pytest's summary.
fn all_were_run(report: &str) -> bool {
    report.lines().last().is_some_and(|summary| {
        summary.contains(" passed in ") && !summary.contains(',') && !summary.contains(" 0 passed")
    })
}

#[track_caller]
fn succeeds(client: &mut Command) -> String {
    let output = run(client);
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{client:?}\n{said}\n{complained}");
    said
}
