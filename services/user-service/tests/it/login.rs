//! Login, and the protection against guessing.

use contracts::user::v1::user_service_server::UserService as _;
use contracts::user::v1::{AuthenticateRequest, GetUserRequest, UserRole};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{StoreKind, authorized, reason};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::bench::{Bench, NOW_MS, from};
use crate::fixture::Fixture;
use crate::samples::{ADMIN, PASSWORD, ada};

#[rstest]
#[tokio::test]
async fn who_logs_in_is_let_in_and_known(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let session = fixture.log_in(" ADA@Example.com", PASSWORD).await.unwrap();
    assert_eq!(session.user, Some(user.clone()));
    let tokens = session.tokens.unwrap();
    let request = GetUserRequest {
        user_id: user.user_id.clone(),
    };
    let request = authorized(&tokens.access_token, request);
    let shown = fixture
        .client()
        .get_user(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown.user, Some(user));
    assert!(
        tokens.access_token_expire_time.unwrap().seconds
            < tokens.refresh_token_expire_time.unwrap().seconds
    );
    // Another process signs with the same key.
    let fixture = fixture.restart().await;
    let request = GetUserRequest {
        user_id: session.user.unwrap().user_id,
    };
    let request = authorized(&tokens.access_token, request);
    fixture.client().get_user(request).await.unwrap();
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn no_answer_reveals_whether_an_address_is_registered(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    let mut answers = Vec::new();
    for (email, password) in [
        ("ada@example.com", "another password"),
        ("unknown@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("ada\0@example.com", PASSWORD),
    ] {
        let refused = fixture.log_in(email, password).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
        answers.push((refused.message().to_owned(), refused.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same words for all");
    fixture.stop().await;
}

/// PostgreSQL stores no NUL, so the address may not reach a statement.
#[rstest]
#[tokio::test]
async fn an_address_with_a_nul_is_as_unknown_as_any_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let email = "ada\0@example.com";
    let refused = fixture.log_in(email, PASSWORD).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_admin_is_one_once_the_address_is_verified(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let request = contracts::user::v1::CreateUserRequest {
        email: ADMIN.to_owned(),
        ..ada()
    };
    let user = fixture.create(request).await.unwrap();
    assert_eq!(user.role(), UserRole::User);
    let list = async |token: &str| {
        let request = contracts::user::v1::ListUsersRequest::default();
        fixture
            .client()
            .list_users(authorized(token, request))
            .await
    };
    let before = fixture
        .log_in(ADMIN, PASSWORD)
        .await
        .unwrap()
        .tokens
        .unwrap();
    let denied = list(&before.access_token).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(fixture.verify(&user.user_id).await.role(), UserRole::Admin);
    let after = fixture
        .log_in(ADMIN, PASSWORD)
        .await
        .unwrap()
        .tokens
        .unwrap();
    list(&after.access_token).await.unwrap();
    fixture.stop().await;
}

async fn log_in(bench: &Bench, address: &str, email: &str, password: &str) -> Result<(), Status> {
    let request = AuthenticateRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        ..AuthenticateRequest::default()
    };
    bench
        .users
        .authenticate(from(address, request))
        .await
        .map(drop)
}

#[track_caller]
fn wait_of(answer: Result<(), Status>) -> u64 {
    let refused = answer.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(reason(&refused), "TOO_MANY_ATTEMPTS");
    let details = refused.get_error_details();
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    wait.as_secs()
}

#[rstest]
#[tokio::test]
async fn guessing_any_account_is_slowed_down_across_restarts(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    bench
        .users
        .create_user(from("198.51.100.9", ada()))
        .await
        .unwrap();
    for email in ["ada@example.com", "unknown@example.com"] {
        for guess in 0..5 {
            // Attackers have many machines.
            let address = format!("203.0.113.{guess}");
            let refused = log_in(&bench, &address, email, "a guess")
                .await
                .unwrap_err();
            assert_eq!(reason(&refused), "CREDENTIALS_INVALID", "{guess}");
        }
        let waiting = log_in(&bench, "203.0.113.99", email, "a guess").await;
        assert_eq!(wait_of(waiting), 1);
    }
    let restarted = bench.restarted().await;
    let waiting = log_in(&restarted, "203.0.113.99", "ada@example.com", PASSWORD).await;
    assert_eq!(wait_of(waiting), 1);
    restarted.wait(1);
    log_in(&restarted, "203.0.113.99", "ada@example.com", "a guess")
        .await
        .unwrap_err();
    let waiting = log_in(&restarted, "203.0.113.99", "ada@example.com", "a guess").await;
    assert_eq!(wait_of(waiting), 2);

    restarted.wait(2);
    log_in(&restarted, "203.0.113.99", "ada@example.com", PASSWORD)
        .await
        .unwrap();
    for _ in 0..4 {
        let refused = log_in(&restarted, "203.0.113.98", "ada@example.com", "a guess").await;
        assert_eq!(reason(&refused.unwrap_err()), "CREDENTIALS_INVALID");
    }
}

#[rstest]
#[tokio::test]
async fn others_cannot_keep_a_user_out_of_where_they_have_been(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    bench
        .users
        .create_user(from("198.51.100.9", ada()))
        .await
        .unwrap();
    log_in(&bench, "198.51.100.9", "ada@example.com", PASSWORD)
        .await
        .unwrap();
    for guess in 0..5 {
        let address = format!("203.0.113.{guess}");
        log_in(&bench, &address, "ada@example.com", "a guess")
            .await
            .unwrap_err();
    }
    let elsewhere = log_in(&bench, "203.0.113.99", "ada@example.com", PASSWORD).await;
    assert_eq!(wait_of(elsewhere), 1);
    log_in(&bench, "198.51.100.9", "ada@example.com", PASSWORD)
        .await
        .unwrap();
}

#[rstest]
#[tokio::test]
async fn one_client_address_has_few_guesses_for_all_accounts(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    bench
        .users
        .create_user(from("198.51.100.9", ada()))
        .await
        .unwrap();
    let guess = async |number: i32| {
        let email = format!("user-{number}@example.com");
        log_in(&bench, "203.0.113.7", &email, "a guess").await
    };
    for number in 0..10 {
        let refused = guess(number).await.unwrap_err();
        assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
    }
    assert_eq!(wait_of(guess(10).await), 6);
    let there = log_in(&bench, "203.0.113.7", "ada@example.com", PASSWORD).await;
    assert_eq!(wait_of(there), 6);
    log_in(&bench, "203.0.113.8", "ada@example.com", PASSWORD)
        .await
        .unwrap();
    bench.wait(6);
    for _ in 0..3 {
        log_in(&bench, "203.0.113.7", "ada@example.com", PASSWORD)
            .await
            .unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn a_hash_of_other_costs_is_replaced_at_login(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    use sea_orm::EntityTrait as _;
    use user_service::store::users;

    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    let params = Params::new(8_192, 1, 1, None).unwrap();
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let weak = weak.hash_password(PASSWORD.as_bytes()).unwrap();
    fixture
        .execute(&format!("UPDATE users SET password_hash = '{weak}'"))
        .await;
    let hash = async || {
        let row = users::Entity::find()
            .one(&fixture.db)
            .await
            .unwrap()
            .unwrap();
        row.password_hash.0
    };
    fixture
        .log_in("ada@example.com", "wrong")
        .await
        .unwrap_err();
    assert_eq!(hash().await, weak.to_string());
    fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    let replaced = hash().await;
    assert!(
        replaced.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{replaced}"
    );
    fixture.log_in("ada@example.com", PASSWORD).await.unwrap();
    assert_eq!(hash().await, replaced);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_can_decide_nothing_any_more_is_deleted(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    bench
        .users
        .create_user(from("198.51.100.9", ada()))
        .await
        .unwrap();
    log_in(&bench, "198.51.100.9", "ada@example.com", PASSWORD)
        .await
        .unwrap();
    log_in(&bench, "198.51.100.8", "ada@example.com", "a guess")
        .await
        .unwrap_err();
    bench.wait(365 * 24 * 3600);
    let (now, stop) = (
        runtime::Clock::now_ms(&bench.clock),
        tokio_util::sync::CancellationToken::new(),
    );
    user_service::clean_up::clean_up(&bench.store, &bench.throttle, now, &stop)
        .await
        .unwrap();
    for table in [
        "session",
        "refresh_token",
        "mail_code",
        "bucket",
        "login_attempt",
    ] {
        let sql = format!("SELECT count(*) AS rows_left FROM {table}");
        let statement = sea_orm::Statement::from_string(bench.db.get_database_backend(), sql);
        let row = bench.db.query_one_raw(statement).await.unwrap().unwrap();
        assert_eq!(row.try_get::<i64>("", "rows_left").unwrap(), 0, "{table}");
    }
}

/// One wrong login while the clock is a day ahead.
#[rstest]
#[tokio::test]
async fn a_clock_that_was_ahead_locks_no_user_out(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const DAY: u64 = 24 * 3600;
    let bench = Bench::new(store).await;
    let address = "198.51.100.9";
    bench.users.create_user(from(address, ada())).await.unwrap();
    let log_in = async |password| log_in(&bench, address, "ada@example.com", password).await;
    bench.wait(DAY);
    bench.keys.look().await.unwrap();
    for _ in 0..5 {
        assert_eq!(
            log_in("wrong").await.unwrap_err().code(),
            Code::Unauthenticated
        );
    }
    bench.clock.set(NOW_MS);
    log_in(PASSWORD).await.unwrap();

    let stop = tokio_util::sync::CancellationToken::new();
    user_service::clean_up::clean_up(&bench.store, &bench.throttle, NOW_MS, &stop)
        .await
        .unwrap();
    for (table, column, longest_s) in [
        ("bucket", "full_at_ms", 4 * 3600),
        ("login_attempt", "last_at_ms", 0),
        ("session", "expires_at_ms", 90 * DAY),
        ("mail_code", "expires_at_ms", DAY),
    ] {
        let latest = NOW_MS + i64::try_from(longest_s).unwrap() * 1_000;
        let beyond = format!("SELECT 1 FROM {table} WHERE {column} > {latest}");
        let statement = sea_orm::Statement::from_string(bench.db.get_database_backend(), beyond);
        let rows = bench.db.query_all_raw(statement);
        assert_eq!(rows.await.unwrap().len(), 0, "{table}");
    }
}
