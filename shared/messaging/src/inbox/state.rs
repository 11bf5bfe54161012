//! The states of what is held.

/// Why an event is held rather than done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Behind an event of its aggregate that has not been handled.
    Waiting,
    /// Until its next attempt.
    Deferred,
    /// Until an operator replays or discards it.
    Dead,
    /// Of a type that no build has known in time.
    Skipped,
    /// Given up for good by an operator; passed over when its turn comes.
    Discarded,
}

impl Held {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Deferred => "deferred",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Discarded => "discarded",
        }
    }
}
