//! `healthcheck`, the first argument of each of our programs: asks a running server whether it serves, for images
//! without other tools.
//!
//! It needs only the address of the service. Its exit codes are those of `grpc_health_probe`.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::tls_provider::install_tls_provider;

/// For the `--help` of programs.
pub const HINT: &str = "`healthcheck` as the first argument asks a running server whether it serves; see `healthcheck --help`.";

const NAME: &str = "healthcheck";

/// Ask a running server whether it serves
///
/// Exit codes: 0 serving, 1 bad arguments, 2 no connection, 3 no answer, 4 not serving.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The server; for 0.0.0.0 or [::] the loopback interface is used [default: the default address of this
    /// program]
    #[arg(long, env = "GRPC_LISTEN", value_name = "ADDRESS:PORT")]
    addr: Option<SocketAddr>,

    /// A health name, such as angarium.order.v1.OrderService/broker [default: the whole process]
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    service: String,

    /// Use TLS, and trust certificates of these authorities, PEM
    #[arg(long, env = "HEALTHCHECK_TLS_CA_FILE", value_name = "FILE")]
    tls_ca_cert: Option<PathBuf>,

    /// The name in the server's certificate [default: the address]
    #[arg(
        long,
        env = "HEALTHCHECK_TLS_SERVER_NAME",
        value_name = "NAME",
        requires = "tls_ca_cert"
    )]
    tls_server_name: Option<String>,

    /// Client certificate, if the server requires one, PEM
    #[arg(
        long,
        env = "HEALTHCHECK_TLS_CERT_FILE",
        value_name = "FILE",
        requires_all = ["tls_ca_cert", "tls_client_key"]
    )]
    tls_client_cert: Option<PathBuf>,

    /// Private key of the client certificate, PEM
    #[arg(
        long,
        env = "HEALTHCHECK_TLS_KEY_FILE",
        value_name = "FILE",
        requires = "tls_client_cert"
    )]
    tls_client_key: Option<PathBuf>,

    /// Time limit for the connection
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    connect_timeout: Duration,

    /// Time limit for the answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    rpc_timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Arguments(String),
    #[error("no connection to {addr}: {reason}")]
    Connect { addr: SocketAddr, reason: String },
    #[error("no answer: {}", .0.message())]
    Rpc(Box<Status>),
    #[error("status: {}", .0.as_str_name())]
    NotServing(ServingStatus),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Arguments(_) => 1,
            Self::Connect { .. } => 2,
            Self::Rpc(_) => 3,
            Self::NotServing(_) => 4,
        }
    }
}

/// Asks `servers` consecutive ports from `default_port` if `args` (with the program's name first) request it.
pub fn asked(
    args: impl IntoIterator<Item = OsString>,
    default_port: u16,
    servers: u16,
) -> Option<ExitCode> {
    let mut args = args.into_iter();
    let program = args.next()?;
    if args.next()? != NAME {
        return None;
    }
    let name = format!("{} {NAME}", Path::new(&program).display());
    let args = match Args::try_parse_from([OsString::from(name)].into_iter().chain(args)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return Some(ExitCode::from(u8::from(error.use_stderr())));
        }
    };
    let first = args
        .addr
        .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, default_port)));
    Some(match ask_all(&args, first, servers) {
        Ok(()) => {
            let _ = writeln!(std::io::stdout(), "status: SERVING");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(failure.exit_code())
        }
    })
}

fn ask_all(args: &Args, first: SocketAddr, servers: u16) -> Result<(), Failure> {
    install_tls_provider();
    let tls = tls(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Arguments(error.to_string()))?;
    together((0..servers).map(|offset| {
        let port = first.port().checked_add(offset).filter(|port| *port > 0);
        let port = port.ok_or_else(|| Failure::Arguments("there is no such port".to_owned()))?;
        let addr = SocketAddr::from((reachable(first.ip()), port));
        runtime.block_on(ask(args, addr, tls.clone()))
    }))
}

