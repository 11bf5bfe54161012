//! Why the broker closed a channel or a connection, as far as the topology is concerned.

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};

use super::config::RabbitMqConfig;
use crate::transport::{TopologyMismatch, TransportError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 403: the user lacks the permission.
    Forbidden,
    /// 404.
    Absent,
    /// 406: it exists with other settings.
    Different,
    /// 530: no such virtual host, or no access.
    VirtualHost,
}

impl Refusal {
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

/// Only an operator can change it.
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
