//! Repeated calls with a `request_id`: one effect, and the first answer.

use contracts::user::v1::{
    ChangePasswordRequest, CreateUserRequest, DeleteUserRequest, UpdateUserRequest, User,
    VerifyEmailRequest,
};
use rstest::rstest;
use testkit::{StoreKind, authorized, reason};

use crate::fixture::Fixture;
use crate::samples::{PASSWORD, ada, new_id};

#[rstest]
#[tokio::test]
async fn what_changes_an_account_is_done_once_and_answered_again(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let update = UpdateUserRequest {
        user: Some(User {
            user_id: user.user_id.clone(),
            display_name: "Countess".to_owned(),
            etag: user.etag.clone(),
            ..User::default()
        }),
        request_id: new_id(),
        ..UpdateUserRequest::default()
    };
    let mut answers = Vec::new();
    for _ in 0..3 {
        let request = fixture.by(&user.user_id, update.clone());
        let answer = fixture.client().update_user(request).await.unwrap();
        answers.push(answer.into_inner().user.unwrap());
    }
    answers.dedup();
    assert_eq!(
        answers.len(),
        1,
        "the etag is that of the first call, and fits no more"
    );
    assert_eq!(fixture.outbox().await.len(), 2);

    let change = ChangePasswordRequest {
        current_password: PASSWORD.to_owned(),
        new_password: "another password".to_owned(),
        request_id: new_id(),
    };
    for _ in 0..3 {
        let request = fixture.by(&user.user_id, change.clone());
        fixture.client().change_password(request).await.unwrap();
    }
    let other = ChangePasswordRequest {
        new_password: "a third password".to_owned(),
        ..change
    };
    let request = fixture.by(&user.user_id, other);
    let refused = fixture.client().change_password(request).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");

    let session = fixture.log_in(&user.email, "another password").await;
    let token = session.unwrap().tokens.unwrap().access_token;
    let delete = DeleteUserRequest {
        user_id: user.user_id.clone(),
        request_id: new_id(),
        current_password: "another password".to_owned(),
        ..DeleteUserRequest::default()
    };
    for _ in 0..3 {
        let request = authorized(&token, delete.clone());
        fixture.client().delete_user(request).await.unwrap();
    }
    assert_eq!(fixture.outbox().await.len(), 4);
    fixture.stop().await;
}

/// A repeated public call has no token.
#[rstest]
#[tokio::test]
async fn a_public_call_again_shows_nothing_that_changed_since(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let create = CreateUserRequest {
        request_id: new_id(),
        ..ada()
    };
    let created = fixture.create(create.clone()).await.unwrap();
    let verify = VerifyEmailRequest {
        code: fixture.verification_code(&created.user_id).await,
        request_id: new_id(),
    };
    let verify_again = async || {
        let answer = fixture.client().verify_email(verify.clone()).await.unwrap();
        answer.into_inner().user.unwrap()
    };
    let verified = verify_again().await;
    assert_eq!(fixture.create(create.clone()).await.unwrap(), created);
    assert_eq!(verify_again().await, verified);

    let update = UpdateUserRequest {
        user: Some(User {
            user_id: created.user_id.clone(),
            email: "secret@example.org".to_owned(),
            display_name: "Countess".to_owned(),
            ..User::default()
        }),
        current_password: PASSWORD.to_owned(),
        ..UpdateUserRequest::default()
    };
    let update = fixture.by(&created.user_id, update);
    fixture.client().update_user(update).await.unwrap();
    assert_eq!(fixture.create(create.clone()).await.unwrap(), created);
    let only_the_id = User {
        user_id: created.user_id.clone(),
        email_verified: true,
        ..User::default()
    };
    assert_eq!(verify_again().await, only_the_id);

    fixture.execute("DELETE FROM users").await;
    assert_eq!(fixture.create(create).await.unwrap(), created);
    assert_eq!(verify_again().await, only_the_id);
    fixture.stop().await;
}
