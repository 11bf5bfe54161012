//! Recovery of an account with a forgotten password.

use contracts::user::v1::user_service_server::UserService as _;
use contracts::user::v1::{
    AuthenticateRequest, PasswordResetRequested, RequestPasswordResetRequest, ResetPasswordRequest,
};
use futures::future::join_all;
use rstest::rstest;
use testkit::{StoreKind, reason, violated_fields};
use tonic::{Code, Status};

use crate::bench::{Bench, from};
use crate::codes;
use crate::fixture::Fixture;
use crate::samples::{PASSWORD, ada, bob};

fn of(email: &str) -> RequestPasswordResetRequest {
    RequestPasswordResetRequest {
        email: email.to_owned(),
        ..RequestPasswordResetRequest::default()
    }
}

fn to(code: &str, new_password: &str) -> ResetPasswordRequest {
    ResetPasswordRequest {
        code: code.to_owned(),
        new_password: new_password.to_owned(),
        ..ResetPasswordRequest::default()
    }
}

#[rstest]
#[tokio::test]
async fn the_code_sets_a_password_once_and_ends_every_session(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let session = fixture.log_in(&user.email, PASSWORD).await.unwrap();
    fixture
        .client()
        .request_password_reset(of("ADA@example.com"))
        .await
        .unwrap();
    let code = fixture.reset_code(&user.user_id).await;

    let short = fixture.client().reset_password(to(&code, "short")).await;
    assert_eq!(violated_fields(&short.unwrap_err()), ["new_password"]);
    let resets = join_all((0..5).map(|_| async {
        fixture
            .client()
            .reset_password(to(&code, "another password"))
            .await
    }));
    let (done, refused): (Vec<_>, Vec<_>) = resets.await.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for refused in refused {
        let refused: Status = refused.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::FailedPrecondition, "CODE_INVALID".to_owned())
        );
    }
    assert!(fixture.refresh(&session).await.is_err());
    assert!(fixture.log_in(&user.email, PASSWORD).await.is_err());
    assert!(
        fixture
            .log_in(&user.email, "another password")
            .await
            .is_ok()
    );
    let other = fixture.verification_code(&user.user_id).await;
    let refused = fixture
        .client()
        .reset_password(to(&other, "another password"))
        .await;
    assert_eq!(reason(&refused.unwrap_err()), "CODE_INVALID");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_unknown_address_gets_the_same_answer_and_no_mail(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    for email in ["ada@example.com", "unknown@example.com"] {
        for _ in 0..3 {
            fixture
                .client()
                .request_password_reset(of(email))
                .await
                .unwrap();
        }
        let refused = fixture.client().request_password_reset(of(email)).await;
        assert_eq!(
            reason(&refused.unwrap_err()),
            "TOO_MANY_ATTEMPTS",
            "{email}"
        );
    }
    let events = codes::all::<PasswordResetRequested>(&fixture.db).await;
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.email == "ada@example.com"));
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_code_ends_with_the_next_one_and_after_an_hour(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    let created = bench.users.create_user(from("198.51.100.9", ada())).await;
    let user_id = created.unwrap().into_inner().user.unwrap().user_id;
    let request = async || {
        let request = from("198.51.100.9", of("ada@example.com"));
        bench.users.request_password_reset(request).await.unwrap();
        codes::last::<PasswordResetRequested>(&bench.db, &user_id).await
    };
    let reset = async |code: &str| {
        let request = from("198.51.100.9", to(code, "another password"));
        bench.users.reset_password(request).await
    };
    let first = request().await;
    let second = request().await;
    assert_eq!(reason(&reset(&first).await.unwrap_err()), "CODE_INVALID");
    bench.wait(3600);
    assert_eq!(reason(&reset(&second).await.unwrap_err()), "CODE_INVALID");
    let third = request().await;
    reset(&third).await.unwrap();
}

const HOME: &str = "198.51.100.9";

/// Attackers guess until the longest wait.
async fn held_up(store: StoreKind) -> (Bench, String) {
    let bench = Bench::new(store).await;
    let created = bench.users.create_user(from(HOME, ada())).await;
    let user_id = created.unwrap().into_inner().user.unwrap().user_id;
    guess(&bench, 10).await;
    (bench, user_id)
}

