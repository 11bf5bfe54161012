//! PostgreSQL over TLS from a client's view: what `sslmode` and `sslrootcert` in the URL guarantee.
//!
//! TLS ends just before the server: these tests prove our side.

use std::time::Duration;

use store::DatabaseConfig;
use testkit::{Authority, Database, Encrypting, Identity, StoreKind};

async fn connect(
    identity: &Identity,
    clients: Option<&Authority>,
    parameters: &[(&str, &str)],
) -> Result<(), String> {
    let database = Database::create(StoreKind::Postgres).await;
    let encrypting = Encrypting::before(database.url(), identity, clients).await;
    let mut url = encrypting.url().clone();
    url.query_pairs_mut().extend_pairs(parameters);
    let mut config = DatabaseConfig::new(url);
    config.patience = Duration::ZERO;
    let connected = store::connect(&config, "test").await;
    let db = connected.map_err(|error| error.to_string())?;
    assert!(store::ping(&db).await);
    Ok(())
}

#[tokio::test]
async fn verify_full_accepts_only_the_right_authority_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, another) = (Authority::new(), Authority::new());
    let root = folder.path().join("ca.pem");
    std::fs::write(&root, authority.pem()).unwrap();
    let verify = [
        ("sslmode", "verify-full"),
        ("sslrootcert", root.to_str().unwrap()),
    ];
    let good = authority.server("127.0.0.1");
    connect(&good, None, &verify).await.unwrap();
    for (identity, reason) in [
        (another.server("127.0.0.1"), "UnknownIssuer"),
        (authority.server("elsewhere.example"), "name"),
        (authority.expired("127.0.0.1"), "expired"),
    ] {
        let refused = connect(&identity, None, &verify).await.unwrap_err();
        let refused = refused.to_lowercase();
        assert!(
            refused.contains(&reason.to_lowercase()),
            "{reason}: {refused}"
        );
    }
    assert!(connect(&good, None, &verify[..1]).await.is_err());
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, clients) = (Authority::new(), Authority::new());
    let root = folder.path().join("ca.pem");
    std::fs::write(&root, authority.pem()).unwrap();
    let (cert, key) = clients.client("test").write(folder.path());
    let verify = [
        ("sslmode", "verify-full"),
        ("sslrootcert", root.to_str().unwrap()),
        ("sslcert", cert.to_str().unwrap()),
        ("sslkey", key.to_str().unwrap()),
    ];
    let server = authority.server("127.0.0.1");
    connect(&server, Some(&clients), &verify).await.unwrap();
    assert!(
        connect(&server, Some(&clients), &verify[..2])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_server_that_has_no_tls_is_refused_where_it_is_asked_for() {
    let database = Database::create(StoreKind::Postgres).await;
    let mut config = DatabaseConfig::new(format!("{}?sslmode=require", database.url()));
    config.patience = Duration::ZERO;
    let refused = store::connect(&config, "test").await.unwrap_err();
    assert!(refused.to_string().contains("TLS"), "{refused}");
}
