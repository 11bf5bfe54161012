//! The arguments of `angarium reconcile`.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::builder::PossibleValuesParser;

use crate::registry::SERVICES;

/// What to reconcile, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Reconcile {
    /// Only this consumer, by its queue; may be repeated [default: all]
    #[arg(long, value_name = "QUEUE", value_parser = PossibleValuesParser::new(queues()))]
    pub consumer: Vec<String>,

    /// Beside what is known to be missing, all that was published since then, such as 2026-11-29T04:00:00Z
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    pub since: Option<SystemTime>,

    /// Beside what is known to be missing, all events of this aggregate, such as user/0192f3c4-0000-7000-8000-000000000001
    #[arg(long, value_name = "TYPE/ID", value_parser = aggregate)]
    pub aggregate: Option<(String, String)>,

    /// Say what would be handed over, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Answer in JSON
    #[arg(long)]
    pub json: bool,

    /// Why, for the record of each consumer
    #[arg(long, value_name = "TEXT", default_value = "angarium reconcile")]
    pub reason: String,

    /// Events a second, at most
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,

    /// Where a service is, as order-service=https://orders.example:50052; may be repeated
    /// [default: this machine, each service at its own port]
    #[arg(long, value_name = "SERVICE=URL", value_parser = endpoint)]
    pub endpoint: Vec<(String, String)>,

    /// With https: trust servers with a certificate of one of these authorities, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_ca_cert: Option<PathBuf>,

    /// The address of a user who is an operator
    #[arg(long, env = "OPERATOR_EMAIL", value_name = "ADDRESS")]
    pub email: String,

    /// A file that holds the password of that user
    #[arg(long, env = "OPERATOR_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: PathBuf,
}

impl Reconcile {
    /// Whether the consumer of this queue is to be repaired.
    pub(super) fn concerns(&self, queue: &str) -> bool {
        self.consumer.is_empty() || self.consumer.iter().any(|named| named == queue)
    }

    /// The URL of the service with this name and port.
    pub(super) fn url(&self, name: &str, default_port: u16) -> String {
        let mut endpoints = self.endpoint.iter();
        let named = endpoints.find(|(service, _)| service == name);
        named.map_or_else(
            || format!("http://127.0.0.1:{default_port}"),
            |(_, url)| url.clone(),
        )
    }
}

fn queues() -> Vec<String> {
    SERVICES
        .iter()
        .map(|service| service.definition.queue())
        .collect()
}

fn aggregate(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
            Ok((kind.to_owned(), id.to_owned()))
        }
        _ => Err("expected TYPE/ID, such as user/0192f3c4-0000-7000-8000-000000000001".to_owned()),
    }
}

fn endpoint(text: &str) -> Result<(String, String), String> {
    let (service, url) = text.split_once('=').ok_or("expected SERVICE=URL")?;
    let is_known = SERVICES.iter().any(|one| one.definition.name == service);
    if !is_known {
        return Err(format!("there is no service {service}"));
    }
    Ok((service.to_owned(), url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregates_and_endpoints_are_read() {
        let pair = |one: &str, other: &str| Ok((one.to_owned(), other.to_owned()));
        assert_eq!(aggregate("user/1/2"), pair("user", "1/2"));
        assert!(aggregate("user").is_err() && aggregate("/1").is_err());
        let read = endpoint("order-service=http://[::1]:5");
        assert_eq!(read, pair("order-service", "http://[::1]:5"));
        assert!(endpoint("basket-service=http://x").is_err() && endpoint("x").is_err());
    }
}
