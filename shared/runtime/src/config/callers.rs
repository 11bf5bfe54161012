//! What a gRPC server grants each of its callers: a share of the calls in work, and of the bytes of requests.

use std::time::Duration;

use super::Problems;

const MAX_IN_FLIGHT: usize = 512;
const MAX_REQUEST_MEMORY: usize = 32 << 20;
/// Of all calls in work, the share of one address: many people may be behind it.
const SHARE_OF_ADDRESS: usize = 4;
/// … and of one user.
const SHARE_OF_USER: usize = 8;
/// Beside its largest message a request has headers.
const BESIDE_MESSAGE: usize = 32 << 10;
const LONGEST_REFLECTION: Duration = Duration::from_secs(60);
const LONGEST_HEALTH_WATCH: Duration = Duration::from_secs(3600);

/// Named at each flag: a heading for what follows would also take in the service's own flags.
const HEADING: &str = "gRPC server";

/// Flags and variables of what callers are granted.
#[derive(Clone, Debug, clap::Args)]
pub struct CallerArgs {
    /// Header in which a proxy of yours puts the client's address last, such as x-forwarded-for; without one, the client is the
    /// other end of the connection. All limits of an address count by it, except that of connections [default: none]
    #[arg(
        long,
        help_heading = HEADING,
        env = "CLIENT_ADDRESS_HEADER",
        value_name = "NAME"
    )]
    pub client_address_header: Option<String>,

    /// Of the calls in work, those of one address; `off` where all come from a proxy that names no client [default: a quarter]
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_IN_FLIGHT_PER_ADDRESS",
        value_name = "N|off"
    )]
    pub grpc_max_in_flight_per_address: Option<String>,

    /// Of the calls in work, those of one user [default: an eighth]
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_IN_FLIGHT_PER_USER",
        value_name = "N|off"
    )]
    pub grpc_max_in_flight_per_user: Option<String>,

    /// Bytes of requests that the server holds at a time [default: 32 MiB, and at least four of the largest requests]
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_REQUEST_MEMORY",
        value_name = "BYTES"
    )]
    pub grpc_max_request_memory: Option<String>,

    /// Of these, the bytes of one address; `off` where all come from a proxy that names no client [default: a quarter]
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_REQUEST_MEMORY_PER_ADDRESS",
        value_name = "BYTES|off"
    )]
    pub grpc_max_request_memory_per_address: Option<String>,
}

impl CallerArgs {
    /// The checked section, of a server with these limits.
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
        // Room for one request at least, whatever it is.
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

/// A number from `least`, or `off`; by default `default`.
fn share(
    name: &str,
    given: Option<String>,
    (least, default): (usize, Option<usize>),
    problems: &mut Problems,
) -> Option<Option<usize>> {
    let Some(given) = given else {
        return Some(default);
    };
    match given.trim() {
        "off" => Some(None),
        number => match number.parse() {
            Ok(most) if most >= least => Some(Some(most)),
            _ => {
                let expected = format!("a whole number from {least}, or off");
                problems.add(name, &given, &expected);
                None
            }
        },
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

/// What callers are granted. `None`: as much as there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerConfig {
    /// Where a proxy of ours puts the client's address last. `None`: the client is the other end of the connection.
    pub address_header: Option<String>,
    /// Calls in work of one address (of version 6: one network).
    pub max_in_flight_per_address: Option<usize>,
    /// Calls in work of one user.
    pub max_in_flight_per_user: Option<usize>,
    /// Bytes of requests, from their first one until the call has its answer.
    pub max_request_memory: usize,
    /// Of these, those of one address.
    pub max_request_memory_per_address: Option<usize>,
    /// How long a stream of reflection lasts at most.
    pub longest_reflection: Duration,
    /// How long a watch of health lasts at most. Clients begin it again.
    pub longest_health_watch: Duration,
}

impl CallerConfig {
    /// The defaults of a server with these limits.
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
        // Less than one request.
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
