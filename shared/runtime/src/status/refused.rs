//! Builds the answer from the violations of a request.

use tonic::Status;

use super::{Violations, invalid_argument};

impl Violations {
    /// `Ok` without violations.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with all of them.
    pub fn into_result(self) -> Result<(), Status> {
        if self.found.is_empty() {
            return Ok(());
        }
        Err(self.into_status())
    }

    /// `INVALID_ARGUMENT` with all of them.
    pub fn into_status(self) -> Status {
        invalid_argument(self.found)
    }
}
