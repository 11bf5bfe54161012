//! Checkpoints: a producer lists what it has published, and each consumer compares that with what has arrived.
//!
//! A confirm proves that one queue took an event, not that the queue of every consumer did. Guarantee: an event that reaches no inbox
//! of a consumer which subscribes to it becomes a row of `angarium_missing`, or the checkpoint that lists it becomes one of
//! `angarium_checkpoint_gap`, or its producer counts as silent. Nothing is decided by the two clocks together: a consumer expects the
//! events of a binding from the second checkpoint on that came after the binding.

use std::time::Duration;

mod announced;
mod compared;
mod forgetting;
mod listing;
mod publishing;
mod receiving;
mod stream;
mod taking;
mod watch;

pub(crate) use announced::Announced;
pub(crate) use compared::Comparing;
pub(crate) use forgetting::forget;
pub(crate) use listing::Listing;
pub(crate) use publishing::Checkpoints;
pub(crate) use receiving::{Receiving, decode, read};
pub(crate) use watch::{Completeness, Incomplete, count};

#[cfg(test)]
mod plans;

/// How often a producer publishes a checkpoint.
#[derive(Clone, Debug)]
pub struct CheckpointPace {
    /// After the last one, while there is something to list.
    pub busy: Duration,
    /// After the last one, while there is nothing: consumers notice that a producer is silent.
    pub idle: Duration,
    /// The most events of one checkpoint. Where there are more, the next one follows at once.
    pub most: u16,
}

impl Default for CheckpointPace {
    /// After 5 s or 1000 events; an idle producer each minute.
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            most: 1000,
        }
    }
}
