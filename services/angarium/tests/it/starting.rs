//! Starts that cannot succeed, or not yet: the message and the exit code.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use testkit::eventually;

use crate::process::{Process, command, run};

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn sigterm_ends_a_start_that_waits_for_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut command = command(folder.path());
    command
        .env("DATABASE_URL", format!("postgres://me@127.0.0.1:{port}/x"))
        .env("DATABASE_PATIENCE", "1h")
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = lines.find(|line| line.as_ref().unwrap().contains("is not reachable yet"));
    assert!(waits.is_some(), "it ended by itself");
    std::thread::spawn(move || lines.for_each(drop));

    signal(&child, "TERM");
    let status = eventually("it ends", async || {
        child.try_wait().unwrap().ok_or("it still runs")
    })
    .await;
    assert_eq!(status.code(), Some(0));
}

/// A collection holds a lock that each new instrument needs, and a start makes many.
#[tokio::test]
async fn frequent_metrics_delay_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut command = command(folder.path());
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "10");
    let process = Process::start(&mut command);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test]
async fn a_data_folder_of_any_name_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    // These mean something to SQLite and to URLs; and the path is relative.
    let name = "file:a?b#c %20:memory:";
    for _ in 0..2 {
        let mut command = command(Path::new(name));
        let process = Process::start(command.current_dir(folder.path()));
        process.register("ada@example.com").await.ok();
        assert_eq!(process.interrupt().code(), Some(0));
    }
    let data = folder.path().join(name);
    for file in ["user-service.db", "order-service.db", "events.db"] {
        assert!(data.join(file).is_file(), "{file}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_a_restart_cannot_mend_ends_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let output = run(&mut command(&file.join("data")));
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(said(&output).contains("DATA_DIR"), "{output:?}");

    let mut url = testkit::amqp_url();
    url.set_path("no-such-host");
    let data = folder.path().join("data");
    let output = run(command(&data).env("AMQP_URL", url.as_str()));
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    for part in ["AMQP_URL", "no-such-host"] {
        assert!(said(&output).contains(part), "{output:?}");
    }

    let other = tempfile::tempdir().unwrap();
    let no_database = other.path().join("user-service.db");
    std::fs::write(no_database, "no SQLite file, despite its name").unwrap();
    let output = run(&mut command(other.path()));
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(said(&output).contains("user-service.db"), "{output:?}");
}

#[test]
fn a_telemetry_variable_that_is_wrong_ends_with_64() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = "/no/such/authority.pem";
    let output = run(command(folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1")
        .env("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate));
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    for part in ["OTEL_EXPORTER_OTLP_CERTIFICATE", certificate] {
        assert!(said(&output).contains(part), "{output:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command.args(["topology", "export"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for word in ["panic", "ipe", "failed"] {
        assert!(!said(&output).contains(word), "{output:?}");
    }
}

/// As with `angarium 2>&1 | head -1`.
#[tokio::test]
async fn a_log_without_a_reader_stops_nothing() {
    for format in ["human", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path());
        command
            .env("LOG_FILTER", "debug")
            .env("GRPC_LISTEN", "127.0.0.1:0")
            .env("LOG_FORMAT", format)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());
        let database = folder.path().join("notification-service.db");
        eventually("the last service is there", async || {
            database.exists().then_some(()).ok_or("not yet")
        })
        .await;
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{format}");
    }
}
