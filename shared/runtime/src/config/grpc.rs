//! The address of a gRPC server, and the limits of its calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{
    CallerArgs, CallerConfig, ClientArgs, ClientConfig, Mode, Problems, TlsArgs, TlsConfig,
};

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_REQUEST_BYTES: usize = 1 << 20;
const MAX_RESPONSE_BYTES: usize = 4 << 20;
const MAX_STREAMS: u32 = 200;
const MAX_IN_FLIGHT: usize = 512;

/// At each flag: `next_help_heading` would also apply to the service's own flags.
pub(super) const HEADING: &str = "gRPC server";

/// Flags and variables of the gRPC server.
#[derive(Clone, Debug, clap::Args)]
pub struct GrpcArgs {
    /// Address and port to listen on [default: 127.0.0.1 and the service's own port]
    #[arg(long, help_heading = HEADING, env = "GRPC_LISTEN", value_name = "ADDRESS:PORT")]
    pub grpc_listen: Option<String>,

    /// Longest time of a call, except WatchOrder; a client's deadline can only be shorter
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_DEADLINE",
        value_name = "TIME",
        default_value = "10s"
    )]
    pub grpc_deadline: String,

    /// Largest request message, uncompressed
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_REQUEST_BYTES",
        value_name = "BYTES",
        default_value = "1048576"
    )]
    pub grpc_max_request_bytes: String,

    /// Largest response message, uncompressed
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_RESPONSE_BYTES",
        value_name = "BYTES",
        default_value = "4194304"
    )]
    pub grpc_max_response_bytes: String,

    /// Maximum number of open calls on one connection
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_STREAMS",
        value_name = "N",
        default_value = "200"
    )]
    pub grpc_max_streams: String,

    /// Maximum number of calls in progress, on all connections; more are refused
    #[arg(
        long,
        help_heading = HEADING,
        env = "GRPC_MAX_IN_FLIGHT",
        value_name = "N",
        default_value = "512"
    )]
    pub grpc_max_in_flight: String,

    /// `on` or `off`: whether clients can list the methods [default: off in production]
    #[arg(long, help_heading = HEADING, env = "GRPC_REFLECTION", value_name = "ON|OFF")]
    pub grpc_reflection: Option<String>,

    #[command(flatten)]
    pub callers: CallerArgs,

    #[command(flatten)]
    pub clients: ClientArgs,

    #[command(flatten)]
    pub tls: TlsArgs,
}

impl GrpcArgs {
    /// Validates. Without an address, the server listens on the loopback interface at `default_port`.
    pub fn check(
        self,
        default_port: u16,
        mode: Mode,
        problems: &mut Problems,
    ) -> Option<GrpcConfig> {
        let listen = match &self.grpc_listen {
            Some(raw) => problems.parse(
                "GRPC_LISTEN",
                raw,
                "an address and port such as 127.0.0.1:50051 or [::]:50051",
            ),
            None => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, default_port))),
        };
        let deadline = problems.duration_within(
            "GRPC_DEADLINE",
            &self.grpc_deadline,
            (Duration::from_millis(1), Duration::from_secs(3600)),
        );
        // More than any sensible message needs; does not endanger the process.
        let bytes = (1024, 64 << 20);
        let max_request_bytes = problems.number(
            "GRPC_MAX_REQUEST_BYTES",
            &self.grpc_max_request_bytes,
            bytes,
        );
        let max_response_bytes = problems.number(
            "GRPC_MAX_RESPONSE_BYTES",
            &self.grpc_max_response_bytes,
            bytes,
        );
        let max_streams = problems.number("GRPC_MAX_STREAMS", &self.grpc_max_streams, (1, 100_000));
        let max_in_flight =
            problems.number("GRPC_MAX_IN_FLIGHT", &self.grpc_max_in_flight, (1, 100_000));
        let reflection = match self.grpc_reflection.as_deref().map(str::trim) {
            None => Some(mode == Mode::Development),
            Some("on") => Some(true),
            Some("off") => Some(false),
            Some(other) => {
                problems.add("GRPC_REFLECTION", other, "on or off");
                None
            }
        };
        // If one of these limits is invalid, its problem is enough.
        let callers = self.callers.check(
            max_in_flight.unwrap_or(MAX_IN_FLIGHT),
            max_request_bytes.unwrap_or(MAX_REQUEST_BYTES),
            problems,
        );
        let clients = self.clients.check(problems);
        let tls = self.tls.check(mode, problems);
        Some(GrpcConfig {
            listen: listen?,
            deadline: deadline?,
            max_request_bytes: max_request_bytes?,
            max_response_bytes: max_response_bytes?,
            max_streams: max_streams?,
            max_in_flight: max_in_flight?,
            reflection: reflection?,
            callers: callers?,
            clients: clients?,
            tls: tls?,
        })
    }
}

/// Address and limits of one gRPC server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcConfig {
    /// The listening address; with port 0 the system chooses.
    pub listen: SocketAddr,
    /// The limit of every client's deadline.
    pub deadline: Duration,
    /// For `max_decoding_message_size` of each generated server: the server as a whole cannot set it.
    pub max_request_bytes: usize,
    /// For `max_encoding_message_size` of each generated server.
    pub max_response_bytes: usize,
    /// Open calls on one connection.
    pub max_streams: u32,
    /// Calls in progress on all connections, except health. Further calls get `RESOURCE_EXHAUSTED`.
    pub max_in_flight: usize,
    /// Whether clients can list the methods.
    pub reflection: bool,
    /// The limits of each caller.
    pub callers: CallerConfig,
    /// The limits of each client.
    pub clients: ClientConfig,
    /// `None`: plaintext.
    pub tls: Option<TlsConfig>,
}

impl GrpcConfig {
    /// The defaults of the flags, on `listen`.
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            deadline: DEADLINE,
            max_request_bytes: MAX_REQUEST_BYTES,
            max_response_bytes: MAX_RESPONSE_BYTES,
            max_streams: MAX_STREAMS,
            max_in_flight: MAX_IN_FLIGHT,
            reflection: true,
            callers: CallerConfig::of(MAX_IN_FLIGHT, MAX_REQUEST_BYTES),
            clients: ClientConfig::default(),
            tls: None,
        }
    }

    /// The same limits on another address.
    #[must_use]
    pub fn with_listen(&self, listen: SocketAddr) -> Self {
        Self {
            listen,
            ..self.clone()
        }
    }
}
