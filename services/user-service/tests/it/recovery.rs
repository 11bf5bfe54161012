//! The way back in for who has forgotten the password.

use contracts::user::v1::user_service_server::UserService as _;
use contracts::user::v1::{
    PasswordResetRequested, RequestPasswordResetRequest, ResetPasswordRequest,
};
use futures::future::join_all;
use rstest::rstest;
use testkit::{StoreKind, reason, violated_fields};
use tonic::{Code, Status};

use crate::bench::{Bench, from};
use crate::codes;
use crate::world::{PASSWORD, World, ada};

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
async fn the_code_of_the_mail_sets_another_password_once_and_ends_every_session(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user = world.create(ada()).await.unwrap();
    let session = world.log_in(&user.email, PASSWORD).await.unwrap();
    world
        .client()
        .request_password_reset(of("ADA@example.com"))
        .await
        .unwrap();
    let code = world.reset_code(&user.user_id).await;

    let short = world.client().reset_password(to(&code, "short")).await;
    assert_eq!(violated_fields(&short.unwrap_err()), ["new_password"]);
    let resets = join_all((0..5).map(|_| async {
        world
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
    assert!(world.refresh(&session).await.is_err());
    assert!(world.log_in(&user.email, PASSWORD).await.is_err());
    assert!(world.log_in(&user.email, "another password").await.is_ok());
    // The code of a verification is for nothing else.
    let other = world.verification_code(&user.user_id).await;
    let refused = world
        .client()
        .reset_password(to(&other, "another password"))
        .await;
    assert_eq!(reason(&refused.unwrap_err()), "CODE_INVALID");
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_address_that_nobody_has_is_answered_alike_and_gets_no_mail(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    world.create(ada()).await.unwrap();
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..3 {
            world
                .client()
                .request_password_reset(of(email))
                .await
                .unwrap();
        }
        let refused = world.client().request_password_reset(of(email)).await;
        assert_eq!(
            reason(&refused.unwrap_err()),
            "TOO_MANY_ATTEMPTS",
            "{email}"
        );
    }
    let events = codes::all::<PasswordResetRequested>(&world.db).await;
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.email == "ada@example.com"));
    world.stop().await;
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
