//! A short run of each measurement, with the programs of the services as `cargo test --workspace` built them.

use std::io::Write as _;
use std::process::Command;

/// The output of the bench; `None` if this machine has no servers for it.
fn said(args: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(args)
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if complaint.contains("the bench needs installed PostgreSQL and RabbitMQ") {
        writeln!(std::io::stderr(), "left out: {complaint}").unwrap();
        return None;
    }
    assert!(output.status.success(), "{said}{complaint}");
    Some(said)
}

#[test]
fn both_systems_are_measured_and_nothing_is_lost() {
    let Some(table) = said(&["--quick"]) else {
        return;
    };
    for text in [
        "exactly one mail row",
        "effects/s end to end",
        "commit → effect p50",
        "CPU ms/event, all",
        "| bare floor | floor |",
    ] {
        assert!(table.contains(text), "{text} is not in {table}");
    }
}

#[test]
fn a_backlog_is_drained_and_nothing_is_lost() {
    let args = ["drain", "--rows", "500", "--limit-seconds", "120"];
    let Some(table) = said(&args) else {
        return;
    };
    for text in [
        "| relay | 500 |",
        "| inbox | 500 |",
        "No mail row is missing",
    ] {
        assert!(table.contains(text), "{text} is not in {table}");
    }
}

#[test]
fn the_relay_is_measured_on_three_states_of_its_tables() {
    let args = [
        "outbox",
        "--history",
        "1000",
        "--pending",
        "1000",
        "--events",
        "300",
        "--turns",
        "1",
        "--snapshot-seconds",
        "0",
    ];
    let Some(table) = said(&args) else {
        return;
    };
    for text in [
        "1000 events in the history, 1000 pending",
        "No event was lost",
    ] {
        assert!(table.contains(text), "{text} is not in {table}");
    }
}

#[test]
fn the_embedded_default_is_measured() {
    let args = [
        "embedded",
        "--seconds",
        "2",
        "--users",
        "2",
        "--callers",
        "4",
    ];
    let table = said(&args).unwrap();
    assert!(table.contains("has exactly one mail"), "{table}");
}