/// The first failure. With a name, it is enough that the one server that knows it serves.
fn together(answers: impl Iterator<Item = Result<(), Failure>>) -> Result<(), Failure> {
    let mut serves = false;
    let mut unknown = None;
    for answer in answers {
        match answer {
            Ok(()) => serves = true,
            Err(Failure::Rpc(status)) if status.code() == Code::NotFound => unknown = Some(status),
            Err(failure) => return Err(failure),
        }
    }
    match unknown {
        Some(status) if !serves => Err(Failure::Rpc(status)),
        _ => Ok(()),
    }
}

async fn ask(args: &Args, addr: SocketAddr, tls: Option<ClientTlsConfig>) -> Result<(), Failure> {
    let no_connection = |source: tonic::transport::Error| Failure::Connect {
        addr,
        // The innermost error has the cause.
        reason: innermost(&source),
    };
    let channel = connect(args, addr, tls).await.map_err(no_connection)?;
    let mut health = HealthClient::new(channel);
    let question = health.check(HealthCheckRequest {
        service: args.service.clone(),
    });
    let answer = match tokio::time::timeout(args.rpc_timeout, question).await {
        Ok(answer) => answer.map_err(|status| Failure::Rpc(Box::new(status)))?,
        Err(_) => {
            let status = Status::deadline_exceeded("no answer in time");
            return Err(Failure::Rpc(Box::new(status)));
        }
    };
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(Failure::NotServing(other)),
    }
}

async fn connect(
    args: &Args,
    addr: SocketAddr,
    tls: Option<ClientTlsConfig>,
) -> Result<Channel, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{addr}"))?;
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls)?;
    }
    endpoint
        .connect_timeout(args.connect_timeout)
        .connect()
        .await
}

fn tls(args: &Args) -> Result<Option<ClientTlsConfig>, Failure> {
    let Some(authority) = &args.tls_ca_cert else {
        return Ok(None);
    };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(authority)?));
    if let Some(name) = &args.tls_server_name {
        tls = tls.domain_name(name);
    }
    if let (Some(cert), Some(key)) = (&args.tls_client_cert, &args.tls_client_key) {
        tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    Ok(Some(tls))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let content = std::fs::read(path);
    content.map_err(|error| Failure::Arguments(format!("cannot read {}: {error}", path.display())))
}

/// A server on all interfaces also listens on the loopback interface.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        given => given,
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn any_other_first_argument_is_none_of_its_business() {
        for args in [
            &["a-service"][..],
            &["a-service", "--help"],
            &["a-service", "x", "healthcheck"],
        ] {
            let args = args.iter().map(OsString::from);
            assert!(asked(args, 1, 1).is_none());
        }
    }

    #[test]
    fn of_several_servers_all_serve_or_the_one_that_knows_the_name() {
        let serves = || Ok(());
        let unknown = || Err(Failure::Rpc(Box::new(Status::not_found("no such name"))));
        let down = || Err(Failure::NotServing(ServingStatus::NotServing));
        let code = |answers: [Result<(), Failure>; 3]| {
            together(answers.into_iter()).map_err(|failure| failure.exit_code())
        };
        assert_eq!(code([serves(), serves(), serves()]), Ok(()));
        assert_eq!(code([serves(), down(), serves()]), Err(4));
        assert_eq!(code([unknown(), serves(), unknown()]), Ok(()));
        assert_eq!(code([unknown(), down(), unknown()]), Err(4));
        assert_eq!(code([unknown(), unknown(), unknown()]), Err(3));
    }

    #[test]
    fn a_server_on_all_addresses_is_asked_on_the_loopback_interface() {
        assert_eq!(
            reachable("0.0.0.0".parse().unwrap()).to_string(),
            "127.0.0.1"
        );
        assert_eq!(reachable("::".parse().unwrap()).to_string(), "::1");
        assert_eq!(
            reachable("192.0.2.1".parse().unwrap()).to_string(),
            "192.0.2.1"
        );
    }
}
