//! The relay's connection to the broker: opened, dropped on failure, and reopened.
//!
//! Guarantee: only a failure of the broker drops the connection. No failure costs an attempt or ends the relay.

use std::convert::Infallible;
use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use super::state::{Progress, Relay};
use crate::connected::Up;
use crate::reconnect::Reconnect;
use crate::transport::{Publisher, TransportError};

/// For a connection that is not open at the stop. An available broker answers sooner.
const LAST_CONNECT: Duration = Duration::from_millis(100);

/// Everything unmarked is published again.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("the outbox cannot be used: {0}")]
    Store(#[from] DbErr),
}

struct Connected {
    publisher: Box<dyn Publisher>,
    up: Up,
}

impl Relay {
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

    /// A failure of the database keeps the connection.
    async fn publish_until_broken(
        &self,
        connected: &mut Option<Connected>,
        stop: &CancellationToken,
        reconnect: &mut Reconnect,
        progress: &mut Progress,
    ) -> Result<(), RelayError> {
        let Connected { publisher, up } = match connected.take() {
            Some(connected) => connected,
            None => {
                let Some(publisher) = self.connect(stop).await else {
                    tracing::info!("the broker is away; the next relay publishes what is pending");
                    return Ok(());
                };
                Connected {
                    publisher: publisher?,
                    up: self.link.up(),
                }
            }
        };
        reconnect.connected();
        let ended = tokio::select! {
            ended = self.publish_over(&*publisher, stop, progress) => ended,
            never = self.publish_checkpoints(&*publisher) => match never {},
        };
        if matches!(ended, Err(RelayError::Store(_))) {
            self.standing.lost_the_database();
            *connected = Some(Connected { publisher, up });
        }
        ended
    }

    async fn connect(
        &self,
        stop: &CancellationToken,
    ) -> Option<Result<Box<dyn Publisher>, TransportError>> {
        let given_up = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_CONNECT).await;
        };
        tokio::select! {
            connected = self.transport.publisher() => Some(connected),
            () = given_up => None,
        }
    }

    async fn publish_checkpoints(&self, publisher: &dyn Publisher) -> Infallible {
        match &self.checkpoints {
            Some(checkpoints) => checkpoints.publish_over(&self.store, publisher).await,
            None => std::future::pending().await,
        }
    }
}
