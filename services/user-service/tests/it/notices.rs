//! Events that let users notice a changed password, address or role.

use contracts::Event;
use contracts::user::v1::{
    ChangePasswordRequest, CreateUserRequest, RequestPasswordResetRequest, ResetPasswordRequest,
    UpdateUserRequest, User, UserPasswordChanged, UserRole, UserRoleChanged, UserUpdated,
};
use rstest::rstest;
use testkit::{Promised, StoreKind, eventually_is, reason};
use tonic::Status;

use crate::fixture::Fixture;
use crate::samples::{ADMIN, PASSWORD, ada, new_id};

async fn all<E: Event>(fixture: &Fixture) -> Vec<E> {
    let mut outbox = fixture.outbox().await;
    outbox.retain(|promised| promised.event_type == E::full_name());
    outbox.iter().map(Promised::decode).collect()
}

async fn versions(fixture: &Fixture) -> Vec<i64> {
    let outbox = fixture.outbox().await;
    outbox.iter().map(|promised| promised.version).collect()
}

async fn change_password(
    fixture: &Fixture,
    user: &User,
    (current, new): (&str, &str),
    request_id: &str,
) -> Result<(), Status> {
    let request = ChangePasswordRequest {
        current_password: current.to_owned(),
        new_password: new.to_owned(),
        request_id: request_id.to_owned(),
    };
    let request = fixture.by(&user.user_id, request);
    fixture.client().change_password(request).await.map(drop)
}

async fn move_to(fixture: &Fixture, user: &User, email: &str) {
    let request = UpdateUserRequest {
        user: Some(User {
            user_id: user.user_id.clone(),
            email: email.to_owned(),
            ..User::default()
        }),
        current_password: PASSWORD.to_owned(),
        ..UpdateUserRequest::default()
    };
    let request = fixture.by(&user.user_id, request);
    fixture.client().update_user(request).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn another_password_is_one_event_by_change_and_by_reset(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let (id, words) = (new_id(), (PASSWORD, "another password"));
    for _ in 0..2 {
        change_password(&fixture, &user, words, &id).await.unwrap();
    }
    let wrong = (PASSWORD, "a third password");
    let refused = change_password(&fixture, &user, wrong, "")
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "PASSWORD_WRONG");
    assert_eq!(all::<UserPasswordChanged>(&fixture).await.len(), 1);

    let request = RequestPasswordResetRequest {
        email: user.email.clone(),
        ..RequestPasswordResetRequest::default()
    };
    fixture
        .client()
        .request_password_reset(request)
        .await
        .unwrap();
    let request = ResetPasswordRequest {
        code: fixture.reset_code(&user.user_id).await,
        new_password: PASSWORD.to_owned(),
        ..ResetPasswordRequest::default()
    };
    fixture.client().reset_password(request).await.unwrap();
    let changes = all::<UserPasswordChanged>(&fixture).await;
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(|it| it.user_id == user.user_id));
    assert!(changes.iter().all(|it| it.change_time.is_some()));
    assert_eq!(versions(&fixture).await, [1, 2, 3]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_account_changes_its_password_only_so_often(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    for _ in 0..8 {
        let words = (PASSWORD, PASSWORD);
        change_password(&fixture, &user, words, "").await.unwrap();
    }
    let words = (PASSWORD, "another password");
    let refused = change_password(&fixture, &user, words, "")
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "TOO_MANY_ATTEMPTS");
    assert_eq!(all::<UserPasswordChanged>(&fixture).await.len(), 8);
    fixture.log_in(&user.email, PASSWORD).await.unwrap();
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_has_the_address_before_only_if_it_changed(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    fixture.verify(&user.user_id).await;
    move_to(&fixture, &user, "ada@example.org").await;
    fixture.verify(&user.user_id).await;
    let updates = all::<UserUpdated>(&fixture).await;
    let before: Vec<&str> = updates
        .iter()
        .map(|it| it.previous_email.as_str())
        .collect();
    assert_eq!(before, ["", "ada@example.com", ""]);
    assert_eq!(updates[1].email, "ada@example.org");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn another_role_is_one_event_after_that_of_the_address(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let request = CreateUserRequest {
        email: ADMIN.to_owned(),
        ..ada()
    };
    let user = fixture.create(request).await.unwrap();
    assert_eq!(all::<UserRoleChanged>(&fixture).await, []);
    let verified = fixture.verify(&user.user_id).await;
    assert_eq!(verified.etag, "\"3\"");
    move_to(&fixture, &user, "ada@example.com").await;
    fixture.verify(&user.user_id).await;
    let changes = all::<UserRoleChanged>(&fixture).await;
    let roles: Vec<_> = changes
        .iter()
        .map(|it| (it.previous_role(), it.role()))
        .collect();
    let (plain, admin) = (UserRole::User, UserRole::Admin);
    assert_eq!(roles, [(plain, admin), (admin, plain)]);
    assert_eq!(versions(&fixture).await, [1, 2, 3, 4, 5, 6]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_start_with_other_admins_announces_their_roles_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    fixture.verify(&user.user_id).await;
    let (plain, admin) = (UserRole::User, UserRole::Admin);
    let mut expected = Vec::new();
    for (admins, change) in [
        (&["ada@example.com"][..], Some((plain, admin))),
        (&["ada@example.com"], None),
        (&[], Some((admin, plain))),
    ] {
        fixture = fixture.restart_with_admins(admins).await;
        expected.extend(change);
        eventually_is("the roles are announced", expected.clone(), async || {
            let changes = all::<UserRoleChanged>(&fixture).await;
            let roles = changes.iter().map(|it| (it.previous_role(), it.role()));
            roles.collect()
        })
        .await;
    }
    assert_eq!(versions(&fixture).await, [1, 2, 3, 4]);
    fixture.stop().await;
}
