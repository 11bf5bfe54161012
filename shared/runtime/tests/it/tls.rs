//! TLS from a client's view: client certificates, trusted servers, and the change of certificates.

use std::time::Duration;

use runtime::Shutdown;
use runtime::config::{GrpcConfig, TlsConfig};
use runtime::{GrpcServer, config};
use tempfile::TempDir;
use testkit::{Authority, Identity, eventually};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::probe::{Server, ask, call};

/// The test can change the certificate.
pub(crate) struct Encrypted {
    pub(crate) server: Server,
    folder: TempDir,
}

impl Encrypted {
    pub(crate) async fn with(identity: &Identity, client_ca: Option<&Authority>) -> Self {
        runtime::install_tls_provider();
        let folder = tempfile::tempdir().unwrap();
        let config = tls(identity, client_ca, &folder);
        let change = |grpc: &mut GrpcConfig| grpc.tls = Some(config);
        let server = Server::start(change, Shutdown::new(Duration::from_secs(600))).await;
        Self { server, folder }
    }

    /// On a new connection.
    async fn call(&self, client: ClientTlsConfig) -> Result<(), String> {
        let text = |error: &dyn std::error::Error| format!("{error:?}");
        let endpoint = Channel::from_shared(format!("https://{}", self.server.addr)).unwrap();
        let endpoint = endpoint.tls_config(client).unwrap();
        let channel = endpoint.connect().await.map_err(|error| text(&error))?;
        // With TLS 1.3, a client learns only now that its certificate was refused.
        match call(channel, ask("")).await {
            Ok(_) => Ok(()),
            Err(status) => Err(text(&status)),
        }
    }
}

fn tls(identity: &Identity, client_ca: Option<&Authority>, folder: &TempDir) -> TlsConfig {
    let (cert, key) = identity.write(folder.path());
    let client_ca_file = client_ca.map(|authority| {
        let path = folder.path().join("client-ca.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        path
    });
    TlsConfig {
        client_ca_file,
        look_every: Duration::from_millis(10),
        ..TlsConfig::new(cert, key)
    }
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()))
}

fn showing(client: ClientTlsConfig, identity: &Identity) -> ClientTlsConfig {
    client.identity(tonic::transport::Identity::from_pem(
        &identity.cert,
        &identity.key,
    ))
}

#[tokio::test]
async fn a_trusting_client_is_served_and_a_plaintext_one_is_not() {
    let authority = Authority::new();
    let encrypted = Encrypted::with(&authority.server("127.0.0.1"), None).await;
    encrypted.call(trusting(&authority)).await.unwrap();

    let plain = Channel::from_shared(format!("http://{}", encrypted.server.addr)).unwrap();
    let served = match plain.connect().await {
        Ok(channel) => call(channel, ask("")).await.is_ok(),
        Err(_) => false,
    };
    assert!(!served);
    encrypted.call(trusting(&authority)).await.unwrap();
}

#[tokio::test]
async fn a_client_refuses_a_wrong_authority_name_or_expiry() {
    let (authority, another) = (Authority::new(), Authority::new());
    for (identity, reason) in [
        (another.server("127.0.0.1"), "UnknownIssuer"),
        (authority.server("elsewhere.example"), "NotValidForName"),
        (authority.expired("127.0.0.1"), "Expired"),
    ] {
        let encrypted = Encrypted::with(&identity, None).await;
        let refused = encrypted.call(trusting(&authority)).await.unwrap_err();
        assert!(refused.contains(reason), "{reason} is not in {refused}");
    }
}

#[tokio::test]
async fn a_client_certificate_must_be_from_the_right_authority() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let encrypted = Encrypted::with(&authority.server("127.0.0.1"), Some(&clients)).await;
    let trusting = || trusting(&authority);
    let known = showing(trusting(), &clients.client("order-service"));
    encrypted.call(known.clone()).await.unwrap();

    assert!(encrypted.call(trusting()).await.is_err());
    let foreign = authority.client("order-service");
    assert!(encrypted.call(showing(trusting(), &foreign)).await.is_err());
    // A server's certificate is not valid for clients.
    let server = clients.server("order-service");
    assert!(encrypted.call(showing(trusting(), &server)).await.is_err());
    encrypted.call(known).await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_needs_no_restart_and_connections_stay() {
    let (before, after) = (Authority::new(), Authority::new());
    let encrypted = Encrypted::with(&before.server("127.0.0.1"), None).await;
    let endpoint = Channel::from_shared(format!("https://{}", encrypted.server.addr)).unwrap();
    let endpoint = endpoint.tls_config(trusting(&before)).unwrap();
    let open = endpoint.connect().await.unwrap();

    after.server("127.0.0.1").write(encrypted.folder.path());
    eventually("the new certificate", async || {
        encrypted.call(trusting(&after)).await
    })
    .await;
    assert!(encrypted.call(trusting(&before)).await.is_err());
    assert!(call(open, ask("")).await.is_ok());
}

#[tokio::test]
async fn an_unusable_new_certificate_changes_nothing() {
    let (before, after) = (Authority::new(), Authority::new());
    let encrypted = Encrypted::with(&before.server("127.0.0.1"), None).await;
    // Between the replacement of the two files.
    let identity = after.server("127.0.0.1");
    std::fs::write(encrypted.folder.path().join("cert.pem"), &identity.cert).unwrap();
    for _ in 0..20 {
        encrypted.call(trusting(&before)).await.unwrap();
    }
    std::fs::write(encrypted.folder.path().join("key.pem"), &identity.key).unwrap();
    eventually("the new certificate", async || {
        encrypted.call(trusting(&after)).await
    })
    .await;
}

#[tokio::test]
async fn unusable_certificates_fail_the_start_and_name_the_file() {
    runtime::install_tls_provider();
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let identity = authority.server("127.0.0.1");
    let start = async |tls: TlsConfig| {
        let config = GrpcConfig {
            tls: Some(tls),
            ..GrpcConfig::on("127.0.0.1:0".parse().unwrap())
        };
        GrpcServer::bind(&config).await.unwrap_err().to_string()
    };
    let good = tls(&identity, Some(&authority), &folder);
    let missing = config::TlsConfig {
        key_file: folder.path().join("missing.pem"),
        ..good.clone()
    };
    assert!(start(missing).await.contains("missing.pem"));
    let no_key = TlsConfig {
        key_file: good.cert_file.clone(),
        ..good.clone()
    };
    assert!(start(no_key).await.contains("a private key"));
    let unfit = authority.server("127.0.0.1");
    std::fs::write(&good.key_file, &unfit.key).unwrap();
    assert!(start(good.clone()).await.contains("cert.pem"));
    identity.write(folder.path());
    std::fs::write(good.client_ca_file.as_ref().unwrap(), "nothing").unwrap();
    assert!(start(good).await.contains("client-ca.pem"));
}
