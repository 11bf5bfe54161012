//! The connection settings of RabbitMQ.

use std::time::Duration;

use lapin::uri::AMQPUri;
use url::Url;

use super::tls::RabbitMqTls;

/// How to connect to a RabbitMQ broker.
#[derive(Clone)]
pub struct RabbitMqConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`.
    pub url: Url,
    /// For `amqps://`.
    pub tls: RabbitMqTls,
    /// The prefix of every exchange and queue name. Usually empty.
    pub prefix: String,
    /// The time limit of one request; after it the connection counts as lost.
    pub time_out: Duration,
}

impl RabbitMqConfig {
    /// No own certificates, no prefix, 5 s.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            tls: RabbitMqTls::default(),
            prefix: String::new(),
            time_out: Duration::from_secs(5),
        }
    }
}

const PARAMETERS: [&str; 4] = ["heartbeat", "frame_max", "channel_max", "auth_mechanism"];

/// A dead peer is noticed after two missed heartbeats; below 5 s RabbitMQ's manual warns of false positives.
const HEARTBEAT_S: u16 = 10;

const LONGEST_VHOST: usize = 255;

impl RabbitMqConfig {
    /// The URL for lapin, with defaults.
    ///
    /// # Errors
    /// The expectation, if the URL cannot be used. It shows nothing of the URL.
    pub fn uri(&self) -> Result<AMQPUri, &'static str> {
        const EXPECTED: &str = "amqp://user:password@host:5672/vhost, or amqps://, with escapes such as %2F for / in user, password and vhost";
        let url = &self.url;
        let is_known = |key: &str| PARAMETERS.contains(&key);
        if !url.query_pairs().all(|(key, _)| is_known(&key)) {
            return Err("only the parameters heartbeat, frame_max, channel_max and auth_mechanism");
        }
        let mut uri: AMQPUri = url.as_str().parse().map_err(|_| EXPECTED)?;
        // lapin knows names only, and would take `localhost` for an IPv6 address.
        uri.authority.host = url
            .host_str()
            .and_then(store::host_name)
            .ok_or("a host that is a name or an IP address; IPv6 in brackets")?;
        if uri.vhost.len() > LONGEST_VHOST {
            return Err("a virtual host of at most 255 bytes");
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Ok(uri)
    }

    /// The virtual host of the URL; `/` if it has none.
    pub fn vhost(&self) -> String {
        self.uri().map_or_else(|_| "/".to_owned(), |uri| uri.vhost)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(url: &str) -> Result<AMQPUri, &'static str> {
        RabbitMqConfig::new(url.parse().unwrap()).uri()
    }

    #[test]
    fn the_host_is_the_one_in_the_url() {
        for (url, host, port) in [
            ("amqp://u:p@rabbit", "rabbit", 5672),
            ("amqps://rabbit", "rabbit", 5671),
            ("amqp://127.0.0.1:1", "127.0.0.1", 1),
            ("amqp://u:p@[::1]:1", "::1", 1),
            ("amqp://u:p@[::ffff:127.0.0.2]", "::ffff:127.0.0.2", 5672),
            ("amqps://b%C3%BCcher.example", "xn--bcher-kva.example", 5671),
        ] {
            let authority = uri(url).unwrap().authority;
            assert_eq!((authority.host.as_str(), authority.port), (host, port));
        }
    }

    #[test]
    fn the_virtual_host_is_unescaped_and_may_be_left_out() {
        for (url, vhost) in [
            ("amqp://h", "/"),
            ("amqp://h/%2f", "/"),
            ("amqp://h/a%20b", "a b"),
            ("amqp://h/", ""),
        ] {
            assert_eq!(uri(url).unwrap().vhost, vhost, "{url}");
        }
    }

    #[test]
    fn what_would_be_ignored_or_misread_is_refused() {
        let long = format!("amqp://h/{}", "v".repeat(256));
        for url in [
            "amqp:///vhost",
            "amqp://a%2Fb",
            "amqp://a,b",
            "amqp://h/%ff",
            "amqp://u:%ff@h",
            "amqp://h?heartbeat=often",
            "amqp://h?verify=verify_none",
            "amqp://h?auth_mechanism=magic",
            &long,
        ] {
            assert!(uri(url).is_err(), "{url}");
        }
    }
}
