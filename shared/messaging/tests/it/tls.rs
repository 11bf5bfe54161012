//! RabbitMQ over TLS from a client's view: trusted servers, and client certificates.
//!
//! TLS ends just before the broker: these tests prove our side.

use messaging::transport::{Broker, RabbitMqConfig, RabbitMqTls, Topology, TransportError};
use tempfile::TempDir;
use testkit::{Authority, BrokerKind, Encrypting, Identity};

use crate::events::EXCHANGE;

struct Encrypted {
    broker: testkit::Broker,
    encrypting: Encrypting,
    folder: TempDir,
}

impl Encrypted {
    async fn with(identity: &Identity, clients: Option<&Authority>) -> Self {
        let broker = testkit::Broker::create(BrokerKind::RabbitMq).await;
        let plain = config(&broker);
        Self {
            encrypting: Encrypting::before(plain.url.as_str(), identity, clients).await,
            broker,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn connect(
        &self,
        authority: Option<&Authority>,
        shown: Option<&Identity>,
    ) -> Result<(), TransportError> {
        let ca_file = authority.map(|authority| {
            let path = self.folder.path().join("ca.pem");
            std::fs::write(&path, authority.pem()).unwrap();
            path
        });
        let tls = RabbitMqTls {
            ca_file,
            identity: shown.map(|identity| identity.write(self.folder.path())),
        };
        let config = RabbitMqConfig {
            url: self.encrypting.url().clone(),
            tls,
            ..config(&self.broker)
        };
        let transport = Broker::RabbitMq(config).transport("test", topology());
        transport.declare().await
    }
}

fn topology() -> Topology {
    Topology::publishing([EXCHANGE])
}

fn config(broker: &testkit::Broker) -> RabbitMqConfig {
    match broker.of_services([&topology()]) {
        Broker::RabbitMq(config) => config,
        Broker::Embedded(_) => panic!("a RabbitMQ was asked for"),
    }
}

#[tokio::test]
async fn a_broker_of_a_trusted_authority_is_believed_and_no_other() {
    let (authority, another) = (Authority::new(), Authority::new());
    let good = Encrypted::with(&authority.server("127.0.0.1"), None).await;
    good.connect(Some(&authority), None).await.unwrap();
    for (identity, trusted, reason) in [
        (authority.server("127.0.0.1"), None, "UnknownIssuer"),
        (
            another.server("127.0.0.1"),
            Some(&authority),
            "UnknownIssuer",
        ),
        (
            authority.server("elsewhere.example"),
            Some(&authority),
            "name",
        ),
        (authority.expired("127.0.0.1"), Some(&authority), "expired"),
    ] {
        let encrypted = Encrypted::with(&identity, None).await;
        let refused = encrypted.connect(trusted, None).await.unwrap_err();
        let refused = format!("{refused:?}").to_lowercase();
        assert!(
            refused.contains(&reason.to_lowercase()),
            "{reason}: {refused}"
        );
    }
}

#[tokio::test]
async fn a_broker_gets_the_client_certificate_and_its_replacement() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let encrypted = Encrypted::with(&authority.server("127.0.0.1"), Some(&clients)).await;
    let trusted = Some(&authority);
    assert!(encrypted.connect(trusted, None).await.is_err());
    let foreign = authority.client("test");
    assert!(encrypted.connect(trusted, Some(&foreign)).await.is_err());
    let known = clients.client("test");
    encrypted.connect(trusted, Some(&known)).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let authority = Authority::new();
    let encrypted = Encrypted::with(&authority.server("127.0.0.1"), None).await;
    let config = RabbitMqConfig {
        url: encrypted.encrypting.url().clone(),
        tls: RabbitMqTls {
            ca_file: Some("missing.pem".into()),
            identity: None,
        },
        ..config(&encrypted.broker)
    };
    let transport = Broker::RabbitMq(config).transport("test", topology());
    let error = transport.declare().await.unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
}
