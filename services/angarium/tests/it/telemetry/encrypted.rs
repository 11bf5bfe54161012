//! A collector that is reached over TLS, with a certificate of a private authority.

use testkit::{Authority, Collector, Encrypting};

use crate::process::{Process, command};

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_of_a_private_authority_is_trusted_if_named() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    for is_named in [false, true] {
        let collector = Collector::start();
        let plain = collector.endpoint().replace("http://", "amqp://");
        let tls = Encrypting::before(&plain, &authority.server("127.0.0.1"), None).await;
        let endpoint = format!("https://127.0.0.1:{}", tls.url().port().unwrap());
        let mut command = command(&folder.path().join(is_named.to_string()));
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        if is_named {
            command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", &file);
        }
        let process = Process::start(&mut command);
        process.register("ada@example.com").await.unwrap();
        assert_eq!(process.interrupt().code(), Some(0));
        assert_eq!(!collector.spans().is_empty(), is_named);
    }
}
