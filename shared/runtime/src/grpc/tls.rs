//! The certificates of a server, and their replacement at run time.
//!
//! Unusable files fail the start. Later, the old certificates stay in use: during the replacement of two files, they do
//! not match. A connection keeps its certificates.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ring::digest::{Context, SHA256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsConfig;

/// RFC 7301.
const HTTP2: &[u8] = b"h2";

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is missing or not readable.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file has other content.
    #[error("{path} does not hold {expected}")]
    Content {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
    },
    /// Each file is well formed, but they do not match.
    #[error("the certificate in {path} cannot be used with its key: {source}")]
    Unfit {
        /// The file of the certificate.
        path: PathBuf,
        /// The reason.
        source: rustls::Error,
    },
}

/// Each new connection takes the current ones.
pub(super) struct Certificates {
    config: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
    files: Files,
}

impl Certificates {
    pub(super) async fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let files = Files::read(config).await?;
        let current = server_config(config, &files)?;
        Ok(Self {
            config: config.clone(),
            current: RwLock::new(Arc::new(current)),
            files,
        })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Checks the files periodically while it is polled. Logs unusable files once.
    pub(super) async fn keep_current(&self) {
        let mut seen = Ok(self.files.digest());
        loop {
            tokio::time::sleep(self.config.look_every).await;
            let files = Files::read(&self.config).await;
            let now = match &files {
                Ok(files) => Ok(files.digest()),
                Err(error) => Err(error.to_string()),
            };
            if now == seen {
                continue;
            }
            seen = now;
            match files.and_then(|files| server_config(&self.config, &files)) {
                Ok(current) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(current);
                    tracing::info!("the certificates have changed; new connections use them");
                }
                Err(error) => {
                    tracing::error!(%error, "the new certificates cannot be used; the previous ones stay in use");
                }
            }
        }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.config).finish()
    }
}

struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    async fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let client_ca = match &config.client_ca_file {
            Some(path) => Some(read(path).await?),
            None => None,
        };
        Ok(Self {
            cert: read(&config.cert_file).await?,
            key: read(&config.key_file).await?,
            client_ca,
        })
    }

    fn digest(&self) -> Vec<u8> {
        let mut context = Context::new(&SHA256);
        let none = Vec::new();
        for file in [
            &self.cert,
            &self.key,
            self.client_ca.as_ref().unwrap_or(&none),
        ] {
            context.update(&file.len().to_be_bytes());
            context.update(file);
        }
        context.finish().as_ref().to_vec()
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let content = tokio::fs::read(path).await;
    content.map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn server_config(config: &TlsConfig, files: &Files) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&config.cert_file, &files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|_| TlsError::Content {
        path: config.key_file.clone(),
        expected: "a private key as PEM",
    })?;
    let builder = ServerConfig::builder();
    let builder = match (&config.client_ca_file, &files.client_ca) {
        (Some(path), Some(content)) => {
            let not_roots = |_| TlsError::Content {
                path: path.clone(),
                expected: "certificates of authorities",
            };
            let mut roots = RootCertStore::empty();
            for authority in certificates(path, content)? {
                roots.add(authority).map_err(not_roots)?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            let verifier = verifier.map_err(|_| TlsError::Content {
                path: path.clone(),
                expected: "certificates of authorities",
            })?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let built = builder.with_single_cert(chain, key);
    let mut built = built.map_err(|source| TlsError::Unfit {
        path: config.cert_file.clone(),
        source,
    })?;
    built.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(built)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| TlsError::Content {
        path: path.to_owned(),
        expected: "a certificate as PEM",
    })
}
