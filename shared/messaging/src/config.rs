//! The broker's section of a service's configuration.
//!
//! Values come in as text and are judged here, through a function that collects what is wrong, so that all mistakes are named
//! at once and this crate needs to know nothing of how they are reported.

use url::Url;

use crate::transport::RabbitMqConfig;

const EXPECTED_URL: &str = "amqp://user:password@host:5672/vhost, or amqps://";

/// Flags and environment variables.
#[derive(Clone, Debug, clap::Args)]
pub struct BrokerArgs {
    /// RabbitMQ, as `amqp://user:password@host:5672/vhost`. Also read from the file named in AMQP_URL_FILE.
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL")]
    pub amqp_url: Option<String>,

    /// Put before the name of every exchange and queue, so that several systems can share a vhost.
    #[arg(long, env = "AMQP_PREFIX", default_value = "", value_name = "TEXT")]
    pub amqp_prefix: String,
}

impl BrokerArgs {
    /// The clap ids of what may come from a file instead.
    pub const SECRETS: &'static [&'static str] = &["amqp_url"];

    /// As [`check`](Self::check), for a process that has no other transport.
    pub fn required(&self, problem: &mut dyn FnMut(&str, &str, &str)) -> Option<RabbitMqConfig> {
        if self.amqp_url.is_none() {
            problem("AMQP_URL", "", EXPECTED_URL);
            return None;
        }
        self.check(problem)?
    }

    /// Judges the values. `problem` is told the variable, what was given, and what is expected. The answer is `Some(None)`
    /// where no broker was named: then only the embedded transport is left.
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
        match Url::parse(given)
            .ok()
            .filter(|url| matches!(url.scheme(), "amqp" | "amqps") && url.has_host())
        {
            Some(url) => Some(Some(RabbitMqConfig {
                prefix: self.amqp_prefix.clone(),
                ..RabbitMqConfig::new(url)
            })),
            None => {
                problem("AMQP_URL", "(not shown)", EXPECTED_URL);
                None
            }
        }
    }
}
