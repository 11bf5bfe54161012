//! Calls with tokens of every kind, and how keys are announced and expire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::auth::{
    self, Access, Caller, Guard, LIFETIME, Role, Rules, Signer, Verifier, new_private_key,
};
use runtime::{Shutdown, TestClock};
use sea_orm::ConnectionTrait as _;
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use store::DatabaseConfig;
use tempfile::TempDir;
use testkit::Statements;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::probe::{Server, ask, call, open};

const NOW_MS: i64 = 1_800_000_000_000;
const LIFETIME_MS: i64 = LIFETIME.as_millis() as i64;
const ADA: Caller = Caller {
    user_id: Uuid::from_u128(7),
    role: Role::User,
    session_id: None,
    email_verified: None,
};
const ADMIN: Caller = Caller {
    user_id: Uuid::from_u128(8),
    role: Role::Admin,
    session_id: None,
    email_verified: None,
};

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        runtime::migrations()
    }
}

/// Its method `Check` admits the callers that a test selects; its database has one key.
struct Fixture {
    server: Server,
    db: store::Database,
    clock: TestClock,
    signer: Signer,
    _folder: TempDir,
}

impl Fixture {
    async fn new(rules: Rules) -> Self {
        let folder = TempDir::new().unwrap();
        let config = DatabaseConfig::sqlite(folder.path().join("keys.db"));
        let db = store::connect(&config, "test").await.unwrap();
        store::migrate::<Migrator>(&db).await.unwrap();
        let clock = TestClock::at(NOW_MS);
        let verifier = Verifier::new(db.clone(), Arc::new(clock.clone()));
        let shutdown = Shutdown::new(Duration::from_secs(600));
        let server = Server::guarded(Guard::new(rules, verifier), |_| {}, shutdown).await;
        let signer = signer("key-1");
        let fixture = Self {
            server,
            db,
            clock,
            signer,
            _folder: folder,
        };
        fixture.learn(&fixture.signer).await;
        fixture
    }

    async fn learn(&self, signer: &Signer) {
        let key = signer.verification_key(NOW_MS + 10 * LIFETIME_MS);
        auth::learn(&self.db, &key).await.unwrap();
    }

    async fn announced(&self, at_ms: i64) {
        let key = self.signer.verification_key(NOW_MS + 10 * LIFETIME_MS);
        auth::hear(&self.db, &key, at_ms).await.unwrap();
    }

    /// The caller as the handler sees it, or the refusal.
    async fn call(&self, authorization: &[&str]) -> Result<String, Status> {
        let answer = call(self.server.channel().await, with(authorization)).await;
        let status = answer.unwrap_err();
        // The probe answers only with a status.
        match status.code() {
            Code::Unknown => Ok(status.message().to_owned()),
            _ => Err(status),
        }
    }

    async fn call_as(&self, caller: Caller) -> Result<String, Status> {
        let token = self.signer.issue(caller, NOW_MS).token;
        self.call(&[&format!("Bearer {token}")]).await
    }
}

fn signer(key_id: &str) -> Signer {
    Signer::new(key_id, &new_private_key().unwrap()).unwrap()
}

fn with(authorization: &[&str]) -> Request<HealthCheckRequest> {
    let mut request = ask("tell caller");
    for value in authorization {
        let metadata = request.metadata_mut();
        metadata.append("authorization", value.parse().unwrap());
    }
    request
}

#[track_caller]
fn assert_refused(answer: Result<String, Status>, code: Code, reason: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, reason);
}

const FOR_USERS: Rules = &[("test.v1.ProbeService/Check", Access::Authenticated)];
const FOR_ADMINS: Rules = &[("test.v1.ProbeService/Check", Access::Admin)];
const FOR_ALL: Rules = &[("test.v1.ProbeService/Check", Access::Public)];

#[tokio::test]
async fn the_handler_knows_a_caller_with_a_valid_token() {
    let fixture = Fixture::new(FOR_USERS).await;
    for caller in [ADA, ADMIN] {
        assert_eq!(
            fixture.call_as(caller).await.unwrap(),
            format!("{caller:?}")
        );
    }
    let token = fixture.signer.issue(ADA, NOW_MS).token;
    let spelled = format!("bearer  {token} ");
    assert!(fixture.call(&[&spelled]).await.is_ok());
}

