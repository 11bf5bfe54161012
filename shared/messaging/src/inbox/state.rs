//! The states of held events.

/// Why an event is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// For an earlier event of its aggregate.
    Waiting,
    /// For its next attempt.
    Deferred,
    /// For an operator's decision.
    Dead,
    /// No build has known its type in time.
    Skipped,
    /// By an operator; its turn is passed over.
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
