//! Changes of an account, and its deletion.

use contracts::user::v1::{
    AuthenticateResponse, ChangePasswordRequest, CreateUserRequest, DeleteUserRequest,
    GetUserRequest, RequestPasswordResetRequest, ResetPasswordRequest, UpdateUserRequest, User,
    UserDeleted, UserRole, UserUpdated,
};
use rstest::rstest;
use testkit::{StoreKind, authorized, reason, violated_fields};
use tonic::{Code, Request, Status};

use crate::fixture::Fixture;
use crate::samples::{ADMIN, PASSWORD, ada, bob};

async fn update(fixture: &Fixture, by: &str, request: UpdateUserRequest) -> Result<User, Status> {
    let request = fixture.by(by, request);
    let answer = fixture.client().update_user(request).await?;
    Ok(answer.into_inner().user.unwrap())
}

fn to(user: &User, email: &str, display_name: &str) -> UpdateUserRequest {
    UpdateUserRequest {
        user: Some(User {
            user_id: user.user_id.clone(),
            email: email.to_owned(),
            display_name: display_name.to_owned(),
            ..User::default()
        }),
        ..UpdateUserRequest::default()
    }
}

fn masked(request: UpdateUserRequest, paths: &[&str]) -> UpdateUserRequest {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    UpdateUserRequest {
        update_mask: Some(prost_types::FieldMask { paths }),
        ..request
    }
}

#[rstest]
#[tokio::test]
async fn a_name_is_changed_with_one_event_and_the_next_version(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    assert_eq!(user.etag, "\"1\"");
    let changed = update(&fixture, &user.user_id, to(&user, "", " Countess "))
        .await
        .unwrap();
    assert_eq!(changed.display_name, "Countess");
    assert_eq!(
        (changed.etag.as_str(), &changed.email),
        ("\"2\"", &user.email)
    );
    assert_eq!(changed.create_time, user.create_time);

    let outbox = fixture.outbox().await;
    assert_eq!((outbox.len(), outbox[1].version), (2, 2));
    let event: UserUpdated = outbox[1].decode();
    assert_eq!(event.display_name, "Countess");
    assert_eq!(event.email, user.email);
    assert_eq!(event.update_time, changed.update_time);

    let same = update(&fixture, &user.user_id, to(&user, "", "Countess")).await;
    assert_eq!(same.unwrap(), changed);
    assert_eq!(fixture.outbox().await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn only_what_the_mask_names_is_changed_and_only_what_was_read(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let request = masked(
        to(&user, "other@example.com", "Countess"),
        &["display_name"],
    );
    let changed = update(&fixture, &user.user_id, request).await.unwrap();
    assert_eq!(
        (changed.email.as_str(), changed.display_name.as_str()),
        ("ada@example.com", "Countess")
    );

    let emptied = masked(to(&user, "", ""), &["display_name"]);
    let refused = update(&fixture, &user.user_id, emptied).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["user.display_name"]);
    for paths in [
        &["user_id"][..],
        &["role", "display_name"],
        &["*", "display_name"],
    ] {
        let request = masked(to(&user, "", "Mallory"), paths);
        let refused = update(&fixture, &user.user_id, request).await.unwrap_err();
        assert_eq!(violated_fields(&refused), ["update_mask"], "{paths:?}");
    }

    let mut stale = to(&user, "", "Enchantress");
    stale.user.as_mut().unwrap().etag = user.etag.clone();
    let refused = update(&fixture, &user.user_id, stale).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::Aborted, "ETAG_MISMATCH".to_owned())
    );
    let mut fresh = to(&user, "", "Enchantress");
    fresh.user.as_mut().unwrap().etag = changed.etag;
    let changed = update(&fixture, &user.user_id, fresh).await.unwrap();
    assert_eq!(
        (changed.display_name.as_str(), changed.etag.as_str()),
        ("Enchantress", "\"3\"")
    );
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn another_address_takes_the_password_and_has_to_be_verified(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    fixture.verify(&user.user_id).await;
    let moving = |password: &str| UpdateUserRequest {
        current_password: password.to_owned(),
        ..to(&user, "ada@example.org", "")
    };
    let refused = update(&fixture, &user.user_id, moving(""))
        .await
        .unwrap_err();
    assert_eq!(violated_fields(&refused), ["current_password"]);
    let wrong = moving("another password");
    let refused = update(&fixture, &user.user_id, wrong).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, "PASSWORD_WRONG".to_owned())
    );
    let before = fixture.verification_code(&user.user_id).await;
    let moved = update(&fixture, &user.user_id, moving(PASSWORD))
        .await
        .unwrap();
    assert_eq!(moved.email, "ada@example.org");
    assert!(!moved.email_verified);
    assert_ne!(fixture.verification_code(&user.user_id).await, before);
    assert!(fixture.verify(&user.user_id).await.email_verified);
    assert!(fixture.log_in("ada@example.com", PASSWORD).await.is_err());
    assert!(fixture.log_in("ada@example.org", PASSWORD).await.is_ok());

    // Unchanged fields may be sent back.
    let same = to(&user, "ada@example.org", "Countess");
    let same = update(&fixture, &user.user_id, same).await.unwrap();
    assert!(same.email_verified);

    fixture.create(bob()).await.unwrap();
    let taken = UpdateUserRequest {
        current_password: PASSWORD.to_owned(),
        ..to(&user, "BOB@example.com", "")
    };
    let refused = update(&fixture, &user.user_id, taken).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::AlreadyExists, "EMAIL_TAKEN".to_owned())
    );
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn another_spelling_takes_password_and_verification(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    for spelling in ["ADA@example.com", "\u{ff41}da@example.com"] {
        let fixture = Fixture::new(store).await;
        let user = fixture.create(ada()).await.unwrap();
        fixture.verify(&user.user_id).await;
        let without = update(&fixture, &user.user_id, to(&user, spelling, "")).await;
        let refused = without.unwrap_err();
        assert_eq!(
            violated_fields(&refused),
            ["current_password"],
            "{spelling}"
        );
        let code = fixture.verification_code(&user.user_id).await;
        let with = UpdateUserRequest {
            current_password: PASSWORD.to_owned(),
            ..to(&user, spelling, "")
        };
        let moved = update(&fixture, &user.user_id, with).await.unwrap();
        assert_eq!(
            (moved.email.as_str(), moved.email_verified),
            (spelling, false)
        );
        assert_ne!(fixture.verification_code(&user.user_id).await, code);
        fixture.stop().await;
    }
}

