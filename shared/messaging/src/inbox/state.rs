//! The states of events in the inbox that are not done.

/// Why an event is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// For an earlier event of its aggregate, or for a process that knows its type.
    Waiting,
    /// It is retried.
    Deferred,
    /// Its consumer gave up on it.
    Dead,
    /// No build has known its type in time.
    Skipped,
    /// Its turn is passed over.
    Discarded,
}

impl NotDone {
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