async fn guess(bench: &Bench, guesses: u8) {
    for guess in 0..guesses {
        bench.wait(900);
        let address = format!("203.0.113.{guess}");
        let refused = log_in(bench, &address, "a guess", "").await.unwrap_err();
        assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
    }
}

async fn log_in(bench: &Bench, address: &str, password: &str, code: &str) -> Result<(), Status> {
    let request = AuthenticateRequest {
        email: "ada@example.com".to_owned(),
        password: password.to_owned(),
        code: code.to_owned(),
    };
    let answer = bench.users.authenticate(from(address, request)).await;
    answer.map(drop)
}

async fn code_for(bench: &Bench, user_id: &str) -> String {
    let request = from(HOME, of("ada@example.com"));
    bench.users.request_password_reset(request).await.unwrap();
    codes::last::<PasswordResetRequested>(&bench.db, user_id).await
}

#[rstest]
#[tokio::test]
async fn a_reset_lets_its_user_in_while_others_go_on_guessing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (bench, user_id) = held_up(store).await;
    let refused = log_in(&bench, HOME, PASSWORD, "").await.unwrap_err();
    assert_eq!(reason(&refused), "TOO_MANY_ATTEMPTS");
    let code = code_for(&bench, &user_id).await;
    let reset = from(HOME, to(&code, "another password"));
    bench.users.reset_password(reset).await.unwrap();
    // The failures do not count elsewhere either.
    log_in(&bench, "192.0.2.1", "another password", "")
        .await
        .unwrap();

    guess(&bench, 10).await;
    log_in(&bench, HOME, "another password", "").await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_login_with_a_code_is_held_up_by_no_failure_of_others(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (bench, user_id) = held_up(store).await;
    // Also attackers at the same client address.
    for _ in 0..10 {
        let request = AuthenticateRequest {
            email: "unknown@example.com".to_owned(),
            password: "a guess".to_owned(),
            ..AuthenticateRequest::default()
        };
        let _ = bench.users.authenticate(from(HOME, request)).await;
    }
    let refused = log_in(&bench, HOME, PASSWORD, "").await.unwrap_err();
    assert_eq!(reason(&refused), "TOO_MANY_ATTEMPTS");

    let code = code_for(&bench, &user_id).await;
    let wrong = log_in(&bench, HOME, PASSWORD, "a guess").await.unwrap_err();
    assert_eq!(reason(&wrong), "CODE_INVALID");
    let wrong = log_in(&bench, HOME, "a guess", &code).await.unwrap_err();
    assert_eq!(reason(&wrong), "CREDENTIALS_INVALID");
    log_in(&bench, HOME, PASSWORD, &code).await.unwrap();
    let used = log_in(&bench, HOME, PASSWORD, &code).await.unwrap_err();
    assert_eq!(reason(&used), "CODE_INVALID");
}

#[rstest]
#[tokio::test]
async fn a_code_of_another_account_is_no_way_around_the_count(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (bench, _) = held_up(store).await;
    let created = bench.users.create_user(from(HOME, bob())).await;
    let user_id = created.unwrap().into_inner().user.unwrap().user_id;
    let request = from(HOME, of("bob@example.com"));
    bench.users.request_password_reset(request).await.unwrap();
    let code = codes::last::<PasswordResetRequested>(&bench.db, &user_id).await;
    let refused = log_in(&bench, HOME, PASSWORD, &code).await.unwrap_err();
    assert_eq!(reason(&refused), "CODE_INVALID");
    // Guesses count also with a valid code of another account.
    let guess = async || {
        let request = AuthenticateRequest {
            email: "bob@example.com".to_owned(),
            password: "a guess".to_owned(),
            code: code.clone(),
        };
        bench.users.authenticate(from(HOME, request)).await
    };
    for _ in 0..5 {
        assert_eq!(reason(&guess().await.unwrap_err()), "CREDENTIALS_INVALID");
    }
    assert_eq!(reason(&guess().await.unwrap_err()), "TOO_MANY_ATTEMPTS");
}
