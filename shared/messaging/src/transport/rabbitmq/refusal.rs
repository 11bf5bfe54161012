//! Why the broker closed a channel or a connection, as far as it matters to a service that looks for its topology.

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};

use super::config::RabbitMqConfig;
use crate::transport::{TopologyMismatch, TransportError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The user lacks the permission (403).
    Forbidden,
    /// It does not exist (404).
    Absent,
    /// It exists with other settings (406).
    Different,
    /// There is no such virtual host, or the user may not enter it (530).
    VirtualHost,
}

impl Refusal {
    /// `None` for other failures: a lost connection, a time-out.
    pub(super) fn of(error: &TransportError) -> Option<Self> {
        let ErrorKind::ProtocolError(said) = error.cause::<lapin::Error>()?.kind() else {
            return None;
        };
        match said.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Some(Self::Forbidden),
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => Some(Self::Absent),
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => Some(Self::Different),
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Some(Self::VirtualHost),
            _ => None,
        }
    }
}

/// Why a connection could not be opened. A virtual host that is refused stays so until an operator acts.
pub(super) fn explain(error: TransportError, config: &RabbitMqConfig) -> TransportError {
    if Refusal::of(&error) != Some(Refusal::VirtualHost) {
        return error;
    }
    let mismatch = TopologyMismatch::VirtualHost {
        name: config.vhost(),
        said: error.to_string(),
    };
    TransportError::new("entering the virtual host", mismatch)
}
