//! The share of each caller of a gRPC server: calls in progress, and bytes of requests.

use std::time::Duration;

use super::Problems;
use super::grpc::HEADING;

const MAX_IN_FLIGHT: usize = 512;
const MAX_REQUEST_MEMORY: usize = 32 << 20;
/// A quarter of the calls: many people may use one address.
const SHARE_OF_ADDRESS: usize = 4;
/// An eighth of the calls.
const SHARE_OF_USER: usize = 8;
/// The headers of a request, in addition to its message.
const BESIDE_MESSAGE: usize = 32 << 10;
const LONGEST_REFLECTION: Duration = Duration::from_secs(60);
const LONGEST_HEALTH_WATCH: Duration = Duration::from_secs(3600);

/// Flags and variables of callers' shares.
#[derive(Clone, Debug, clap::Args)]
pub struct CallerArgs {
    /// Header in which your proxy puts the client's address, as its last or only address, such as x-forwarded-for; without it, the client is the
    /// peer of the connection. All limits per address use it, except the limit of connections [default: none]
    #[arg(
        long,
        help_heading = HEADING,
        env = "CLIENT_ADDRESS_HEADER",
        value_name = "NAME"
    )]
    pub client_address_header: Option<String>,

    /// Maximum number of calls in progress from one address; `off` if all calls come from a proxy without client
    /// addresses [default: a quarter]
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_IN_FLIGHT_PER_ADDRESS",
        value_name = "N|off"
    )]
    pub grpc_max_in_flight_per_address: Option<String>,

    /// Maximum number of calls in progress from one user [default: an eighth]
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_IN_FLIGHT_PER_USER",
        value_name = "N|off"
    )]
    pub grpc_max_in_flight_per_user: Option<String>,

    /// Maximum bytes of requests in memory [default: 32 MiB, and at least four of the largest requests]
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_REQUEST_MEMORY",
        value_name = "BYTES"
    )]
    pub grpc_max_request_memory: Option<String>,

    /// Maximum bytes of requests from one address; `off` if all calls come from a proxy without client addresses
    /// [default: a quarter]
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_REQUEST_MEMORY_PER_ADDRESS",
        value_name = "BYTES|off"
    )]
    pub grpc_max_request_memory_per_address: Option<String>,
}

impl CallerArgs {
    /// Validates, for a server with these limits.
    pub fn check(
        self,
        max_in_flight: usize,
        max_request_bytes: usize,
        problems: &mut Problems,
    ) -> Option<CallerConfig> {
        let defaults = CallerConfig::of(max_in_flight, max_request_bytes);
        let address_header = match self.client_address_header {
            None => Some(None),
            Some(name) => header(&name, problems).map(Some),
        };
        let of_address = share(
            "GRPC_MAX_IN_FLIGHT_PER_ADDRESS",
            self.grpc_max_in_flight_per_address,
            (1, defaults.max_in_flight_per_address),
            problems,
        );
        let of_user = share(
            "GRPC_MAX_IN_FLIGHT_PER_USER",
            self.grpc_max_in_flight_per_user,
            (1, defaults.max_in_flight_per_user),
            problems,
        );
        let one = max_request_bytes + BESIDE_MESSAGE;
        let memory = match self.grpc_max_request_memory {
            None => Some(defaults.max_request_memory),
            Some(given) => problems.number("GRPC_MAX_REQUEST_MEMORY", &given, (one, 64 << 30)),
        };
        let quarter = memory.map(|memory| one.max(memory / SHARE_OF_ADDRESS));
        let memory_of_address = share(
            "GRPC_MAX_REQUEST_MEMORY_PER_ADDRESS",
            self.grpc_max_request_memory_per_address,
            (one, quarter),
            problems,
        );
        Some(CallerConfig {
            address_header: address_header?,
            max_in_flight_per_address: of_address?,
            max_in_flight_per_user: of_user?,
            max_request_memory: memory?,
            max_request_memory_per_address: memory_of_address?,
            ..defaults
        })
    }
}

/// A number from `least` on, or `off`; without a value `default`.
fn share(
    name: &str,
    given: Option<String>,
    (least, default): (usize, Option<usize>),
    problems: &mut Problems,
) -> Option<Option<usize>> {
    match given {
        None => Some(default),
        Some(given) => problems.number_or_off(name, &given, least),
    }
}

