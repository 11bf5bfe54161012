//! Who made a failed call, and why it failed, for its log line.

use std::sync::{Arc, OnceLock};

use tonic::Status;
use tonic_types::StatusExt as _;

/// The user of the token, otherwise the client's address. The guard sets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CalledBy(Arc<OnceLock<String>>);

impl CalledBy {
    pub(crate) fn is(&self, caller: String) {
        let _ = self.0.set(caller);
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// For the log: the message and the details are for the caller.
#[derive(Default)]
pub(super) struct Why {
    pub(super) reason: Option<String>,
    /// The refused fields.
    pub(super) field: Option<String>,
}

/// A person reads the line.
const FIELDS_SHOWN: usize = 3;

impl Why {
    pub(super) fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let fields = details.bad_request().map(|bad_request| {
            let fields = bad_request.field_violations.iter();
            let mut fields: Vec<&str> = fields.map(|violation| violation.field.as_str()).collect();
            fields.dedup();
            let more = fields.len() > FIELDS_SHOWN;
            fields.truncate(FIELDS_SHOWN);
            fields.join(",") + if more { ",…" } else { "" }
        });
        Self {
            reason: details.error_info().map(|info| info.reason.clone()),
            field: fields.filter(|fields| !fields.is_empty()),
        }
    }
}
