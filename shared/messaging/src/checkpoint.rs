//! Checkpoints: a producer lists what it has published, and each consumer compares the list with its inbox.
//!
//! A confirm proves that one queue took an event, not that the queue of each consumer did. Guarantee: an event that does not reach the
//! inbox of a subscribed consumer becomes a row of `angarium_missing`, or its checkpoint becomes a row of `angarium_checkpoint_gap`, or
//! its producer counts as silent. No decision compares two clocks: a consumer expects the events of a binding from the second
//! checkpoint on that arrived through it.

use std::time::Duration;

mod announced;
mod compared;
mod forgetting;
mod gaps;
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
    /// The interval while there are events to list.
    pub busy: Duration,
    /// The interval without events: a consumer notices a silent producer by it.
    pub idle: Duration,
    /// The most events of one checkpoint. If there are more, the next checkpoint follows at once.
    pub most: u16,
    /// The longest time until the broker has confirmed a checkpoint. Then it is published again. Shorter than 30 s, after which
    /// another replica takes it over.
    pub confirm: Duration,
}

impl Default for CheckpointPace {
    /// After 5 s or 1000 events; an idle producer each minute.
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            most: 1000,
            confirm: Duration::from_secs(20),
        }
    }
}
