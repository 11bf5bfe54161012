//! The keys of access tokens: created, encrypted, announced, rotated, and shared by replicas.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::key::v1::KeyRequested;
use contracts::user::v1::KeyPublished;
use event::Message;
use futures::future::join_all;
use messaging::transport::Confirmation;
use messaging::{Engine, EngineConfig, Store};
use rstest::rstest;
use runtime::auth::{Caller, Role, Verifier};
use runtime::sealed::MasterKey;
use runtime::{Clock as _, TestClock};
use sea_orm::{ConnectionTrait as _, Statement};
use testkit::{Broker, BrokerKind, Database, StoreKind, eventually, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use user_service::DEFINITION;
use user_service::keys::Keys;
use user_service::migrations::Migrator;
use user_service::store::signing_keys;
use uuid::Uuid;

use crate::bench::{Bench, NOW_MS};
use crate::fixture::Fixture;

const ADA: Caller = Caller {
    user_id: Uuid::from_u128(7),
    role: Role::User,
    session_id: None,
    email_verified: None,
};
const ROTATION: Duration = Duration::from_secs(30 * 24 * 3600);
const HOUR: u64 = 3600;

async fn announced(db: &sea_orm::DatabaseConnection) -> Vec<KeyPublished> {
    let outbox = testkit::outbox(db).await;
    let keys = outbox
        .iter()
        .filter(|promised| promised.event_type == "angarium.user.v1.KeyPublished");
    keys.map(testkit::Promised::decode).collect()
}

#[rstest]
#[tokio::test]
async fn every_start_announces_the_signing_key(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let first = eventually("a key is announced", async || {
        announced(&fixture.db).await.pop().ok_or("none")
    });
    let first = first.await;
    assert_eq!(first.public_key.len(), 32);
    let fixture = fixture.restart().await;
    let second = eventually("it is announced again", async || {
        let announced = announced(&fixture.db).await;
        if announced.len() < 2 {
            Err(announced.len())
        } else {
            Ok(announced)
        }
    });
    for again in second.await {
        assert_eq!(
            (again.key_id, again.public_key),
            (first.key_id.clone(), first.public_key.clone())
        );
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_new_key_is_announced_an_hour_ahead_and_tokens_stay_valid(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    let verifier = Verifier::new(bench.db.clone(), Arc::new(bench.clock.clone()));
    let days = ROTATION.as_secs();
    bench.wait(days - HOUR - 1);
    assert!(!bench.keys.look().await.unwrap());
    bench.wait(1);
    assert!(bench.keys.look().await.unwrap(), "an hour ahead");
    assert!(!bench.keys.look().await.unwrap(), "there are two now");
    bench.keys.announce().await.unwrap();
    assert_eq!(announced(&bench.db).await.len(), 2);

    bench.wait(HOUR - 1);
    let last = bench.keys.issue(ADA).unwrap().token;
    bench.wait(1);
    let first = bench.keys.issue(ADA).unwrap().token;
    assert_ne!(header(&last), header(&first));
    for token in [&last, &first] {
        assert_eq!(verifier.verify(token).await, Ok(ADA));
    }
    // All tokens of the old key have expired.
    bench.wait(960);
    bench.keys.look().await.unwrap();
    bench.keys.announce().await.unwrap();
    assert_eq!(announced(&bench.db).await.len(), 3);
}

#[rstest]
#[tokio::test]
async fn after_a_long_stop_a_new_key_signs_at_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    bench.wait(10 * ROTATION.as_secs());
    assert!(bench.keys.issue(ADA).is_none());
    let restarted = bench.restarted().await;
    let token = restarted.keys.issue(ADA).unwrap().token;
    let verifier = Verifier::new(bench.db.clone(), Arc::new(bench.clock.clone()));
    assert_eq!(verifier.verify(&token).await, Ok(ADA));
}

/// Without the worker that announces periodically.
#[rstest]
#[tokio::test]
async fn who_asks_for_the_keys_gets_them_once_a_second_at_most(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let bench = Bench::new(store).await;
    let broker = Broker::create(broker).await;
    let reached = broker.of_services([&DEFINITION.participant().topology()]);
    let engine = Engine::new(
        &bench.store,
        &reached,
        DEFINITION.participant(),
        EngineConfig::default(),
    );
    engine.declare().await.unwrap();
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    running.spawn(engine.run(stop.clone(), stop.clone()));
    // The first ones are answered while the others are published.
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(broker.publish(&request()).await, Confirmation::Routed);
    }
    let done = "SELECT event_id FROM angarium_inbox WHERE state = 'done'";
    eventually_is("all were answered", 20, async || {
        let statement = Statement::from_string(bench.db.get_database_backend(), done);
        bench.db.query_all_raw(statement).await.unwrap().len()
    })
    .await;
    let most = begun.elapsed().as_secs() + 2;
    let announced = announced(&bench.db).await.len() as u64;
    assert!((1..=most).contains(&announced), "{announced} of {most}");
    stop.cancel();
    running.join_next().await.unwrap().unwrap();
}

/// The clock was ahead at the first start.
#[rstest]
#[tokio::test]
async fn keys_of_a_clock_that_was_ahead_refuse_no_token(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(600, 2 * HOUR, 24 * HOUR, 365 * 24 * HOUR)] ahead_s: u64,
) {
    let bench = Bench::new(store).await;
    let verifier = Verifier::of_issuer(bench.db.clone(), Arc::new(bench.clock.clone()));
    bench
        .clock
        .set(NOW_MS - i64::try_from(ahead_s).unwrap() * 1_000);
    // Immediately, and after the next check or start.
    let at_once = bench.keys.issue(ADA).unwrap().token;
    let restarted = bench.restarted().await;
    let later = restarted.keys.issue(ADA).unwrap().token;
    for token in [at_once, later] {
        assert_eq!(verifier.verify(&token).await, Ok(ADA));
    }
    let now_ms = bench.clock.now_ms();
    let kept = signing_keys::valid_at(&bench.db, now_ms).await.unwrap();
    assert!(kept.iter().any(|key| key.signs_from_ms <= now_ms));
    assert!(!bench.keys.look().await.unwrap(), "one is enough");
}

