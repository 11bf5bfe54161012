//! The short form of each fault run, once each, as tests: `cargo xtask faults test`. They need the switches, so `cargo test` of the
//! whole workspace leaves them out.

#![expect(
    clippy::unwrap_used,
    reason = "test code only: a panic is how a test fails"
)]

use std::process::Command;

use rstest::rstest;
use testkit::Stack;

/// At the points where an event is most easily lost or duplicated.
#[rstest]
fn acknowledged_commands_survive_an_abort_at_any_point(
    #[values(
        "enqueued",
        "claimed",
        "published",
        "confirmed",
        "seen",
        "handled",
        "noted",
        "taken",
        "done"
    )]
    point: &str,
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    aborts(point, stack, &[]);
}

/// Without an order to keep, only the inbox keeps a second effect out.
#[rstest]
fn events_handled_on_their_own_survive_an_abort(
    #[values("handled", "done")] point: &str,
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    aborts(point, stack, &["--each"]);
}

fn aborts(point: &str, stack: Stack, args: &[&str]) {
    let (store, broker) = match stack {
        Stack::Servers => ("postgres", "rabbitmq"),
        Stack::Embedded => ("sqlite", "embedded"),
    };
    let at = [
        "crash", "--point", point, "--store", store, "--broker", broker,
    ];
    passes(&[&at[..], args].concat());
}

#[test]
fn relays_and_consumers_keep_the_order_while_handlers_fail() {
    passes(&["order"]);
}

#[test]
fn an_event_that_commits_late_is_published_soon() {
    passes(&["late-commit"]);
}

#[test]
fn live_connections_have_durable_settings() {
    passes(&["durability"]);
}

#[test]
fn a_closed_locked_purged_or_killed_broker_loses_nothing() {
    passes(&["broker"]);
}

#[test]
fn a_link_that_breaks_in_any_way_loses_nothing() {
    passes(&["network"]);
}

#[test]
fn a_database_that_goes_away_loses_nothing() {
    passes(&["database"]);
}

#[test]
fn callers_that_give_up_at_begin_leave_no_open_transaction() {
    passes(&["cancelled-begin"]);
}

#[test]
fn a_stopped_replica_delays_the_others_by_a_minute_at_most() {
    passes(&["stopped-replica"]);
}

#[test]
fn a_full_disk_loses_nothing_and_work_goes_on_after_it() {
    passes(&["full-disk"]);
}

#[test]
fn a_clock_that_jumps_ahead_and_back_loses_nothing() {
    passes(&["clock-step"]);
}

#[test]
fn poison_messages_harm_nothing_else() {
    passes(&["poison"]);
}

#[test]
fn a_message_that_cannot_be_parsed_stops_nothing() {
    passes(&["unparsable"]);
}

#[test]
fn simultaneous_repetitions_have_one_effect() {
    passes(&["races"]);
}

#[test]
fn a_replay_changes_no_effect() {
    passes(&["replay"]);
}

#[rstest]
fn a_message_that_reaches_no_queue_is_not_lost(
    #[values("lossy", "unrouted", "neighbours")] run: &str,
) {
    passes(&[run]);
}

#[test]
fn what_a_missing_binding_loses_is_shown_and_handed_over() {
    passes(&["missing-binding"]);
}

#[test]
fn restored_databases_are_repaired_or_decided_about() {
    passes(&["restored"]);
}

/// One wrong engine for each symptom; the same runs pass without it.
#[rstest]
fn a_wrong_engine_does_not_pass(
    #[values(
        "publish-before-commit",
        "mark-before-confirm",
        "no-inbox",
        "no-version-guard",
        "cursor-polling",
        "checkpoint-skips-an-id",
        "repair-ignores-inbox"
    )]
    mistake: &str,
) {
    passes(&["broken", "--mistake", mistake]);
}

fn passes(args: &[&str]) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_faults"));
    let output = program.arg("--quick").args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
