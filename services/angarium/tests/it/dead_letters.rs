//! The operator's commands for dead letters, as typed in a shell.

use std::path::Path;
use std::process::Output;

use sea_orm::{ConnectionTrait as _, Database};
use testkit::eventually;

use crate::process::{Process, command, run};

const EVENT_ID: &str = "019aa5b2-6f3e-7c41-9a53-0d4c8a4f2b11";

/// As the consumer stores an unreadable message.
const DEAD: &str = r#"
INSERT INTO angarium_inbox (consumer, event_id, state, cause, exchange, routing_key, properties, body, received_at, attempts)
VALUES ('orders_queue', '019aa5b2-6f3e-7c41-9a53-0d4c8a4f2b11', 'dead', 'undecodable: it has no event type', 'user_events',
        'user.created', '{"message_id": "019aa5b2-6f3e-7c41-9a53-0d4c8a4f2b11", "headers": {"a": "b"}}', x'00ff', 1, 0)"#;

fn dead_letters(data: &Path, args: &[&str]) -> Output {
    run(command(data)
        .env("USER", "ada")
        .arg("dead-letters")
        .args(args))
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The tables exist after a first start.
async fn with_a_dead_letter(data: &Path) {
    assert!(Process::start(&mut command(data)).interrupt().success());
    let url = format!("sqlite://{}", data.join("order-service.db").display());
    let db = Database::connect(url).await.unwrap();
    db.execute_unprepared(DEAD).await.unwrap();
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_is_listed_shown_replayed_and_discarded() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    with_a_dead_letter(data).await;
    let listed = said(&dead_letters(data, &["list", "order-service"]));
    assert!(
        listed.contains(EVENT_ID) && listed.contains("it has no event type"),
        "{listed}"
    );
    let none = said(&dead_letters(data, &["list", "notification-service"]));
    assert_eq!(none.trim(), "no dead letters");

    let replay = [
        "replay",
        "order-service",
        EVENT_ID,
        "--reason",
        "mended in 1.2",
    ];
    said(&dead_letters(data, &replay));
    // The service retries it at its next start.
    let process = Process::start(&mut command(data));
    let shown = eventually("it was tried and is dead again", async || {
        let output = dead_letters(data, &["show", "order-service", EVENT_ID]);
        // While it is tried it is no dead letter.
        let shown = said(&output);
        shown
            .contains("attempts")
            .then(|| shown.clone())
            .ok_or(shown)
    })
    .await;
    for part in [
        "attempts     1",
        "replays      1",
        "failure      34ebb767aa50",
        "published by ",
        "trace        ",
        "header       a: b",
        "2 bytes of an unknown type",
        "by ada: mended in 1.2 (was: undecodable: it has no event type)",
    ] {
        assert!(shown.contains(part), "{part} is not in: {shown}");
    }
    said(&dead_letters(
        data,
        &["discard", "order-service", EVENT_ID, "--reason", "a test"],
    ));
    let discarded = said(&dead_letters(data, &["show", "order-service", EVENT_ID]));
    for part in [
        "  discarded  ",
        "2 bytes of an unknown type",
        "by ada: a test",
    ] {
        assert!(discarded.contains(part), "{part} is not in: {discarded}");
    }
    let empty = said(&dead_letters(data, &["list", "order-service"]));
    assert_eq!(empty.trim(), "no dead letters");
    assert!(process.interrupt().success());

    // The record outlives the event.
    let url = format!("sqlite://{}", data.join("order-service.db").display());
    let db = Database::connect(url).await.unwrap();
    let forgetting = "DELETE FROM angarium_inbox";
    db.execute_unprepared(forgetting).await.unwrap();
    db.close().await.unwrap();
    let audit = said(&dead_letters(data, &["audit", "order-service"]));
    let [replayed, discarded] = audit.lines().collect::<Vec<_>>()[..] else {
        panic!("two decisions: {audit}");
    };
    for (line, parts) in [
        (replayed, [EVENT_ID, "replayed", "by ada: mended in 1.2"]),
        (discarded, [EVENT_ID, "discarded", "by ada: a test"]),
    ] {
        for part in parts {
            assert!(line.contains(part), "{part} is not in: {line}");
        }
    }
    let one = said(&dead_letters(data, &["audit", "order-service", EVENT_ID]));
    assert_eq!(one, audit);
    let gone = said(&dead_letters(data, &["show", "order-service", EVENT_ID]));
    for part in ["is no dead letter any more", "by ada: a test"] {
        assert!(gone.contains(part), "{part} is not in: {gone}");
    }
    let other = said(&dead_letters(data, &["audit", "order-service", "7"]));
    assert_eq!(other.trim(), "no decisions");
    let nothing = said(&dead_letters(data, &["audit", "notification-service"]));
    assert_eq!(nothing.trim(), "no decisions");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = refusal(&dead_letters(folder.path(), &["list", "order-service"]));
    assert!(
        nowhere.contains("has not run in this data folder"),
        "{nowhere}"
    );
    with_a_dead_letter(folder.path()).await;
    let args = ["discard", "order-service", "7", "--reason", "a test"];
    let no_such = refusal(&dead_letters(folder.path(), &args));
    assert!(no_such.contains("has the id 7"), "{no_such}");
}

#[tokio::test]
async fn what_a_message_holds_moves_no_cursor_and_forges_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    with_a_dead_letter(data).await;
    let forging = r#"UPDATE angarium_inbox SET event_type = 'x' || char(27) || '[2J', cause = 'a' || char(10) || 'discarded',
        properties = '{"headers": {"a\nreplayed 2026-01-01": "b\u001b[2J"}}'"#;
    let url = format!("sqlite://{}", data.join("order-service.db").display());
    let db = Database::connect(url).await.unwrap();
    db.execute_unprepared(forging).await.unwrap();
    db.close().await.unwrap();
    let listed = said(&dead_letters(data, &["list", "order-service"]));
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let shown = said(&dead_letters(data, &["show", "order-service", EVENT_ID]));
    for output in [&listed, &shown] {
        let moves = |c: char| c.is_control() && c != '\n';
        assert!(!output.contains(moves), "{output:?}");
        assert!(output.contains(r"x\u{1b}[2J"), "{output}");
    }
    let forged = ["discarded", "replayed 2026"];
    let begins = |line: &str| forged.iter().any(|word| line.starts_with(word));
    assert!(!shown.lines().any(begins), "{shown}");
}

#[tokio::test]
async fn a_decision_needs_an_actor_and_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (user, reason) in [("ada", ""), ("ada", " "), ("", "a test"), (" ", "a test")] {
        for decision in ["replay", "discard"] {
            let mut command = command(folder.path());
            command.env("USER", user);
            command.args(["dead-letters", decision, "order-service", EVENT_ID]);
            let output = run(command.args(["--reason", reason]));
            assert_eq!(output.status.code(), Some(64), "{output:?}");
        }
    }
}
