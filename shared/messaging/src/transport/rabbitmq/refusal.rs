//! Why the broker closed a channel, as far as it matters to a service that looks for its topology.

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};

use crate::transport::TransportError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The user lacks the right (403).
    Forbidden,
    /// There is no such thing (404).
    Absent,
    /// It is there with other settings (406).
    Different,
}

impl Refusal {
    /// `None` for whatever else went wrong: a lost connection, a time-out.
    pub(super) fn of(error: &TransportError) -> Option<Self> {
        let ErrorKind::ProtocolError(said) = error.cause::<lapin::Error>()?.kind() else {
            return None;
        };
        match said.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Some(Self::Forbidden),
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => Some(Self::Absent),
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => Some(Self::Different),
            _ => None,
        }
    }
}
