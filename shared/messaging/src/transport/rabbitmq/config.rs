//! How to reach RabbitMQ.

use std::time::Duration;

use lapin::uri::AMQPUri;
use url::Url;

use super::tls::RabbitMqTls;

/// How to reach the broker.
#[derive(Clone)]
pub struct RabbitMqConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`.
    pub url: Url,
    /// For `amqps://`.
    pub tls: RabbitMqTls,
    /// Put before the name of every exchange and queue, so that several systems can share a vhost. Usually empty.
    pub prefix: String,
    /// The longest that any single exchange with the broker may take before the connection counts as lost.
    pub time_out: Duration,
}

impl RabbitMqConfig {
    /// The defaults: no certificates of our own, no prefix, 5 s.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            tls: RabbitMqTls::default(),
            prefix: String::new(),
            time_out: Duration::from_secs(5),
        }
    }
}

impl RabbitMqConfig {
    /// The virtual host of the URL; `/` where it names none.
    pub fn vhost(&self) -> String {
        let uri: Result<AMQPUri, String> = self.url.as_str().parse();
        uri.map_or_else(|_| "/".to_owned(), |uri| uri.vhost)
    }
}

impl std::fmt::Debug for RabbitMqConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(
            formatter,
            "RabbitMqConfig({host}, prefix {:?})",
            self.prefix
        )
    }
}
