//! The states of held events.

/// Why an event is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Waiting,
    Deferred,
    Dead,
    /// No build has known its type in time.
    Skipped,
    /// Its turn is passed over.
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
