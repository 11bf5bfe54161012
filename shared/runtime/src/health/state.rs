//! Which names serve.

use std::collections::BTreeMap;

/// Which names serve. While `draining`, none does.
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
