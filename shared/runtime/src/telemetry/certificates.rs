//! TLS to a collector, as OpenTelemetry's variables say it: the SDK leaves these to the program.
//!
//! Guarantee: a file that cannot be used ends the start and is named. Without one the public authorities are trusted.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use url::Url;

use super::error::TelemetryError;

const CERTIFICATES: &str = "a readable file with certificates in PEM";
const KEY: &str = "a readable file with a private key in PEM";

/// How `endpoint` is spoken to for `signal`; `None` where it is plaintext.
pub(super) fn tls(
    signal: &str,
    endpoint: &Url,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<ClientTlsConfig>, TelemetryError> {
    let (authorities, cert, key) = (
        named(signal, "CERTIFICATE", variable),
        named(signal, "CLIENT_CERTIFICATE", variable),
        named(signal, "CLIENT_KEY", variable),
    );
    if endpoint.scheme() != "https" {
        let file = authorities.or(cert).or(key);
        return match file {
            None => Ok(None),
            Some((name, path)) => {
                let expected = "nothing, as the endpoint is not https://";
                Err(TelemetryError::setting(name, &path, expected))
            }
        };
    }
    // gRPC is HTTP/2, also behind a proxy that ends TLS without agreeing on it.
    let mut tls = ClientTlsConfig::new()
        .with_enabled_roots()
        .assume_http2(true);
    // In brackets an IPv6 address would match no certificate.
    if let Some(host) = endpoint.host_str().and_then(store::host_name) {
        tls = tls.domain_name(host);
    }
    if let Some(file) = authorities {
        tls = tls.ca_certificate(Certificate::from_pem(certificates(file)?));
    }
    match (cert, key) {
        (None, None) => Ok(Some(tls)),
        (Some(cert), Some(key)) => {
            let identity = Identity::from_pem(certificates(cert)?, private_key(key)?);
            Ok(Some(tls.identity(identity)))
        }
        (Some((name, path)), None) => {
            let expected = "OTEL_EXPORTER_OTLP_CLIENT_KEY with it";
            Err(TelemetryError::setting(name, &path, expected))
        }
        (None, Some((name, path))) => {
            let expected = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE with it";
            Err(TelemetryError::setting(name, &path, expected))
        }
    }
}

/// Over HTTP only the public authorities are trusted.
pub(super) fn none(
    signal: &str,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<ClientTlsConfig>, TelemetryError> {
    let files = ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"];
    match files.iter().find_map(|what| named(signal, what, variable)) {
        None => Ok(None),
        Some((name, path)) => {
            let expected = "nothing, or the protocol grpc";
            Err(TelemetryError::setting(name, &path, expected))
        }
    }
}

/// The variable of the signal, otherwise that of all signals, with its value.
fn named(
    signal: &str,
    what: &str,
    variable: &impl Fn(&str) -> Option<String>,
) -> Option<(String, String)> {
    let own = format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
    let of_all = format!("OTEL_EXPORTER_OTLP_{what}");
    [own, of_all]
        .into_iter()
        .find_map(|name| variable(&name).map(|path| (name, path)))
}

fn certificates((name, path): (String, String)) -> Result<Vec<u8>, TelemetryError> {
    let pem = std::fs::read(&path).unwrap_or_default();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(TelemetryError::setting(name, &path, CERTIFICATES)),
    }
}

fn private_key((name, path): (String, String)) -> Result<Vec<u8>, TelemetryError> {
    let pem = std::fs::read(&path).unwrap_or_default();
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(_) => Err(TelemetryError::setting(name, &path, KEY)),
    }
}