#[rstest]
#[tokio::test]
async fn an_admin_with_another_spelling_is_no_admin(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let request = CreateUserRequest {
        email: "\u{ff52}oot@example.com".to_owned(),
        ..ada()
    };
    let user = fixture.create(request).await.unwrap();
    assert_eq!(fixture.verify(&user.user_id).await.role(), UserRole::User);
    let moving = |email: &str| UpdateUserRequest {
        current_password: PASSWORD.to_owned(),
        ..to(&user, email, "")
    };
    update(&fixture, &user.user_id, moving(ADMIN))
        .await
        .unwrap();
    assert_eq!(fixture.verify(&user.user_id).await.role(), UserRole::Admin);
    let moved = update(&fixture, &user.user_id, moving("root@example.com"))
        .await
        .unwrap();
    assert_eq!(moved.role(), UserRole::User);
    assert_eq!(fixture.verify(&user.user_id).await.role(), UserRole::Admin);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn another_password_ends_every_session(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let session = fixture.log_in(&user.email, PASSWORD).await.unwrap();
    let change = async |current: &str, new: &str| {
        let request = fixture.by(
            &user.user_id,
            ChangePasswordRequest {
                current_password: current.to_owned(),
                new_password: new.to_owned(),
                ..ChangePasswordRequest::default()
            },
        );
        fixture.client().change_password(request).await
    };
    let refused = change("wrong", "another password").await.unwrap_err();
    assert_eq!(reason(&refused), "PASSWORD_WRONG");
    let refused = change(PASSWORD, "short").await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["new_password"]);
    assert!(fixture.refresh(&session).await.is_ok());

    let session = fixture.log_in(&user.email, PASSWORD).await.unwrap();
    change(PASSWORD, "another password").await.unwrap();
    assert!(fixture.refresh(&session).await.is_err());
    assert!(fixture.log_in(&user.email, PASSWORD).await.is_err());
    assert!(
        fixture
            .log_in(&user.email, "another password")
            .await
            .is_ok()
    );
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_deleted_account_is_erased_and_published(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let session = fixture.log_in(&user.email, PASSWORD).await.unwrap();
    let delete = async |etag: &str| {
        let request = DeleteUserRequest {
            etag: etag.to_owned(),
            ..deletion_of(&user, PASSWORD)
        };
        fixture
            .client()
            .delete_user(within(&session, request))
            .await
    };
    let refused = delete("\"7\"").await.unwrap_err();
    assert_eq!(reason(&refused), "ETAG_MISMATCH");
    delete(&user.etag).await.unwrap();

    let outbox = fixture.outbox().await;
    assert_eq!((outbox.len(), outbox[1].version), (2, 2));
    assert_eq!(outbox[1].decode::<UserDeleted>().user_id, user.user_id);
    for table in [
        "users",
        "session",
        "refresh_token",
        "mail_code",
        "known_place",
        "announced_role",
    ] {
        let rows = fixture
            .count(&format!("SELECT count(*) FROM {table}"))
            .await;
        assert_eq!(rows, 0, "{table}");
    }
    assert!(fixture.refresh(&session).await.is_err());
    assert!(fixture.log_in(&user.email, PASSWORD).await.is_err());
    assert_eq!(delete("").await.unwrap_err().code(), Code::PermissionDenied);
    let request = fixture.by_admin(GetUserRequest {
        user_id: user.user_id.clone(),
    });
    let gone = fixture.client().get_user(request).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    // Another user can take the address, and gets a new id.
    let again = fixture.create(ada()).await.unwrap();
    assert_ne!(again.user_id, user.user_id);
    fixture.stop().await;
}

fn deletion_of(user: &User, current_password: &str) -> DeleteUserRequest {
    DeleteUserRequest {
        user_id: user.user_id.clone(),
        current_password: current_password.to_owned(),
        ..DeleteUserRequest::default()
    }
}

fn within<T>(session: &AuthenticateResponse, message: T) -> Request<T> {
    authorized(&session.tokens.as_ref().unwrap().access_token, message)
}

#[rstest]
#[tokio::test]
async fn a_deletion_takes_the_password_and_a_session_that_exists(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let old = fixture.log_in(&user.email, PASSWORD).await.unwrap();
    fixture
        .client()
        .request_password_reset(RequestPasswordResetRequest {
            email: user.email.clone(),
            ..RequestPasswordResetRequest::default()
        })
        .await
        .unwrap();
    let reset = ResetPasswordRequest {
        code: fixture.reset_code(&user.user_id).await,
        new_password: "another password".to_owned(),
        ..ResetPasswordRequest::default()
    };
    fixture.client().reset_password(reset).await.unwrap();
    let session = fixture
        .log_in(&user.email, "another password")
        .await
        .unwrap();
    let delete = async |request: Request<DeleteUserRequest>| {
        let refused = fixture.client().delete_user(request).await.unwrap_err();
        (refused.code(), reason(&refused))
    };

    let ended = (Code::Unauthenticated, "SESSION_ENDED".to_owned());
    let by_the_old = within(&old, deletion_of(&user, "another password"));
    assert_eq!(delete(by_the_old).await, ended);
    // As the previous release issued it.
    let without = fixture.by(&user.user_id, deletion_of(&user, "another password"));
    assert_eq!(delete(without).await, ended);
    let wrong = within(&session, deletion_of(&user, PASSWORD));
    let expected = (Code::FailedPrecondition, "PASSWORD_WRONG".to_owned());
    assert_eq!(delete(wrong).await, expected);
    let missing = within(&session, deletion_of(&user, ""));
    let refused = fixture.client().delete_user(missing).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["current_password"]);
    assert_eq!(fixture.count_users().await, 1);

    let right = within(&session, deletion_of(&user, "another password"));
    fixture.client().delete_user(right).await.unwrap();
    assert_eq!(fixture.count_users().await, 0);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_admin_deletes_another_account_with_their_own_password(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(bob()).await.unwrap();
    let admin = CreateUserRequest {
        email: ADMIN.to_owned(),
        password: "the password of an admin".to_owned(),
        ..ada()
    };
    let admin = fixture.create(admin).await.unwrap();
    fixture.verify(&admin.user_id).await;
    let session = fixture.log_in(ADMIN, "the password of an admin").await;
    let session = session.unwrap();
    let theirs = within(&session, deletion_of(&user, PASSWORD));
    let refused = fixture.client().delete_user(theirs).await.unwrap_err();
    assert_eq!(reason(&refused), "PASSWORD_WRONG");
    let own = within(&session, deletion_of(&user, "the password of an admin"));
    fixture.client().delete_user(own).await.unwrap();
    assert_eq!(fixture.count_users().await, 1);
    fixture.stop().await;
}
