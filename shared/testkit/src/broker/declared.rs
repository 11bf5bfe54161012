//! What a test has declared and must remove.

use std::collections::BTreeSet;

#[derive(Clone, Default)]
pub(super) struct Declared {
    pub(super) exchanges: BTreeSet<String>,
    pub(super) queues: BTreeSet<String>,
}
