//! The states of held events.

/// Why an event is held rather than done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Until an earlier event of its aggregate is handled.
    Waiting,
    /// Until its next attempt.
    Deferred,
    /// Until an operator replays or discards it.
    Dead,
    /// No build has known its type in time.
    Skipped,
    /// Discarded by an operator; passed over in its turn.
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
