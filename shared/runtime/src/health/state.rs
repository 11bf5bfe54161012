//! Which names serve.

use std::collections::BTreeMap;

/// While `draining`, no name serves.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) serving: BTreeMap<String, bool>,
    pub(super) draining: bool,
}

impl State {
    pub(super) fn serving(&self, name: &str) -> Option<bool> {
        let serving = self.serving.get(name)?;
        Some(*serving && !self.draining)
    }
}