fn header(name: &str, problems: &mut Problems) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = name.trim().to_ascii_lowercase();
    if !name.is_empty() && name.bytes().all(plain) {
        return Some(name);
    }
    problems.add(
        "CLIENT_ADDRESS_HEADER",
        &name,
        "the name of a header such as x-forwarded-for",
    );
    None
}

/// The limits of each caller. `None`: no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerConfig {
    /// The header to which our proxy appends the client's address. `None`: the client is the peer of the connection.
    pub address_header: Option<String>,
    /// Calls in progress from one address (IPv6: one network).
    pub max_in_flight_per_address: Option<usize>,
    /// Calls in progress from one user.
    pub max_in_flight_per_user: Option<usize>,
    /// Bytes of requests, each from its first byte until its answer.
    pub max_request_memory: usize,
    /// Bytes of requests from one address.
    pub max_request_memory_per_address: Option<usize>,
    /// The longest stream of reflection.
    pub longest_reflection: Duration,
    /// The longest watch of health. Clients start it again.
    pub longest_health_watch: Duration,
}

impl CallerConfig {
    /// The defaults for a server with these limits.
    pub fn of(max_in_flight: usize, max_request_bytes: usize) -> Self {
        let one = max_request_bytes + BESIDE_MESSAGE;
        let memory = MAX_REQUEST_MEMORY.max(4 * one);
        Self {
            address_header: None,
            max_in_flight_per_address: Some(max_in_flight.div_ceil(SHARE_OF_ADDRESS)),
            max_in_flight_per_user: Some(max_in_flight.div_ceil(SHARE_OF_USER)),
            max_request_memory: memory,
            max_request_memory_per_address: Some(one.max(memory / SHARE_OF_ADDRESS)),
            longest_reflection: LONGEST_REFLECTION,
            longest_health_watch: LONGEST_HEALTH_WATCH,
        }
    }
}

impl Default for CallerConfig {
    fn default() -> Self {
        Self::of(MAX_IN_FLIGHT, 1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        callers: CallerArgs,
    }

    fn checked(args: &[&str]) -> Result<CallerConfig, Vec<String>> {
        let args = Args::parse_from([&["test"], args].concat());
        let mut problems = Problems::default();
        let config = args.callers.check(512, 1 << 20, &mut problems);
        config.ok_or_else(|| problems.into_sentences())
    }

    #[test]
    fn one_caller_has_a_share_of_what_there_is() {
        let config = checked(&[]).unwrap();
        assert_eq!(config, CallerConfig::default());
        assert_eq!(config.max_in_flight_per_address, Some(128));
        assert_eq!(config.max_in_flight_per_user, Some(64));
        assert_eq!(config.max_request_memory_per_address, Some(8 << 20));
    }

    #[test]
    fn the_share_of_the_memory_follows_it() {
        let config = checked(&["--grpc-max-request-memory=67108864"]).unwrap();
        assert_eq!(config.max_request_memory_per_address, Some(16 << 20));
        let large = CallerConfig::of(512, 64 << 20);
        assert!(large.max_request_memory_per_address > Some(64 << 20));
    }

    #[test]
    fn shares_are_numbers_or_off() {
        for name in [
            "grpc-max-in-flight-per-address",
            "grpc-max-in-flight-per-user",
            "grpc-max-request-memory-per-address",
        ] {
            assert!(checked(&[&format!("--{name}=9000000")]).is_ok(), "{name}");
            assert!(checked(&[&format!("--{name}=off")]).is_ok(), "{name}");
            for wrong in ["0", "-1", "many"] {
                let refused = checked(&[&format!("--{name}={wrong}")]).unwrap_err();
                let variable = name.to_uppercase().replace('-', "_");
                assert!(refused[0].contains(&variable), "{refused:?}");
            }
        }
        assert!(checked(&["--grpc-max-request-memory=1000"]).is_err());
    }

    #[test]
    fn a_header_has_a_plain_name() {
        let header = |name: &str| {
            let flag = format!("--client-address-header={name}");
            checked(&[&flag]).map(|config| config.address_header)
        };
        let expected = Some("x-forwarded-for".to_owned());
        assert_eq!(header("X-Forwarded-For"), Ok(expected));
        for wrong in ["", "x forwarded", "ä"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }
}
