//! An invalid configuration has its own exit code, before anything is opened.

use crate::process::{command, run};

#[test]
fn every_mistake_is_named_at_once_and_nothing_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = run(command(&data)
        .env("DATABASE_URL", "mysql://root:hunter2@db/users")
        .env("AMQP_URL", "http://broker:hunter2@broker")
        .env("GRPC_LISTEN", "here")
        .env("SHUTDOWN_GRACE", "soon"));

    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{message}");
    for setting in ["DATABASE_URL", "AMQP_URL", "GRPC_LISTEN", "SHUTDOWN_GRACE"] {
        assert!(
            message.contains(setting),
            "{setting} is not named in: {message}"
        );
    }
    assert!(!message.contains("hunter2"), "{message}");
    assert!(!data.exists());
}

#[test]
fn a_sqlite_url_for_three_services_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(command(folder.path()).args(["--database-url", "sqlite://one.db"]));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{message}");
    assert!(message.contains("--data-dir"), "{message}");
}

#[test]
fn a_too_short_inbox_retention_is_refused_with_both_settings() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = run(command(&data).env("INBOX_RETENTION", "8days"));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{message}");
    for setting in ["INBOX_RETENTION", "OUTBOX_RETENTION", "RETRY_LONGEST_AGE"] {
        assert!(
            message.contains(setting),
            "{setting} is not named in: {message}"
        );
    }
    assert!(!data.exists());
}

#[test]
fn help_names_every_variable_and_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(command(folder.path()).arg("--help"));
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for variable in [
        "DATA_DIR",
        "DATABASE_URL",
        "AMQP_URL",
        "GRPC_LISTEN",
        "SMTP_URL",
        "LOG_FORMAT",
        "SHUTDOWN_GRACE",
    ] {
        assert!(help.contains(variable), "{variable} is not in: {help}");
    }
}
