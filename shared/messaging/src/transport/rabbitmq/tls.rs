//! The certificates for `amqps://`, read at each connect: what has been replaced is used from the next one on.

use std::path::{Path, PathBuf};

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};

use crate::transport::TransportError;

/// Whose certificate the broker has to show, and which one it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RabbitMqTls {
    /// Authorities beside the public ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// Certificate and private key, PEM, for a broker that asks for them.
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
