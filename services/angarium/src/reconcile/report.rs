//! What a reconciliation has found and done at one consumer, for a person or a program.

use std::collections::BTreeMap;

use serde::Serialize;

/// Of one consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The queue.
    pub consumer: String,
    /// Checkpoints that had not arrived, and that their producers still have.
    pub checkpoints: u64,
    /// Events that were handed over and had not arrived. With a dry run: that would be.
    pub handed_over: u64,
    /// Of those: how many are passed over in their turn, because their personal data was erased.
    pub erased: u64,
    /// Events that had arrived.
    pub known: u64,
    /// Missing events that no producer has any more, by type.
    pub gone: BTreeMap<String, u64>,
    /// Checkpoints that their producers do not have any more.
    pub gone_checkpoints: u64,
    /// Aggregates with events that go on waiting: `type/id, versions`.
    pub waiting: Vec<String>,
    /// Producers that this system does not know.
    pub unknown_producers: Vec<String>,
}

impl Report {
    /// Whether the consumer has everything.
    pub fn is_complete(&self) -> bool {
        self.gone.is_empty()
            && self.gone_checkpoints == 0
            && self.waiting.is_empty()
            && self.unknown_producers.is_empty()
    }
}

/// For a person.
pub(super) fn text(reports: &[Report], dry_run: bool) -> String {
    let lines = reports.iter().flat_map(|report| lines(report, dry_run));
    lines.collect::<Vec<_>>().join("\n")
}

fn lines(report: &Report, dry_run: bool) -> Vec<String> {
    let consumer = &report.consumer;
    let would = if dry_run { "would be " } else { "" };
    let mut lines = vec![format!(
        "{consumer}: {} events {would}handed over, {} had arrived, {} lost checkpoints {would}followed",
        report.handed_over, report.known, report.checkpoints
    )];
    if report.erased > 0 {
        let erased = report.erased;
        lines.push(format!(
            "{consumer}: {erased} of them are erased and are passed over"
        ));
    }
    for (event_type, events) in &report.gone {
        lines.push(format!(
            "{consumer}: {events} of {event_type} are gone: their producer keeps no event for that long; SkipGap gives them up"
        ));
    }
    if report.gone_checkpoints > 0 {
        let gone = report.gone_checkpoints;
        lines.push(format!(
            "{consumer}: {gone} checkpoints are gone: their producer keeps none for that long; SkipGap gives them up"
        ));
    }
    for waiting in &report.waiting {
        lines.push(format!(
            "{consumer}: {waiting} never came and is stored nowhere; SkipGap lets the later ones go on"
        ));
    }
    for producer in &report.unknown_producers {
        lines.push(format!(
            "{consumer}: the producer {producer} is not part of this system"
        ));
    }
    lines
}
