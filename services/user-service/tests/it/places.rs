//! Logins from new places: one event each, few in number, and nothing readable is kept.

use contracts::user::v1::user_service_server::UserService as _;
use contracts::user::v1::{
    AuthenticateRequest, DeleteUserRequest, SessionStartedAtNewPlace, Tokens,
};
use prost::Name as _;
use rstest::rstest;
use runtime::Clock;
use testkit::{Promised, StoreKind};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use user_service::clean_up::clean_up;
use user_service::store::known_places;

use crate::bench::{Bench, NOW_MS, from};
use crate::samples::{PASSWORD, ada};

const DAY: u64 = 24 * 3600;
const HOME: &str = "198.51.100.9";

async fn started(store: StoreKind) -> (Bench, String) {
    let bench = Bench::new(store).await;
    let created = bench.users.create_user(from(HOME, ada())).await;
    let user_id = created.unwrap().into_inner().user.unwrap().user_id;
    (bench, user_id)
}

async fn log_in(bench: &Bench, address: &str, user_agent: &'static str) -> Tokens {
    let request = AuthenticateRequest {
        email: ada().email,
        password: PASSWORD.to_owned(),
        ..AuthenticateRequest::default()
    };
    let mut request = from(address, request);
    let agent = user_agent.parse().unwrap();
    request.metadata_mut().insert("user-agent", agent);
    let answer = bench.users.authenticate(request).await.unwrap();
    answer.into_inner().tokens.unwrap()
}

/// Of the enqueued events.
async fn networks(bench: &Bench) -> Vec<String> {
    let mut outbox = testkit::outbox(&bench.db).await;
    outbox.retain(|promised| promised.event_type == SessionStartedAtNewPlace::full_name());
    let events = outbox.iter().map(Promised::decode);
    events
        .map(|event: SessionStartedAtNewPlace| event.client_network)
        .collect()
}

async fn count(bench: &Bench, sql: &str) -> i64 {
    testkit::value(&bench.db, sql).await
}

#[rstest]
#[tokio::test]
async fn a_login_from_a_new_place_is_published_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (bench, user_id) = started(store).await;
    // The first login has nothing to compare with.
    log_in(&bench, "192.0.2.1", "grpcurl/1.9.1").await;
    assert_eq!(networks(&bench).await, [""; 0]);
    for (address, user_agent) in [
        ("192.0.2.200", "grpcurl/1.9.2"),
        ("203.0.113.7", "grpcurl/1.9.2"),
        ("203.0.113.8", "grpcurl/1.9.2"),
        ("2001:db8:1:2::7", "grpcurl/1.9.2"),
        ("2001:db8:1:2::8", "grpcurl/1.9.2"),
        // Another program at a known network.
        ("192.0.2.1", "tonic/0.14.2"),
        ("192.0.2.1", "tonic/0.14.2"),
    ] {
        log_in(&bench, address, user_agent).await;
    }
    let expected = ["203.0.113.0/24", "2001:db8:1:2::/64", "192.0.2.0/24"];
    assert_eq!(networks(&bench).await, expected);

    let mut outbox = testkit::outbox(&bench.db).await;
    outbox.retain(|promised| promised.event_type == SessionStartedAtNewPlace::full_name());
    let event: SessionStartedAtNewPlace = outbox[0].decode();
    assert_eq!((outbox[0].version, &event.user_id), (1, &user_id));
    assert_eq!(event.start_time.unwrap().seconds, NOW_MS / 1_000);
    let session = format!(
        "SELECT count(*) FROM session WHERE session_id = '{}'",
        event.session_id
    );
    assert_eq!(count(&bench, &session).await, 1);
}

#[rstest]
#[tokio::test]
async fn many_logins_from_new_places_cause_few_mails_and_all_succeed(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (bench, _) = started(store).await;
    for number in 0..10 {
        log_in(&bench, &format!("203.0.{number}.7"), "grpcurl/1.9.1").await;
    }
    assert_eq!(networks(&bench).await.len(), 4);
    bench.wait(3600);
    log_in(&bench, "203.0.99.7", "grpcurl/1.9.1").await;
    assert_eq!(networks(&bench).await.len(), 5);
}

#[rstest]
#[tokio::test]
async fn a_place_is_forgotten_after_half_a_year_and_the_user_is_not(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (bench, _) = started(store).await;
    log_in(&bench, HOME, "grpcurl/1.9.1").await;
    let kept = "SELECT count(*) FROM known_place";
    for (wait, left) in [(180 * DAY - 1, 1), (1, 0)] {
        bench.wait(wait);
        let now_ms = Clock::now_ms(&bench.clock);
        let stop = CancellationToken::new();
        clean_up(&bench.store, &bench.throttle, now_ms, &stop)
            .await
            .unwrap();
        assert_eq!(count(&bench, kept).await, left);
    }
    bench.keys.look().await.unwrap();
    // Not the first login any more.
    log_in(&bench, HOME, "grpcurl/1.9.1").await;
    assert_eq!(networks(&bench).await, ["198.51.100.0/24"]);
}

#[rstest]
#[tokio::test]
async fn places_are_digests_with_a_bound_and_end_with_the_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (bench, user_id) = started(store).await;
    let user = user_id.parse().unwrap();
    for number in 0..103 {
        let digest = number.to_string();
        let learned = known_places::learn(&bench.db, user, &digest, number);
        learned.await.unwrap();
    }
    // The first login forgets nothing, and the second one is at a new place.
    for address in ["203.0.113.7", "203.0.114.7"] {
        log_in(&bench, address, "grpcurl/1.9.1").await;
    }
    let kept = "SELECT count(*) FROM known_place";
    assert_eq!(count(&bench, kept).await, 100);
    let readable = "SELECT count(*) FROM known_place
        WHERE place_digest LIKE '%203.0.%' OR place_digest LIKE '%grpcurl%'";
    assert_eq!(count(&bench, readable).await, 0);

    let tokens = log_in(&bench, HOME, "grpcurl/1.9.1").await;
    let mut request = Request::new(DeleteUserRequest {
        user_id,
        current_password: PASSWORD.to_owned(),
        ..DeleteUserRequest::default()
    });
    let caller = bench.caller_of(&tokens.access_token);
    request.extensions_mut().insert(caller);
    bench.users.delete_user(request).await.unwrap();
    assert_eq!(count(&bench, kept).await, 0);
    // In the stored event.
    let events =
        "SELECT count(*) FROM angarium_outbox WHERE person_id IS NOT NULL AND NOT to_erase";
    assert_eq!(count(&bench, events).await, 0);
}
