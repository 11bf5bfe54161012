//! A collector over TLS, with a certificate of a private authority: by gRPC and by HTTP, with and without client
//! certificate.

use std::path::{Path, PathBuf};

use rstest::rstest;
use testkit::{Authority, Collector, Encrypting, Identity};

use crate::process::{Process, command};

/// The files of the process.
#[derive(Clone, Copy, Debug)]
enum Given {
    Nothing,
    Authority,
    AuthorityAndCertificate,
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_of_a_private_authority_is_trusted_if_named(
    #[values("grpc", "http/protobuf")] protocol: &str,
) {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let files = Files::write(folder.path(), &authority, &clients.client("angarium"));
    for (asked, given, arrives) in [
        (None, Given::Nothing, false),
        (None, Given::Authority, true),
        (Some(&clients), Given::Authority, false),
        (Some(&clients), Given::AuthorityAndCertificate, true),
    ] {
        let collector = Collector::start();
        let plain = collector.endpoint().replace("http://", "amqp://");
        let tls = Encrypting::before(&plain, &authority.server("127.0.0.1"), asked).await;
        let endpoint = format!("https://127.0.0.1:{}", tls.url().port().unwrap());
        let mut command = command(&folder.path().join("data"));
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .envs(files.of(given));
        let process = Process::start(&mut command);
        process.register("no address").await.unwrap_err();
        assert_eq!(process.interrupt().code(), Some(0));
        let case = format!("{given:?}, asked for a certificate: {}", asked.is_some());
        assert_eq!(!collector.spans().is_empty(), arrives, "{case}");
        assert_eq!(!collector.metrics().is_empty(), arrives, "{case}");
    }
}

struct Files {
    authority: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn write(folder: &Path, authority: &Authority, client: &Identity) -> Self {
        let write = |name: &str, pem: &str| {
            let path = folder.join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        Self {
            authority: write("ca.pem", authority.pem()),
            cert: write("client.pem", &client.cert),
            key: write("client.key", &client.key),
        }
    }

    fn of(&self, given: Given) -> Vec<(&'static str, &Path)> {
        let authority = ("OTEL_EXPORTER_OTLP_CERTIFICATE", self.authority.as_path());
        match given {
            Given::Nothing => Vec::new(),
            Given::Authority => vec![authority],
            Given::AuthorityAndCertificate => vec![
                authority,
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &self.cert),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &self.key),
            ],
        }
    }
}
