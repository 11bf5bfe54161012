//! What a reconciliation has found and done at one consumer.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The queue.
    pub consumer: String,
    /// Checkpoints that had not arrived, and that their producers still have.
    pub checkpoints: u64,
    /// New events that were handed over; in a dry run: that would be.
    pub handed_over: u64,
    /// Of those: passed over in their turn, because their personal data was erased.
    pub erased: u64,
    /// Of those: the state of a user.
    pub states: u64,
    /// Events that had arrived.
    pub known: u64,
    /// Missing events that no producer has any more, by type.
    pub gone: BTreeMap<String, u64>,
    /// Checkpoints that no producer has any more.
    pub gone_checkpoints: u64,
    /// Versions that go on waiting, with their aggregate.
    pub waiting: Vec<String>,
    /// Restored producers, with the number of their aggregates with lost events.
    pub diverged: BTreeMap<String, u64>,
    pub unknown_producers: BTreeSet<String>,
    /// Services that did not answer. Their part is not done.
    pub unreachable: BTreeSet<String>,
    /// Why it ended early.
    pub ended: Option<String>,
}

impl Report {
    pub fn is_complete(&self) -> bool {
        self.gone.is_empty()
            && self.gone_checkpoints == 0
            && self.waiting.is_empty()
            && self.diverged.is_empty()
            && self.unknown_producers.is_empty()
            && self.unreachable.is_empty()
            && self.ended.is_none()
    }
}

pub(super) fn text(reports: &[Report], dry_run: bool) -> String {
    let lines = reports.iter().flat_map(|report| {
        let lines = done(report, dry_run).into_iter().chain(left(report));
        lines.map(|line| format!("{}: {line}", report.consumer))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn done(report: &Report, dry_run: bool) -> Vec<String> {
    let would = if dry_run { "would be " } else { "" };
    let mut lines = vec![format!(
        "events {would}handed over: {}, already here: {}; lost checkpoints {would}followed: {}",
        report.handed_over, report.known, report.checkpoints
    )];
    if report.erased > 0 {
        let erased = report.erased;
        lines.push(format!(
            "of them erased, and passed over in their turn: {erased}"
        ));
    }
    if report.states > 0 {
        let states = report.states;
        lines.push(format!("of them the state of a user: {states}"));
    }
    lines
}

fn left(report: &Report) -> Vec<String> {
    let skip = format!("angarium reconcile skip --consumer {}", report.consumer);
    let mut lines = Vec::new();
    for (event_type, events) in &report.gone {
        lines.push(format!(
            "events of {event_type} past the retention of their producer: {events}; `angarium reconcile gaps` lists them, \
             `{skip} --event ID` gives one up"
        ));
    }
    if report.gone_checkpoints > 0 {
        let gone = report.gone_checkpoints;
        lines.push(format!(
            "checkpoints past the retention of their producer: {gone}; `angarium reconcile gaps` lists them, \
             `{skip} --checkpoints PRODUCER/EXCHANGE/NUMBER` gives a gap up"
        ));
    }
    for waiting in &report.waiting {
        lines.push(format!(
            "{waiting} never arrived and is stored nowhere; `{skip} --aggregate TYPE/ID` gives it up, and the later events continue"
        ));
    }
    for (producer, aggregates) in &report.diverged {
        lines.push(format!(
            "{producer} was restored and has lost events; aggregates with a loss: {aggregates}; `angarium reconcile divergence` \
             lists them"
        ));
    }
    for producer in &report.unknown_producers {
        lines.push(format!(
            "the producer {producer} is not part of this system"
        ));
    }
    for service in &report.unreachable {
        lines.push(format!(
            "{service} does not answer: repeat the command when it does"
        ));
    }
    if let Some(ended) = &report.ended {
        lines.push(format!("ended early: {ended}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_complete_if_nothing_is_left_to_do() {
        let done = Report {
            consumer: "orders_queue".to_owned(),
            handed_over: 7,
            ..Report::default()
        };
        assert!(done.is_complete() && left(&done).is_empty());
        let lacks: [fn(&mut Report); 7] = [
            |report| report.gone.extend([("Created".to_owned(), 2)]),
            |report| report.gone_checkpoints = 1,
            |report| report.waiting.push("version 3 of user/1".to_owned()),
            |report| report.diverged.extend([("user-service".to_owned(), 1)]),
            |report| report.unknown_producers.extend(["other".to_owned()]),
            |report| report.unreachable.extend(["user-service".to_owned()]),
            |report| report.ended = Some("no route".to_owned()),
        ];
        for lack in lacks {
            let mut report = done.clone();
            lack(&mut report);
            assert!(!report.is_complete(), "{report:?}");
            assert_eq!(left(&report).len(), 1, "{report:?}");
        }
    }
}
