//! The settings of the broker.

use url::Url;

use super::tls::BrokerTlsArgs;
use crate::transport::RabbitMqConfig;

const EXPECTED_URL: &str = "amqp://user:password@host:5672/vhost, or amqps://";

/// Flags and variables of the broker.
#[derive(Clone, Debug, clap::Args)]
pub struct BrokerArgs {
    /// RabbitMQ, as `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS; AMQP_URL_FILE names a file that
    /// holds it
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL")]
    pub amqp_url: Option<String>,

    /// Prefix for the names of exchanges and queues, so that several systems can share a vhost
    #[arg(long, env = "AMQP_PREFIX", default_value = "", value_name = "TEXT")]
    pub amqp_prefix: String,

    /// For `amqps://`.
    #[command(flatten)]
    pub tls: BrokerTlsArgs,
}

impl BrokerArgs {
    /// The clap ids of settings that may also come from a file.
    pub const SECRETS: &'static [&'static str] = &["amqp_url"];

    /// As [`check`](Self::check), but the broker is required.
    pub fn required(&self, problem: &mut dyn FnMut(&str, &str, &str)) -> Option<RabbitMqConfig> {
        if self.amqp_url.is_none() {
            problem("AMQP_URL", "", EXPECTED_URL);
            return None;
        }
        self.check(problem)?
    }

    /// Validates. Calls `problem` with the variable, the value and the expectation. `Some(None)`: no broker, only the
    /// embedded transport is possible.
    pub fn check(
        &self,
        problem: &mut dyn FnMut(&str, &str, &str),
    ) -> Option<Option<RabbitMqConfig>> {
        const LONGEST_PREFIX: usize = 64;
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        if self.amqp_prefix.len() > LONGEST_PREFIX || !self.amqp_prefix.bytes().all(plain) {
            problem(
                "AMQP_PREFIX",
                &self.amqp_prefix,
                "at most 64 letters, digits and _-.:",
            );
            return None;
        }
        let Some(given) = &self.amqp_url else {
            return Some(None);
        };
        let url = Url::parse(given).ok();
        let Some(url) = url.filter(|url| matches!(url.scheme(), "amqp" | "amqps")) else {
            problem("AMQP_URL", "(not shown)", EXPECTED_URL);
            return None;
        };
        let config = RabbitMqConfig {
            tls: self.tls.check(&url, problem)?,
            prefix: self.amqp_prefix.clone(),
            ..RabbitMqConfig::new(url)
        };
        if let Err(expected) = config.uri() {
            problem("AMQP_URL", "(not shown)", expected);
            return None;
        }
        Some(Some(config))
    }
}
