//! The gauges of what a consumer lacks, as checkpoints show it.

use crate::checkpoint::Incomplete;

pub(super) type OfIncomplete = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Incomplete) -> u64,
);

pub(super) const INCOMPLETE: [OfIncomplete; 4] = [
    (
        "angarium.inbox.missing",
        "{event}",
        "Events that a producer has published and that have not arrived",
        |incomplete| incomplete.missing,
    ),
    (
        "angarium.checkpoint.gaps",
        "{checkpoint}",
        "Checkpoints that have not arrived, although a later one has",
        |incomplete| incomplete.gaps,
    ),
    (
        "angarium.checkpoint.silent",
        "{stream}",
        "Producers, by exchange, of which no checkpoint has arrived for five intervals",
        |incomplete| incomplete.silent,
    ),
    (
        "angarium.checkpoint.diverged",
        "{stream}",
        "Producers, by exchange, that have lost events which they had published",
        |incomplete| incomplete.diverged,
    ),
];
