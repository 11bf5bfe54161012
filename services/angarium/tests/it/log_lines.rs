//! What the log says of settings, calls and events, in both formats.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use contracts::user::v1::CreateUserRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use serde_json::Value;
use testkit::eventually;

use crate::process::{Process, command, run};

const SECRET: &str = "J5yH0f1Qmz8xKc3vWbR7uTq2LsPd9NaE";
const NARROW: usize = 150;

/// Both mails of a registration.
async fn mails_are_in(data: &Path) {
    eventually("the mails are there", async || {
        let entries = std::fs::read_dir(data.join("mails")).unwrap();
        let mails = entries.filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension().is_some_and(|extension| extension == "eml")
        });
        let count = mails.count();
        (count == 2).then_some(()).ok_or(count)
    })
    .await;
}

#[tokio::test]
async fn a_person_reads_short_lines_and_sees_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let mut command = command(&data);
    command
        .env("LOG_FILTER", "info")
        .env("SECRET_KEY", SECRET)
        .env("ADMIN_EMAIL", "root@example.com")
        .stderr(std::fs::File::create(&log).unwrap());
    let process = Process::start(&mut command);
    process.register("ada@example.com").await.unwrap();
    mails_are_in(&data).await;
    assert_eq!(process.interrupt().code(), Some(0));

    let said = std::fs::read_to_string(&log).unwrap();
    let line = |parts: &[&str]| {
        let found = said
            .lines()
            .find(|line| parts.iter().all(|part| line.contains(part)));
        found.unwrap_or_else(|| panic!("no line has {parts:?}: {said}"))
    };
    line(&[
        "configured",
        "setting=SECRET_KEY value=(secret) source=variable",
    ]);
    line(&["WARN", "variable=ADMIN_EMAIL", "meant=ADMIN_EMAILS"]);
    assert!(!said.contains(SECRET), "{said}");
    let of_a_call = line(&["call method=UserService/CreateUser status=OK"]);
    let of_an_event = line(&["handled event.type=UserCreated"]);
    assert!(of_an_event.contains("event.id="), "{of_an_event}");
    for line in [of_a_call, of_an_event] {
        assert!(line.len() <= NARROW, "{} characters: {line}", line.len());
    }
    let lengths: Vec<usize> = said.lines().map(str::len).collect();
    let wide = lengths.iter().filter(|length| **length > NARROW).count();
    assert!(
        wide * 10 < lengths.len(),
        "{wide} of {} are wide: {said}",
        lengths.len()
    );
}

#[tokio::test]
async fn json_is_all_that_a_machine_reads() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = as_json(folder.path());
    command.env("LOG_FILTER", "info,messaging=debug");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut read = String::new();
    let mut addresses = BTreeMap::new();
    while addresses.len() < 3 {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended: {read}");
        read.push(byte[0].into());
        if byte == *b"\n" {
            let last = read.lines().last().unwrap();
            let line: Value = serde_json::from_str(last).unwrap();
            let (service, address) = (line["service"].as_str(), line["addr"].as_str());
            addresses.extend(service.map(str::to_owned).zip(address.map(str::to_owned)));
        }
    }
    let reading = std::thread::spawn(move || {
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        rest
    });

    let mut users = UserServiceClient::connect(format!("http://{}", addresses["user-service"]))
        .await
        .unwrap();
    let request = CreateUserRequest {
        email: "ada@example.com".to_owned(),
        password: "correct horse battery staple".to_owned(),
        display_name: "Ada".to_owned(),
        ..CreateUserRequest::default()
    };
    users.create_user(request.clone()).await.unwrap();
    let refused = CreateUserRequest {
        email: "nobody".to_owned(),
        ..request
    };
    users.create_user(refused).await.unwrap_err();
    mails_are_in(folder.path()).await;
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");

    read.push_str(&reading.join().unwrap());
    let lines: Vec<Value> = read
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let find = |what: &str, test: &dyn Fn(&Value) -> bool| {
        let found = lines.iter().find(|line| test(line));
        found
            .unwrap_or_else(|| panic!("no line of {what}: {read}"))
            .clone()
    };
    let failed = find("the failed call", &|line| {
        line["status"] == "INVALID_ARGUMENT"
    });
    assert_eq!(failed["reason"], "VALIDATION_FAILED");
    assert_eq!(failed["field"], "email");
    assert_eq!(failed["caller"], "127.0.0.1");
    let published = find("a published event", &|line| line["message"] == "published");
    assert_eq!(published["level"], "DEBUG");
    for field in ["event.id", "event.type", "destination"] {
        assert!(published[field].is_string(), "{field}: {published}");
    }
}

#[test]
fn what_is_wrong_is_one_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(as_json(folder.path())
        .env("GRPC_LISTEN", "here")
        .env("SHUTDOWN_GRACE", "soon"));
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["level"], "ERROR");
    let message = line["message"].as_str().unwrap();
    for setting in ["GRPC_LISTEN", "SHUTDOWN_GRACE"] {
        assert!(message.contains(setting), "{message}");
    }
}

fn as_json(data: &Path) -> Command {
    let mut command = command(data);
    command.env("LOG_FORMAT", "json");
    command
}
