//! A short form of `cargo xtask faults`: the same runs, once each, and only those that take seconds.

use std::process::Command;

use rstest::rstest;
use testkit::Stack;

/// Kills at the points where an event is most easily lost or duplicated.
#[rstest]
fn what_was_promised_survives_sudden_death(
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
    dies(point, stack, &[]);
}

/// Without ordered handling, only the inbox prevents a second effect.
#[rstest]
fn what_is_handled_each_on_its_own_survives_sudden_death(
    #[values("handled", "done")] point: &str,
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    dies(point, stack, &["--each"]);
}

fn dies(point: &str, stack: Stack, args: &[&str]) {
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
fn what_commits_late_is_published_soon() {
    passes(&["late-commit"]);
}

#[test]
fn live_connections_have_the_settings_that_an_answer_rests_on() {
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
fn callers_that_give_up_at_begin_leave_no_transaction_open() {
    passes(&["cancelled-begin"]);
}

#[test]
fn a_stopped_replica_delays_the_others_by_a_minute_at_most() {
    passes(&["stopped-replica"]);
}

#[test]
fn a_full_disk_loses_nothing_and_all_goes_on_after_it() {
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
fn what_the_client_library_cannot_parse_stops_nothing() {
    passes(&["unparsable"]);
}

#[test]
fn what_is_asked_for_many_times_at_once_is_done_once() {
    passes(&["races"]);
}

#[test]
fn what_is_replayed_changes_nothing() {
    passes(&["replay"]);
}

#[rstest]
fn what_does_not_reach_a_queue_is_not_lost(#[values("lossy", "unrouted", "neighbours")] run: &str) {
    passes(&[run]);
}

/// One wrong engine for each symptom; the same runs pass without it.
#[rstest]
fn a_wrong_engine_does_not_pass(
    #[values(
        "publish-before-commit",
        "mark-before-confirm",
        "no-inbox",
        "no-version-guard"
    )]
    mistake: &str,
) {
    passes(&["broken", "--mistake", mistake]);
}

fn passes(args: &[&str]) {
    let output = faults(args).output().unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn faults(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faults"));
    command.arg("--quick").args(args);
    command
}
