//! Doubt whether a database still accepts writes.
//!
//! A failed statement or commit raises the doubt; the health check settles it with its own write. So checks do not
//! write to an idle, healthy database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The doubt about one database. Clones share it.
#[derive(Clone, Debug)]
pub struct Doubt(Arc<AtomicU64>);

impl Doubt {
    /// Raised, because the state of the database is unknown.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }

    /// A write may have failed.
    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// A successful write settles all doubts raised before it began.
    pub fn raised(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Default for Doubt {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_raised_and_its_clones_share_it() {
        let doubt = Doubt::new();
        assert_eq!(doubt.raised(), 1);
        doubt.clone().raise();
        assert_eq!(doubt.raised(), 2);
    }
}
