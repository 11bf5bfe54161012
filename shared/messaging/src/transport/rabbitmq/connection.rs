//! One connection with one channel, and a time-out for every wait for the broker.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::types::ShortString;
use lapin::uri::AMQPUri;
use lapin::{Channel, ConnectionProperties};
use tokio::runtime::Handle;

use super::blocked::{Blocked, Watching};
use super::config::RabbitMqConfig;
use super::socket;
use crate::transport::TransportError;

/// On a silent link no confirm comes.
const FAREWELL: Duration = Duration::from_millis(500);

const OPENING: &str = "opening a channel";

pub(super) struct Connection {
    connection: Closing,
    pub(super) channel: Channel,
    pub(super) config: Arc<RabbitMqConfig>,
    pub(super) blocked: Blocked,
    _watching: Watching,
}

impl Connection {
    pub(super) async fn open(
        config: &Arc<RabbitMqConfig>,
        name: &str,
    ) -> Result<Self, TransportError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = config.tls.read().await?;
        let uri = uri(config)?;
        let connecting = socket::connect(uri, properties, tls);
        let connection = within(config.time_out, "connecting to RabbitMQ", connecting).await?;
        let connection = Closing {
            connection: Arc::new(connection),
            consumer_begins: AtomicBool::new(false),
        };
        let (blocked, watching) = Blocked::watch(&connection, name);
        let channel = within(config.time_out, OPENING, connection.create_channel()).await?;
        Ok(Self {
            connection,
            channel,
            config: Arc::clone(config),
            blocked,
            _watching: watching,
        })
    }

    pub(super) async fn wait_for_consumer<T>(
        &self,
        action: &str,
        future: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, TransportError> {
        let begins = &self.connection.consumer_begins;
        begins.store(true, Ordering::Relaxed);
        let begun = self.wait(action, future).await?;
        begins.store(false, Ordering::Relaxed);
        Ok(begun)
    }

    /// For operations that the broker may refuse: a refusal closes the channel.
    pub(super) async fn open_channel(&self) -> Result<Channel, TransportError> {
        self.wait(OPENING, self.connection.create_channel()).await
    }

    pub(super) async fn close_channel(&self, channel: &Channel) -> Result<(), TransportError> {
        let closing = channel.close(200, "done".into());
        self.wait("closing a channel", closing).await
    }

    pub(super) async fn wait<T>(
        &self,
        action: &str,
        future: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, TransportError> {
        within(self.config.time_out, action, future).await
    }

    /// The broker answers only while it is not blocked.
    pub(super) async fn wait_while_blocked<T>(
        &self,
        action: &str,
        future: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, TransportError> {
        let limit = self.config.time_out;
        let done = self.blocked.outlast(limit, action, future).await?;
        done.map_err(|error| TransportError::new(action, error))
    }

    pub(super) fn name(&self, name: &str) -> Result<ShortString, TransportError> {
        short(&format!("{}{name}", self.config.prefix))
    }

    pub(super) fn own_name(&self, name: &str) -> String {
        name.strip_prefix(&self.config.prefix)
            .unwrap_or(name)
            .to_owned()
    }

    pub(super) async fn close(&self) {
        // Only polite: the broker also closes a dropped connection.
        let _ = self
            .wait(
                "closing the connection",
                self.connection.close(200, "done".into()),
            )
            .await;
    }
}

/// Closes the connection if it is dropped while a consumer starts: a pending answer holds a handle of lapin's, so the
/// consumer would continue to receive without a user.
struct Closing {
    connection: Arc<lapin::Connection>,
    consumer_begins: AtomicBool,
}

impl Deref for Closing {
    type Target = lapin::Connection;

    fn deref(&self) -> &lapin::Connection {
        &self.connection
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if !self.consumer_begins.load(Ordering::Relaxed) {
            return;
        }
        let connection = Arc::clone(&self.connection);
        runtime.spawn(async move {
            let closing = connection.close(200, "done".into());
            let _ = within(FAREWELL, "closing the connection", closing).await;
        });
    }
}

pub(super) fn uri(config: &RabbitMqConfig) -> Result<AMQPUri, TransportError> {
    let unreadable = |expected| {
        TransportError::new(
            "reading the URL of RabbitMQ",
            format!("expected {expected}"),
        )
    };
    config.uri().map_err(unreadable)
}

/// At most 255 bytes; lapin panics when a longer text is converted implicitly.
pub(super) fn short(text: &str) -> Result<ShortString, TransportError> {
    ShortString::try_new(text)
        .map_err(|error| TransportError::new(format!("using `{text}` as an AMQP name"), error))
}

pub(super) async fn within<T>(
    limit: Duration,
    action: &str,
    future: impl Future<Output = lapin::Result<T>>,
) -> Result<T, TransportError> {
    match tokio::time::timeout(limit, future).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(TransportError::new(action, error)),
        Err(_) => Err(TransportError::new(
            action,
            format!("no answer within {limit:?}"),
        )),
    }
}
