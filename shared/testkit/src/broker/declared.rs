//! What a test has declared on the broker and must remove.

use std::collections::BTreeSet;

#[derive(Clone, Default)]
pub(super) struct Declared {
    pub(super) exchanges: BTreeSet<String>,
    pub(super) queues: BTreeSet<String>,
}
