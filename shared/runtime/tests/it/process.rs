//! The example as a process: exit codes, signals and log lines.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::probe::ask;

pub(crate) fn example() -> Command {
    let test = std::env::current_exe().unwrap();
    let folder: PathBuf = test.parent().unwrap().parent().unwrap().into();
    let program = folder.join("examples/smallest_service");
    assert!(
        program.exists(),
        "run `cargo build -p runtime --example smallest_service` first"
    );
    let mut command = Command::new(program);
    command.env_clear().kill_on_drop(true);
    command.env("GRPC_LISTEN", "127.0.0.1:0");
    command
}

async fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// It logs JSON.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    addr: Option<SocketAddr>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.env("LOG_FORMAT", "json").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let lines = BufReader::new(stdout).lines();
        Self {
            child,
            lines,
            addr: None,
        }
    }

    pub(crate) async fn line_with(&mut self, message: &str) -> Value {
        loop {
            let line = self.lines.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("no line says {message:?}"));
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"].as_str().unwrap().contains(message) {
                return line;
            }
        }
    }

    pub(crate) async fn addr(&mut self) -> SocketAddr {
        let line = self.line_with("listening").await;
        let addr = line["addr"].as_str().unwrap().parse().unwrap();
        self.addr = Some(addr);
        addr
    }

    pub(crate) fn known_addr(&self) -> SocketAddr {
        self.addr.unwrap()
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id().unwrap());
        let pages = std::fs::read_to_string(path).unwrap();
        let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        resident * 4096
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(sent.unwrap().success());
    }

    async fn exit_code(mut self) -> i32 {
        self.child.wait().await.unwrap().code().unwrap()
    }
}

pub(crate) async fn connect(addr: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{addr}")).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn every_wrong_setting_is_named_and_the_exit_code_is_64() {
    let mut command = example();
    command.env("GRPC_LISTEN", "here");
    command.env("SHUTDOWN_GRACE", "soon");
    command.env("SMALLEST_TOKEN", "hunter2");
    command.arg("--log-format=xml");
    let (code, stdout, stderr) = run(&mut command).await;
    assert_eq!(code, 64, "{stderr}");
    assert_eq!(stdout, "");
    for setting in [
        "GRPC_LISTEN",
        "SHUTDOWN_GRACE",
        "SMALLEST_TOKEN",
        "LOG_FORMAT",
    ] {
        assert!(stderr.contains(setting), "{setting} is not in {stderr}");
    }
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[tokio::test]
async fn a_secret_of_the_environment_is_not_in_the_help() {
    let mut command = example();
    command
        .env("SMALLEST_TOKEN", "hunter2-and-more")
        .arg("--help");
    let (code, stdout, _) = run(&mut command).await;
    assert_eq!(code, 0);
    assert!(stdout.contains("SMALLEST_TOKEN"), "{stdout}");
    assert!(!stdout.contains("hunter2"), "{stdout}");
}

#[tokio::test]
async fn a_fault_is_exit_code_1_and_one_log_line_that_names_it() {
    for (fault, message) in [
        ("error", "smallest-service failed: the requested fault"),
        ("panic", "smallest-service failed: it panicked"),
        (
            "task",
            "smallest-service failed: task `early` ended unexpectedly",
        ),
    ] {
        let mut command = example();
        command.env("SMALLEST_FAULT", fault);
        let (code, _, stderr) = run(&mut command).await;
        assert_eq!(code, 1, "{fault}: {stderr}");
        assert_eq!(stderr.matches(message).count(), 1, "{fault}: {stderr}");
    }
}

#[tokio::test]
async fn sigterm_drains_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let mut running = Running::start(&mut example());
        let mut client = HealthClient::new(connect(running.addr().await).await);
        let mut statuses = client.watch(ask("")).await.unwrap().into_inner();
        while statuses.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
        running.signal(signal).await;
        let state = statuses.message().await.unwrap().unwrap();
        assert_eq!(state.status(), ServingStatus::NotServing);
        assert_eq!(running.exit_code().await, 0, "{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_cuts_off_what_is_stuck_and_names_it() {
    let mut command = example();
    command.env("SMALLEST_FAULT", "stuck");
    command.env("SHUTDOWN_GRACE", "1h");
    let mut running = Running::start(&mut command);
    running.addr().await;
    running.signal("TERM").await;
    running.line_with("SIGTERM").await;
    running.signal("TERM").await;
    let line = running.line_with("failed").await;
    assert!(line["message"].as_str().unwrap().contains("task `stuck`"));
    assert_eq!(running.exit_code().await, 1);
}

#[tokio::test]
async fn a_call_is_one_json_line_with_its_trace_and_correlation_ids() {
    let mut running = Running::start(&mut example());
    let addr = running.addr().await;
    let mut client = HealthClient::new(connect(addr).await);
    let mut request = ask("unknown");
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", parent.parse().unwrap());
    metadata.insert("x-correlation-id", "cart-42".parse().unwrap());
    assert!(client.check(request).await.is_err());

    let line = running.line_with("call").await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["service.name"], "smallest-service");
    assert_eq!(line["method"], "grpc.health.v1.Health/Check");
    assert_eq!(line["status"], "NOT_FOUND");
    assert!(line["duration_ms"].is_number());
    assert_eq!(line["trace_id"], trace_id);
    assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
    assert_eq!(line["correlation_id"], "cart-42");
    assert_eq!(line["span"]["correlation_id"], "cart-42");
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(
        timestamp.ends_with('Z') && timestamp.contains('T'),
        "{timestamp}"
    );

    let mut request = ask("unknown");
    let malformed = "00-not-a-trace-01".parse().unwrap();
    request.metadata_mut().insert("traceparent", malformed);
    assert!(client.check(request).await.is_err());
    let line = running.line_with("call").await;
    let new_trace = line["trace_id"].as_str().unwrap();
    assert_eq!(new_trace.len(), 32);
    assert_ne!(new_trace, trace_id);
    assert_eq!(line["correlation_id"], new_trace);
}
