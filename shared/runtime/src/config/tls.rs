//! The certificates of a gRPC server, and whether clients need one.
//!
//! In production, a server without a certificate needs a setting that says that a proxy in front ends TLS.

use std::path::PathBuf;
use std::time::Duration;

use super::grpc::HEADING;
use super::{Mode, Problems};

/// Issuers replace a certificate days before it expires.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Flags and variables of TLS.
#[derive(Clone, Debug, clap::Args)]
pub struct TlsArgs {
    /// Certificate chain of this server, PEM; read again when it changes
    #[arg(long, help_heading = HEADING, env = "GRPC_TLS_CERT_FILE", value_name = "FILE")]
    pub grpc_tls_cert_file: Option<PathBuf>,

    /// Private key of that certificate, PEM; read again when it changes
    #[arg(long, help_heading = HEADING, env = "GRPC_TLS_KEY_FILE", value_name = "FILE")]
    pub grpc_tls_key_file: Option<PathBuf>,

    /// Every client needs a certificate of one of these authorities, PEM; read again when it changes
    #[arg(long, help_heading = HEADING, env = "GRPC_TLS_CLIENT_CA_FILE", value_name = "FILE")]
    pub grpc_tls_client_ca_file: Option<PathBuf>,

    /// `allow`: serve without TLS in production, because a proxy in front of this server ends TLS
    #[arg(long, help_heading = HEADING, env = "GRPC_PLAINTEXT", value_name = "allow")]
    pub grpc_plaintext: Option<String>,
}

impl TlsArgs {
    /// Validates. `Some(None)` is plaintext.
    pub fn check(self, mode: Mode, problems: &mut Problems) -> Option<Option<TlsConfig>> {
        let plaintext = match self.grpc_plaintext.as_deref().map(str::trim) {
            None | Some("") => false,
            Some("allow") => true,
            Some(other) => {
                problems.add("GRPC_PLAINTEXT", other, "allow, or nothing");
                return None;
            }
        };
        match (
            given(self.grpc_tls_cert_file),
            given(self.grpc_tls_key_file),
        ) {
            (Some(_), Some(_)) if plaintext => {
                problems
                    .note("GRPC_PLAINTEXT and GRPC_TLS_CERT_FILE are both set: keep one of them");
                None
            }
            (Some(cert_file), Some(key_file)) => Some(Some(TlsConfig {
                client_ca_file: given(self.grpc_tls_client_ca_file),
                ..TlsConfig::new(cert_file, key_file)
            })),
            (Some(_), None) => {
                problems.missing("GRPC_TLS_KEY_FILE", "the key of GRPC_TLS_CERT_FILE");
                None
            }
            (None, Some(_)) => {
                problems.missing("GRPC_TLS_CERT_FILE", "the certificate of GRPC_TLS_KEY_FILE");
                None
            }
            (None, None) if given(self.grpc_tls_client_ca_file).is_some() => {
                let expected = "a certificate, as clients are asked for theirs";
                problems.missing("GRPC_TLS_CERT_FILE", expected);
                None
            }
            (None, None) if mode == Mode::Production && !plaintext => {
                let expected =
                    "a certificate, or GRPC_PLAINTEXT=allow where TLS ends before this server";
                problems.missing("GRPC_TLS_CERT_FILE", expected);
                None
            }
            (None, None) => Some(None),
        }
    }
}

/// The files of a server's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Its own certificate with the chain to the authority, PEM.
    pub cert_file: PathBuf,
    /// The private key, PEM.
    pub key_file: PathBuf,
    /// The authorities of client certificates, PEM. `None`: clients need no certificate.
    pub client_ca_file: Option<PathBuf>,
    /// The interval of checks for new files.
    pub look_every: Duration,
}

impl TlsConfig {
    /// A server that requires no client certificates.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            client_ca_file: None,
            look_every: LOOK_EVERY,
        }
    }
}

/// A variable that is set but empty names no file.
fn given(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(args: &[(&str, &str)], mode: Mode) -> Result<Option<TlsConfig>, Vec<String>> {
        let value = |name: &str| {
            let found = args.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let args = TlsArgs {
            grpc_tls_cert_file: value("cert").map(PathBuf::from),
            grpc_tls_key_file: value("key").map(PathBuf::from),
            grpc_tls_client_ca_file: value("ca").map(PathBuf::from),
            grpc_plaintext: value("plaintext"),
        };
        let mut problems = Problems::default();
        let config = args.check(mode, &mut problems);
        config.ok_or_else(|| problems.into_sentences())
    }

    #[test]
    fn production_needs_tls_or_a_setting_without_it() {
        let refused = checked(&[], Mode::Production).unwrap_err();
        assert!(refused[0].contains("GRPC_PLAINTEXT=allow"), "{refused:?}");
        assert_eq!(
            checked(&[("plaintext", "allow")], Mode::Production),
            Ok(None)
        );
        assert_eq!(checked(&[], Mode::Development), Ok(None));
        let pair = [("cert", "c.pem"), ("key", "k.pem")];
        let expected = TlsConfig::new("c.pem", "k.pem");
        assert_eq!(checked(&pair, Mode::Production), Ok(Some(expected)));
    }

    #[test]
    fn what_is_incomplete_or_contradicts_itself_is_refused() {
        for args in [
            &[("cert", "c.pem")][..],
            &[("key", "k.pem")],
            &[("ca", "a.pem")],
            &[("cert", "c.pem"), ("key", "k.pem"), ("plaintext", "allow")],
            &[("plaintext", "yes")],
            &[("cert", "c.pem"), ("key", "")],
        ] {
            let refused = checked(args, Mode::Development).unwrap_err();
            assert_eq!(refused.len(), 1, "{args:?}: {refused:?}");
        }
    }
}