fn request() -> Message {
    let event = KeyRequested {
        request_id: Uuid::now_v7().to_string(),
        service: "a-test".to_owned(),
    };
    testkit::message(&event, 1)
}

#[rstest]
#[tokio::test]
async fn replicas_that_start_at_once_make_one_key(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] kind: StoreKind,
) {
    let database = Database::create(kind).await;
    let store = Store::new(database.migrated::<Migrator>().await);
    let secret_key = MasterKey::well_known("SECRET_KEY");
    let clock = Arc::new(TestClock::at(NOW_MS));
    let opened = join_all((0..5).map(|_| {
        let clock = Arc::clone(&clock);
        Keys::open(store.clone(), &secret_key, ROTATION, clock)
    }));
    let headers: Vec<String> = opened
        .await
        .into_iter()
        .map(|keys| header(&keys.unwrap().issue(ADA).unwrap().token))
        .collect();
    assert!(headers.iter().all(|one| *one == headers[0]));
    let kept = signing_keys::valid_at(store.connection(), NOW_MS)
        .await
        .unwrap();
    assert_eq!(kept.len(), 1);
}

#[rstest]
#[tokio::test]
async fn private_keys_are_encrypted_and_a_wrong_secret_key_fails(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    let stored = signing_keys::valid_at(&bench.db, NOW_MS).await.unwrap();
    let sealed = &stored[0].sealed_private_key;
    // PKCS#8 begins with a sequence and names Ed25519.
    assert!(!sealed.windows(3).any(|bytes| bytes == [0x2b, 0x65, 0x70]));

    let other = MasterKey::new("SECRET_KEY", "another secret key of this deployment".into());
    let clock = Arc::new(bench.clock.clone());
    let refused = Keys::open(bench.store.clone(), &other, ROTATION, clock.clone()).await;
    let message = format!("{:#}", refused.err().unwrap());
    assert!(message.contains("another SECRET_KEY"), "{message}");
    bench
        .db
        .execute_unprepared("DELETE FROM signing_key")
        .await
        .unwrap();
    let keys = Keys::open(bench.store.clone(), &other, ROTATION, clock).await;
    keys.unwrap().issue(ADA).unwrap();
}

/// The header names the key.
fn header(token: &str) -> String {
    token.split('.').next().unwrap().to_owned()
}
