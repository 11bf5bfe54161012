//! The limits of each client of a gRPC server: connections, their age, and the rate of calls.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Problems;
use super::grpc::HEADING;

const MAX_CONNECTIONS: usize = 1000;
/// Many people may use one address, but it must not take all connections.
const MAX_CONNECTIONS_PER_ADDRESS: usize = 250;
const CONNECTION_AGE: Duration = Duration::from_secs(30 * 60);
const KEEPALIVE: Duration = Duration::from_secs(60);
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(199);

/// Flags and variables of clients' limits.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientArgs {
    /// Maximum number of open connections; more are closed immediately
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_CONNECTIONS",
        value_name = "N",
        default_value = "1000"
    )]
    pub grpc_max_connections: String,

    /// Maximum number of open connections from one address; `off` if all come from your proxy
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "N|off",
        default_value = "250"
    )]
    pub grpc_max_connections_per_address: String,

    /// Approximate age at which a client is asked to reconnect, so that replicas share the load
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_CONNECTION_AGE",
        value_name = "TIME",
        default_value = "30min"
    )]
    pub grpc_connection_age: String,

    /// How often a silent client is asked whether it is still there
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_KEEPALIVE",
        value_name = "TIME",
        default_value = "60s"
    )]
    pub grpc_keepalive: String,

    /// Calls per second of one caller, with a burst of twice as many; the caller is the user of the token, or
    /// without a token the client's address; `off` if a proxy in front limits calls
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_RATE_LIMIT",
        value_name = "N|off",
        default_value = "200"
    )]
    pub grpc_rate_limit: String,
}

impl ClientArgs {
    /// Validates.
    pub fn check(self, problems: &mut Problems) -> Option<ClientConfig> {
        let max_connections = problems.number(
            "GRPC_MAX_CONNECTIONS",
            &self.grpc_max_connections,
            (1, 1_000_000),
        );
        let max_connections_per_address = problems.number_or_off(
            "GRPC_MAX_CONNECTIONS_PER_ADDRESS",
            &self.grpc_max_connections_per_address,
            1,
        );
        let connection_age = problems.duration_within(
            "GRPC_CONNECTION_AGE",
            &self.grpc_connection_age,
            (Duration::from_secs(1), Duration::from_secs(30 * 24 * 3600)),
        );
        let keepalive = problems.duration_within(
            "GRPC_KEEPALIVE",
            &self.grpc_keepalive,
            (Duration::from_secs(1), Duration::from_secs(24 * 3600)),
        );
        let calls_per_second =
            problems.number_or_off("GRPC_RATE_LIMIT", &self.grpc_rate_limit, NonZeroU32::MIN);
        Some(ClientConfig {
            max_connections: max_connections?,
            max_connections_per_address: max_connections_per_address?,
            connection_age: connection_age?,
            keepalive: keepalive?,
            calls_per_second: calls_per_second?,
        })
    }
}

/// The limits of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Open connections.
    pub max_connections: usize,
    /// Open connections from one address (IPv6: one network). `None`: no limit.
    pub max_connections_per_address: Option<usize>,
    /// ± 10 %: clients that connect together must not reconnect together.
    pub connection_age: Duration,
    /// Between keepalive pings to a silent client.
    pub keepalive: Duration,
    /// Calls per second of each caller, except health. `None`: no limit.
    pub calls_per_second: Option<NonZeroU32>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: Some(MAX_CONNECTIONS_PER_ADDRESS),
            connection_age: CONNECTION_AGE,
            keepalive: KEEPALIVE,
            calls_per_second: Some(CALLS_PER_SECOND),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        clients: ClientArgs,
    }

    fn checked(args: &[&str]) -> Result<ClientConfig, Vec<String>> {
        let args = Args::parse_from([&["test"], args].concat());
        let mut problems = Problems::default();
        let config = args.clients.check(&mut problems);
        config.ok_or_else(|| problems.into_sentences())
    }

    #[test]
    fn the_flags_have_the_defaults_of_the_code() {
        assert_eq!(checked(&[]), Ok(ClientConfig::default()));
    }

    #[test]
    fn the_rate_is_a_number_or_off() {
        let limit = |value: &str| {
            let flag = format!("--grpc-rate-limit={value}");
            checked(&[&flag]).map(|config| config.calls_per_second)
        };
        assert_eq!(limit("7"), Ok(NonZeroU32::new(7)));
        assert_eq!(limit("off"), Ok(None));
        for wrong in ["0", "-1", "many"] {
            let refused = limit(wrong).unwrap_err();
            assert!(refused[0].contains("GRPC_RATE_LIMIT"), "{refused:?}");
        }
    }

    #[test]
    fn the_connections_of_an_address_are_a_number_or_off() {
        let most = |value: &str| {
            let flag = format!("--grpc-max-connections-per-address={value}");
            checked(&[&flag]).map(|config| config.max_connections_per_address)
        };
        assert_eq!(most("7"), Ok(Some(7)));
        assert_eq!(most("off"), Ok(None));
        for wrong in ["0", "-1", "many"] {
            let refused = most(wrong).unwrap_err();
            let name = "GRPC_MAX_CONNECTIONS_PER_ADDRESS";
            assert!(refused[0].contains(name), "{refused:?}");
        }
    }
}
