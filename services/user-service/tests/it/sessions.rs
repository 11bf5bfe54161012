//! Sessions: each refresh token works once, and a copied one ends the session.

use contracts::user::v1::user_service_server::UserService as _;
use contracts::user::v1::{
    AuthenticateRequest, EndSessionRequest, ListSessionsRequest, ListSessionsResponse,
    RefreshTokenRequest, RevokeTokenRequest,
};
use futures::future::join_all;
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, Statement};
use testkit::{StoreKind, authorized, eventually_is, reason, violated_fields};
use tonic::{Code, Request, Status};
use user_service::store::sessions;
use uuid::Uuid;

use crate::bench::{Bench, from};
use crate::fixture::Fixture;
use crate::samples::{PASSWORD, ada, bob, new_id};

fn exchange(refresh_token: &str) -> RefreshTokenRequest {
    RefreshTokenRequest {
        refresh_token: refresh_token.to_owned(),
    }
}

#[rstest]
#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    let first = fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    let other = fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    let second = fixture.refresh(&first).await.unwrap();
    let third = fixture
        .client()
        .refresh_token(exchange(&second.refresh_token))
        .await;
    let third = third.unwrap().into_inner().tokens.unwrap();

    let reused = fixture.refresh(&first).await.unwrap_err();
    assert_eq!(reused.code(), Code::Unauthenticated);
    assert_eq!(reason(&reused), "REFRESH_TOKEN_INVALID");
    // It is unknown who copied it.
    let ended = fixture
        .client()
        .refresh_token(exchange(&third.refresh_token))
        .await;
    assert_eq!(reason(&ended.unwrap_err()), "REFRESH_TOKEN_INVALID");
    assert!(fixture.refresh(&other).await.is_ok());
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn of_many_who_exchange_one_token_at_once_at_most_one_is_served(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    let session = fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    let answers = join_all((0..20).map(|_| fixture.refresh(&session))).await;
    let served: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(served.len(), 1);
    let next = fixture
        .client()
        .refresh_token(exchange(&served[0].refresh_token))
        .await;
    assert_eq!(reason(&next.unwrap_err()), "REFRESH_TOKEN_INVALID");
    assert_eq!(fixture.count("SELECT count(*) FROM session").await, 0);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_logout_ends_the_session_and_reveals_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    let session = fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    let revoke = async |refresh_token: String| {
        fixture
            .client()
            .revoke_token(RevokeTokenRequest { refresh_token })
            .await
    };
    let token = session.tokens.clone().unwrap().refresh_token;
    revoke(token.clone()).await.unwrap();
    assert!(fixture.refresh(&session).await.is_err());
    revoke(token).await.unwrap();
    revoke("made up".to_owned()).await.unwrap();
    for made_up in ["made up", &"x".repeat(128)] {
        let refused = fixture.client().refresh_token(exchange(made_up)).await;
        assert_eq!(reason(&refused.unwrap_err()), "REFRESH_TOKEN_INVALID");
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_token_lasts_thirty_days_and_a_session_ninety(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const DAY: u64 = 24 * 3600;
    let bench = Bench::new(store).await;
    bench
        .users
        .create_user(from("198.51.100.9", ada()))
        .await
        .unwrap();
    let log_in = async || {
        let request = AuthenticateRequest {
            email: "ada@example.com".to_owned(),
            password: PASSWORD.to_owned(),
            ..AuthenticateRequest::default()
        };
        let answer = bench.users.authenticate(Request::new(request)).await;
        answer.unwrap().into_inner().tokens.unwrap().refresh_token
    };
    let refresh = async |token: &str| {
        bench.keys.look().await.unwrap();
        let answer = bench
            .users
            .refresh_token(Request::new(exchange(token)))
            .await;
        answer.map(|answer| answer.into_inner().tokens.unwrap().refresh_token)
    };
    let waiting = log_in().await;
    bench.wait(30 * DAY);
    assert!(refresh(&waiting).await.is_err());

    bench.keys.look().await.unwrap();
    let mut token = log_in().await;
    for _ in 0..3 {
        bench.wait(30 * DAY - 1);
        token = refresh(&token).await.unwrap();
    }
    bench.wait(3);
    assert!(refresh(&token).await.is_err());
}

/// One locks the session for its next token, the other ends it. If the first one locked the token instead, they would
/// deadlock.
#[tokio::test]
async fn exchanging_a_token_and_ending_its_session_never_deadlock() {
    const SESSION: Uuid = Uuid::from_u128(7);
    let bench = Bench::new(StoreKind::Postgres).await;
    let session = sessions::insert_session(&bench.db, SESSION, Uuid::nil(), (0, i64::MAX), "");
    session.await.unwrap();
    let token = sessions::insert_token(&bench.db, "first", SESSION, i64::MAX);
    token.await.unwrap();

    let refreshing = ::store::Transaction::begin(&bench.db).await.unwrap();
    let known = sessions::lock_token(&refreshing, "first").await.unwrap();
    assert!(known.is_some_and(|known| !known.is_used));
    let db = bench.db.clone();
    #[expect(clippy::disallowed_methods, reason = "the test joins it")]
    let ending = tokio::spawn(async move {
        let ending = ::store::Transaction::begin(&db).await?;
        sessions::delete_session(&ending, SESSION).await?;
        ending.commit().await
    });
    let waiting = "SELECT count(*) AS waiting FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = Statement::from_string(bench.db.get_database_backend(), waiting);
    eventually_is("who ends the session waits", 1, async || {
        let row = bench.db.query_one_raw(waiting.clone()).await.unwrap();
        row.unwrap().try_get::<i64>("", "waiting").unwrap()
    })
    .await;
    sessions::mark_used(&refreshing, "first").await.unwrap();
    let next = sessions::insert_token(&refreshing, "second", SESSION, i64::MAX);
    next.await.unwrap();
    refreshing.commit().await.unwrap();
    ending.await.unwrap().unwrap();
    let left = sessions::lock_token(&bench.db, "second").await.unwrap();
    assert_eq!(left, None, "the session has ended with all its tokens");
}

async fn list(
    fixture: &Fixture,
    token: &str,
    page_size: i32,
) -> Result<ListSessionsResponse, Status> {
    let request = ListSessionsRequest {
        page_size,
        ..ListSessionsRequest::default()
    };
    let request = authorized(token, request);
    Ok(fixture.client().list_sessions(request).await?.into_inner())
}

#[rstest]
#[tokio::test]
async fn users_see_their_sessions_and_end_them(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    fixture.create(bob()).await.unwrap();
    let first = fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    let second = fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    let bobs = fixture.log_in("bob@example.com", PASSWORD).await.unwrap();
    let second_token = second.tokens.clone().unwrap().access_token;
    let bobs_token = bobs.tokens.clone().unwrap().access_token;

    let listed = list(&fixture, &second_token, 0).await.unwrap().sessions;
    let current: Vec<bool> = listed.iter().map(|session| session.is_current).collect();
    assert_eq!(
        current,
        [true, false],
        "the newest first, and none of others"
    );
    assert!(
        listed
            .iter()
            .all(|session| session.client_address == "127.0.0.1")
    );
    assert!(listed[1].create_time.unwrap().seconds <= listed[0].create_time.unwrap().seconds);
    assert_eq!(listed[0].create_time, listed[0].last_use_time);
    assert_eq!(
        list(&fixture, &bobs_token, 0).await.unwrap().sessions.len(),
        1
    );

    let page = list(&fixture, &second_token, 1).await.unwrap();
    assert_eq!(page.sessions, listed[..1]);
    let request = ListSessionsRequest {
        page_size: 1,
        page_token: page.next_page_token.clone(),
    };
    let own = authorized(&second_token, request.clone());
    let rest = fixture.client().list_sessions(own).await.unwrap();
    let rest = rest.into_inner();
    assert_eq!(
        (&rest.sessions[..], rest.next_page_token.as_str()),
        (&listed[1..], "")
    );
    let foreign = authorized(&bobs_token, request);
    let refused = fixture.client().list_sessions(foreign).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["page_token"]);

    let end = async |token: &str, session_id: &str| {
        let request = EndSessionRequest {
            session_id: session_id.to_owned(),
        };
        let answer = fixture
            .client()
            .end_session(authorized(token, request))
            .await;
        answer.map(drop)
    };
    // A session of another user, or none, stays unchanged.
    end(&bobs_token, &listed[0].session_id).await.unwrap();
    end(&bobs_token, &new_id()).await.unwrap();
    assert_eq!(
        list(&fixture, &second_token, 0)
            .await
            .unwrap()
            .sessions
            .len(),
        2
    );

    end(&second_token, &listed[1].session_id).await.unwrap();
    let ended = fixture.refresh(&first).await.unwrap_err();
    assert_eq!(reason(&ended), "REFRESH_TOKEN_INVALID");
    let first_token = first.tokens.unwrap().access_token;
    for refused in [
        list(&fixture, &first_token, 0).await.map(drop),
        end(&first_token, &listed[0].session_id).await,
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(reason(&refused), "SESSION_ENDED");
    }
    let refreshed = fixture.refresh(&second).await.unwrap();
    let listed = list(&fixture, &refreshed.access_token, 0).await.unwrap();
    assert!(listed.sessions[0].is_current && listed.sessions.len() == 1);
    fixture.stop().await;
}

/// The previous release writes sessions beside this one.
#[rstest]
#[tokio::test]
async fn a_session_of_the_release_before_is_listed(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let session = fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    let old = new_id();
    fixture
        .execute(&format!(
            "INSERT INTO session (session_id, user_id, expires_at_ms) VALUES ('{old}', '{}', {})",
            user.user_id,
            i64::MAX / 1_000_000
        ))
        .await;
    let token = session.tokens.unwrap().access_token;
    let listed = list(&fixture, &token, 0).await.unwrap().sessions;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].session_id, old);
    assert_eq!(
        (listed[0].create_time, listed[0].client_address.as_str()),
        (None, "")
    );
    fixture.stop().await;
}
