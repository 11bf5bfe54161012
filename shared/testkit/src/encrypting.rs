//! TLS in front of a shared server, with certificates of one test.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use url::Url;

use crate::{Authority, Identity};

/// The first request of a PostgreSQL client, and the answer that allows TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const WILLING: &[u8] = b"S";

/// A TLS endpoint in front of one server.
pub struct Encrypting {
    url: Url,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Way {
    target: SocketAddr,
    acceptor: TlsAcceptor,
    is_postgres: bool,
}

impl Encrypting {
    /// Shows `identity` in front of the server of `url`: PostgreSQL's or RabbitMQ's. Asks clients for a certificate of
    /// `clients`, if given.
    ///
    /// # Panics
    /// If `url` has no host.
    pub async fn before(url: &str, identity: &Identity, clients: Option<&Authority>) -> Self {
        runtime::install_tls_provider();
        let mut url: Url = url.parse().expect("a URL");
        let is_postgres = url.scheme().starts_with("postgres");
        let default_port = if is_postgres { 5432 } else { 5672 };
        let target = url.socket_addrs(|| Some(default_port));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let way = Way {
            target: target.expect("a host and a port")[0],
            acceptor: acceptor(identity, clients),
            is_postgres,
        };
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(port)).expect("a URL with a port");
        if !is_postgres {
            url.set_scheme("amqps").expect("a scheme like amqp");
        }
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, way));
        Self {
            url,
            _serving: serving,
        }
    }

    /// The server's URL through this endpoint.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

fn acceptor(identity: &Identity, clients: Option<&Authority>) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(identity.cert.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem().as_bytes());
            roots.add(root.expect("PEM")).expect("an authority");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.expect("an authority"))
        }
    };
    let chain = vec![certificate.expect("PEM")];
    let config = builder.with_single_cert(chain, key.expect("PEM"));
    TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")))
}

async fn accept(listener: TcpListener, way: Way) {
    let mut connections = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.expect("a connection");
        connections.spawn(forward(near, way.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Ignores errors: the test checks the client, which sees them.
async fn forward(mut near: TcpStream, way: Way) {
    if way.is_postgres {
        let mut first = [0; SSL_REQUEST.len()];
        let asked = near.read_exact(&mut first).await.is_ok() && first == SSL_REQUEST;
        if !asked || near.write_all(WILLING).await.is_err() {
            return;
        }
    }
    let Ok(mut near) = way.acceptor.accept(near).await else {
        return;
    };
    let Ok(mut far) = TcpStream::connect(way.target).await else {
        return;
    };
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}