#[tokio::test]
async fn every_bad_token_is_refused_without_a_cause() {
    let fixture = Fixture::new(FOR_USERS).await;
    fixture.announced(NOW_MS).await;
    let token = fixture.signer.issue(ADA, NOW_MS).token;
    let good = format!("Bearer {token}");
    let tampered = good.replacen(".e", ".f", 1);
    let unsigned = format!("Bearer {}", token.rsplit_once('.').unwrap().0);
    let of_unknown_key = signer("key-2").issue(ADA, NOW_MS - 1_000).token;
    let of_forged_key = signer("key-1").issue(ADA, NOW_MS).token;
    let future = fixture.signer.issue(ADA, NOW_MS + 61_000).token;
    let refusals = [
        vec![],
        vec![""],
        vec!["Bearer"],
        vec!["Bearer "],
        vec!["Basic YWRhOnB3"],
        vec![token.as_str()],
        vec![tampered.as_str()],
        vec![unsigned.as_str()],
        vec![good.as_str(), good.as_str()],
        vec!["Bearer eyJhbGciOiJub25lIiwia2lkIjoia2V5LTEifQ.e30."],
    ];
    let mut answers = Vec::new();
    for authorization in refusals {
        answers.push(fixture.call(&authorization).await);
    }
    for token in [of_unknown_key, of_forged_key, future] {
        answers.push(fixture.call(&[&format!("Bearer {token}")]).await);
    }
    for answer in answers {
        let message = answer.as_ref().unwrap_err().message().to_owned();
        assert!(
            message.starts_with("the call needs a valid access token"),
            "{message}"
        );
        assert_refused(answer, Code::Unauthenticated, "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn an_expired_token_says_so_after_a_minute_of_leeway() {
    let fixture = Fixture::new(FOR_USERS).await;
    fixture.clock.set(NOW_MS + LIFETIME_MS + 59_000);
    assert!(fixture.call_as(ADA).await.is_ok());
    fixture.clock.set(NOW_MS + LIFETIME_MS + 60_000);
    let answer = fixture.call_as(ADA).await;
    assert_refused(answer, Code::Unauthenticated, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn what_is_for_admins_is_denied_to_users() {
    let fixture = Fixture::new(FOR_ADMINS).await;
    assert!(fixture.call_as(ADMIN).await.is_ok());
    let answer = fixture.call_as(ADA).await;
    let message = answer.as_ref().unwrap_err().message().to_owned();
    assert_eq!(message, "permission denied, or it does not exist");
    assert_refused(answer, Code::PermissionDenied, "PERMISSION_DENIED");
    assert_refused(
        fixture.call(&[]).await,
        Code::Unauthenticated,
        "UNAUTHENTICATED",
    );
}

#[tokio::test]
async fn a_public_method_needs_no_token_and_has_no_caller() {
    let fixture = Fixture::new(FOR_ALL).await;
    let answer = fixture.call(&[]).await;
    // No guard has verified a caller.
    assert_refused(answer, Code::Unauthenticated, "UNAUTHENTICATED");
    let channel = fixture.server.channel().await;
    assert!(call(channel, ask("")).await.is_ok());
}

#[tokio::test]
async fn a_method_without_a_rule_is_not_served() {
    let fixture = Fixture::new(FOR_USERS).await;
    let mut request = ask("");
    let token = fixture.signer.issue(ADMIN, NOW_MS).token;
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    for unlisted in [
        open(fixture.server.channel().await, ask(""))
            .await
            .err()
            .unwrap(),
        crate::probe::call_watch(fixture.server.channel().await, request).await,
    ] {
        assert_eq!(unlisted.code(), Code::Unimplemented);
        let details = unlisted.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "METHOD_UNKNOWN");
    }
}

#[tokio::test]
async fn health_needs_no_token() {
    let fixture = Fixture::new(&[]).await;
    let health = HealthClient::new(fixture.server.channel().await)
        .check(ask(""))
        .await;
    assert!(health.is_ok());
}

#[tokio::test]
async fn a_megabyte_of_token_is_refused_and_the_server_lives() {
    let fixture = Fixture::new(FOR_USERS).await;
    let long = format!("Bearer {}", "a".repeat(1 << 20));
    assert!(fixture.call(&[&long]).await.is_err());
    let fits = format!("Bearer {}", "a".repeat(12_000));
    assert_refused(
        fixture.call(&[&fits]).await,
        Code::Unauthenticated,
        "UNAUTHENTICATED",
    );
    assert!(fixture.call_as(ADA).await.is_ok());
}

#[tokio::test]
async fn a_new_key_counts_as_soon_as_it_is_in_the_table() {
    let fixture = Fixture::new(FOR_USERS).await;
    assert!(fixture.call_as(ADA).await.is_ok());
    let next = signer("key-2");
    fixture.learn(&next).await;
    let token = format!("Bearer {}", next.issue(ADA, NOW_MS).token);
    // Until the next read of the table.
    while fixture.call(&[&token]).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(
        fixture.call_as(ADA).await.is_ok(),
        "the first goes on to count"
    );
}

#[tokio::test]
async fn a_token_newer_than_the_last_announcement_is_worth_a_retry() {
    let fixture = Fixture::new(FOR_USERS).await;
    let late = signer("key-2");
    let ask = async |issued_at_ms: i64| {
        let token = late.issue(ADA, issued_at_ms).token;
        fixture.call(&[&format!("Bearer {token}")]).await
    };
    let status = ask(NOW_MS).await.unwrap_err();
    let retry = status.get_error_details().retry_info().cloned();
    assert_eq!(retry.unwrap().retry_delay, Some(Duration::from_secs(1)));
    assert_refused(Err(status), Code::Unavailable, "KEY_UNKNOWN");

    // A wrong clock proves nothing.
    for announced_at_ms in [NOW_MS - 500, NOW_MS + 3_600_000] {
        fixture.announced(announced_at_ms).await;
        assert_refused(ask(NOW_MS).await, Code::Unavailable, "KEY_UNKNOWN");
    }
    fixture.announced(NOW_MS - 60_000).await;
    assert_refused(ask(NOW_MS).await, Code::Unavailable, "KEY_UNKNOWN");
    for forged in [
        NOW_MS - 61_000,          // older than the announcement
        NOW_MS + 61_000,          // in the future
        NOW_MS - 2 * LIFETIME_MS, // expired
    ] {
        let answer = testkit::eventually("the table is read again", async || {
            let answer = ask(forged).await;
            match answer.as_ref().unwrap_err().code() {
                Code::Unavailable => Err(answer),
                _ => Ok(answer),
            }
        });
        assert_refused(answer.await, Code::Unauthenticated, "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn the_issuer_knows_all_keys_so_another_one_is_forged() {
    let fixture = Fixture::new(FOR_USERS).await;
    let issuer = Verifier::of_issuer(fixture.db.clone(), Arc::new(fixture.clock.clone()));
    let token = signer("key-2").issue(ADA, NOW_MS).token;
    assert_eq!(issuer.verify(&token).await, Err(auth::Refusal::UnknownKey));
}

#[tokio::test]
async fn forged_tokens_cost_few_looks_at_the_table() {
    let fixture = Fixture::new(FOR_USERS).await;
    let (statements, _listening) = Statements::listen();
    let begun = Instant::now();
    let forged = signer("key-2").issue(ADA, NOW_MS).token;
    let verifier = Verifier::new(fixture.db.clone(), Arc::new(fixture.clock.clone()));
    for _ in 0..500 {
        assert_eq!(
            verifier.verify(&forged).await,
            Err(auth::Refusal::KeyNotHeardOf)
        );
    }
    let took = begun.elapsed();
    let asked = statements.since(begun);
    let most = took.as_millis() / 200 + 2;
    assert!(asked.len() as u128 <= most, "{} in {took:?}", asked.len());
}

#[tokio::test]
async fn a_key_ends_at_its_expiry_and_cannot_be_replaced() {
    let fixture = Fixture::new(FOR_USERS).await;
    fixture.learn(&signer("key-1")).await;
    assert!(
        fixture.call_as(ADA).await.is_ok(),
        "the key is still the first one"
    );

    let ended = fixture.signer.verification_key(NOW_MS);
    auth::learn(&fixture.db, &ended).await.unwrap();
    let verifier = Verifier::new(fixture.db.clone(), Arc::new(fixture.clock.clone()));
    let token = fixture.signer.issue(ADA, NOW_MS).token;
    assert_eq!(
        verifier.verify(&token).await,
        Err(auth::Refusal::UnknownKey)
    );
}

#[tokio::test]
async fn while_the_database_is_away_the_known_keys_go_on_to_count() {
    let fixture = Fixture::new(FOR_USERS).await;
    fixture.announced(NOW_MS).await;
    assert!(fixture.call_as(ADA).await.is_ok());
    let gone = "ALTER TABLE angarium_verification_key RENAME TO hidden";
    fixture.db.execute_unprepared(gone).await.unwrap();
    let unknown = signer("key-2").issue(ADA, NOW_MS - 1_000).token;
    // Until the next read, it is unknown whether that key is ours.
    let refused = testkit::eventually("the table is looked at", async || {
        let refused = fixture.call(&[&format!("Bearer {unknown}")]).await;
        match refused.as_ref().unwrap_err().code() {
            Code::Unauthenticated => Err(refused),
            _ => Ok(refused),
        }
    });
    assert_refused(refused.await, Code::Unavailable, "DATABASE_UNAVAILABLE");
    assert!(fixture.call_as(ADA).await.is_ok());
}
