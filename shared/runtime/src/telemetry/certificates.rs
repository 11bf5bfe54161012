//! TLS to a collector by OpenTelemetry's variables, which the SDK leaves to the program.
//!
//! Guarantee: an unusable file ends the start and is named. Without one, the public authorities are trusted.

use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use url::Url;

use super::error::TelemetryError;

const CERTIFICATES: &str = "a readable file with certificates in PEM";
const KEY: &str = "a readable file with a private key in PEM";

/// Of one signal: PEM files, read and checked.
#[derive(Debug)]
pub(super) struct Tls {
    host: Option<String>,
    authorities: Option<Vec<u8>>,
    /// The certificate and the key of this program.
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    pub(super) fn for_grpc(&self) -> ClientTlsConfig {
        // gRPC is HTTP/2, also behind a proxy that ends TLS without agreeing on it.
        let mut tls = ClientTlsConfig::new()
            .with_enabled_roots()
            .assume_http2(true);
        // An IPv6 address in brackets would match no certificate.
        if let Some(host) = &self.host {
            tls = tls.domain_name(host.clone());
        }
        if let Some(authorities) = &self.authorities {
            tls = tls.ca_certificate(Certificate::from_pem(authorities));
        }
        if let Some((cert, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        tls
    }

    /// # Errors
    /// If the key does not belong to the certificate.
    pub(super) fn for_http(&self) -> Result<ClientConfig, rustls::Error> {
        let unreadable = |error: pem::Error| rustls::Error::General(error.to_string());
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for authority in CertificateDer::pem_slice_iter(self.authorities.as_deref().unwrap_or(&[]))
        {
            roots.add(authority.map_err(unreadable)?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let Some((cert, key)) = &self.identity else {
            return Ok(config.with_no_client_auth());
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(unreadable)?;
        config.with_client_auth_cert(chain.map_err(unreadable)?, key)
    }
}

/// `None` if `endpoint` is plaintext.
pub(super) fn tls(
    signal: &str,
    endpoint: &Url,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Tls>, TelemetryError> {
    let named = |what: &str| {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
        let of_all = format!("OTEL_EXPORTER_OTLP_{what}");
        let found = [own, of_all].into_iter();
        found
            .filter_map(|name| variable(&name).map(|path| (name, path)))
            .next()
    };
    let (authorities, cert, key) = (
        named("CERTIFICATE"),
        named("CLIENT_CERTIFICATE"),
        named("CLIENT_KEY"),
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
    let authorities = authorities.map(certificates).transpose()?;
    let identity = match (cert, key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some((certificates(cert)?, private_key(key)?)),
        (Some((name, path)), None) => {
            let expected = "OTEL_EXPORTER_OTLP_CLIENT_KEY with it";
            return Err(TelemetryError::setting(name, &path, expected));
        }
        (None, Some((name, path))) => {
            let expected = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE with it";
            return Err(TelemetryError::setting(name, &path, expected));
        }
    };
    Ok(Some(Tls {
        host: endpoint.host_str().and_then(store::host_name),
        authorities,
        identity,
    }))
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
