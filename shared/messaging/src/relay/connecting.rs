//! The relay's connection to the broker: made, given up when it breaks, and made anew, for as long as the relay runs.
//!
//! Guarantee: trouble with the broker and trouble with the database are told apart. Only the former costs the connection, and neither
//! costs an attempt or ends the relay.

use std::convert::Infallible;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use super::state::{Progress, Relay};
use crate::connected::Up;
use crate::reconnect::Reconnect;
use crate::transport::{Publisher, TransportError};

/// What ends a connection's work. Everything that is not marked is published again.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the outbox cannot be used: {0}")]
    Store(#[from] DbErr),
}

/// A connection to the broker, and that it is there.
struct Connected {
    publisher: Box<dyn Publisher>,
    up: Up,
}

impl Relay {
    /// Publishes until `stop`, over as many connections as that takes.
    pub(super) async fn publish(&self, stop: &CancellationToken, progress: &mut Progress) {
        let (mut reconnect, mut connected) = (Reconnect::default(), None);
        loop {
            match self
                .publish_until_broken(&mut connected, stop, &mut reconnect, progress)
                .await
            {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "the relay starts over; nothing is lost"),
            }
            if stop.is_cancelled() {
                break;
            }
            reconnect.pause(stop).await;
        }
    }

    /// Connects where it is not `connected`; trouble with the database leaves it so.
    async fn publish_until_broken(
        &self,
        connected: &mut Option<Connected>,
        stop: &CancellationToken,
        reconnect: &mut Reconnect,
        progress: &mut Progress,
    ) -> Result<(), RelayError> {
        let Connected { publisher, up } = match connected.take() {
            Some(connected) => connected,
            None => Connected {
                publisher: self.transport.publisher().await?,
                up: self.link.up(),
            },
        };
        reconnect.connected();
        let ended = tokio::select! {
            ended = self.publish_over(&*publisher, stop, progress) => ended,
            never = self.publish_checkpoints(&*publisher) => match never {},
        };
        if matches!(ended, Err(RelayError::Store(_))) {
            *connected = Some(Connected { publisher, up });
        }
        ended
    }

    /// Beside the events, for as long as they are published.
    async fn publish_checkpoints(&self, publisher: &dyn Publisher) -> Infallible {
        match &self.checkpoints {
            Some(checkpoints) => checkpoints.publish_over(&self.store, publisher).await,
            None => std::future::pending().await,
        }
    }
}
