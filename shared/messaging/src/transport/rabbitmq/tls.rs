//! The certificates for `amqps://`, read at each connect, so that the next one uses replaced files.

use std::path::{Path, PathBuf};

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};

use crate::transport::TransportError;

/// Trusted authorities and client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RabbitMqTls {
    /// In addition to the public CA certificates, PEM.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and private key, PEM, if required.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl RabbitMqTls {
    pub(super) async fn read(&self) -> Result<OwnedTLSConfig, TransportError> {
        let cert_chain = match &self.ca_file {
            Some(path) => Some(text(path).await?),
            None => None,
        };
        let identity = match &self.identity {
            Some((cert, key)) => Some(OwnedIdentity::PKCS8 {
                pem: text(cert).await?.into_bytes(),
                key: text(key).await?.into_bytes(),
            }),
            None => None,
        };
        Ok(OwnedTLSConfig {
            identity,
            cert_chain,
        })
    }
}

async fn text(path: &Path) -> Result<String, TransportError> {
    let content = tokio::fs::read_to_string(path).await;
    content.map_err(|error| TransportError::new(format!("reading {}", path.display()), error))
}
