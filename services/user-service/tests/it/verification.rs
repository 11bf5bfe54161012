//! Verifying an address with the code from a mail.

use contracts::user::v1::user_service_server::UserService as _;
use contracts::user::v1::{
    CreateUserRequest, EmailVerificationRequested, RequestEmailVerificationRequest,
    RequestPasswordResetRequest, UpdateUserRequest, User, UserUpdated, VerifyEmailRequest,
};
use rstest::rstest;
use testkit::{StoreKind, reason, violated_fields};
use tonic::Code;

use crate::bench::{Bench, by, from};
use crate::codes;
use crate::fixture::Fixture;
use crate::samples::{PASSWORD, ada, bob};

fn with(code: &str) -> VerifyEmailRequest {
    VerifyEmailRequest {
        code: code.to_owned(),
        ..VerifyEmailRequest::default()
    }
}

#[rstest]
#[tokio::test]
async fn the_code_of_the_mail_verifies_the_address_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    assert!(!user.email_verified);
    let code = fixture.verification_code(&user.user_id).await;
    let written = code.to_lowercase().replace('-', " ");
    let answer = fixture.client().verify_email(with(&written)).await.unwrap();
    let verified = answer.into_inner().user.unwrap();
    assert!(verified.email_verified);
    assert_eq!(verified.etag, "\"2\"");
    let outbox = fixture.outbox().await;
    assert_eq!((outbox.len(), outbox[1].version), (2, 2));
    assert_eq!(outbox[1].decode::<UserUpdated>().user_id, user.user_id);

    for code in [code.as_str(), "00000-00000-00000-00000-00000", "no code"] {
        let refused = fixture.client().verify_email(with(code)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(reason(&refused), "CODE_INVALID");
    }
    let refused = fixture.client().verify_email(with("")).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["code"]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn neither_the_event_nor_the_database_holds_a_code(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let code = fixture.verification_code(&user.user_id).await;
    let plain = code.replace('-', "");
    for promised in testkit::outbox(&fixture.db).await {
        for form in [code.as_bytes(), plain.as_bytes()] {
            let holds = promised
                .payload
                .windows(form.len())
                .any(|bytes| bytes == form);
            assert!(!holds, "{}", promised.event_type);
        }
    }
    let kept = format!("SELECT count(*) FROM mail_code WHERE code_digest IN ('{plain}', '{code}')");
    assert_eq!(fixture.count(&kept).await, 0);
    let events = codes::all::<EmailVerificationRequested>(&fixture.db).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].email, "ada@example.com");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_code_ends_with_the_next_one_and_after_a_day(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    let created = bench.users.create_user(from("198.51.100.9", ada())).await;
    let user_id = created.unwrap().into_inner().user.unwrap().user_id;
    let code = async || codes::last::<EmailVerificationRequested>(&bench.db, &user_id).await;
    let again = async || {
        let request = by(&user_id, RequestEmailVerificationRequest::default());
        bench.users.request_email_verification(request).await
    };
    let verify = async |code: &str| {
        let request = from("198.51.100.9", with(code));
        bench.users.verify_email(request).await
    };
    let first = code().await;
    again().await.unwrap();
    let second = code().await;
    assert_eq!(reason(&verify(&first).await.unwrap_err()), "CODE_INVALID");
    bench.wait(24 * 3600);
    assert_eq!(reason(&verify(&second).await.unwrap_err()), "CODE_INVALID");
    again().await.unwrap();
    verify(&code().await).await.unwrap();
    let refused = again().await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "EMAIL_VERIFIED");
}

#[rstest]
#[tokio::test]
async fn mails_to_a_user_and_guesses_of_codes_are_limited(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    let created = bench.users.create_user(from("198.51.100.9", bob())).await;
    let user_id = created.unwrap().into_inner().user.unwrap().user_id;
    let again = async || {
        let request = by(&user_id, RequestEmailVerificationRequest::default());
        bench.users.request_email_verification(request).await
    };
    for _ in 0..3 {
        again().await.unwrap();
    }
    let refused = again().await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".to_owned())
    );
    bench.wait(3600);
    again().await.unwrap();

    for _ in 0..20 {
        let refused = bench
            .users
            .verify_email(from("203.0.113.7", with("a guess")))
            .await;
        assert_eq!(reason(&refused.unwrap_err()), "CODE_INVALID");
    }
    let refused = bench
        .users
        .verify_email(from("203.0.113.7", with("a guess")))
        .await;
    assert_eq!(reason(&refused.unwrap_err()), "TOO_MANY_ATTEMPTS");
}

#[rstest]
#[tokio::test]
async fn several_accounts_together_cannot_flood_an_address_with_mails(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    let mut accounts = Vec::new();
    for number in 0..6 {
        let request = CreateUserRequest {
            email: format!("mallory-{number}@example.com"),
            ..ada()
        };
        let created = bench.users.create_user(from("198.51.100.9", request)).await;
        accounts.push(created.unwrap().into_inner().user.unwrap().user_id);
    }
    let mails = async || {
        let mut mails = codes::all::<EmailVerificationRequested>(&bench.db).await;
        mails.retain(|mail| mail.email == "victim@example.com");
        mails.len()
    };
    let moves = async |user_id: &str, email: &str| {
        let request = UpdateUserRequest {
            user: Some(User {
                user_id: user_id.to_owned(),
                email: email.to_owned(),
                ..User::default()
            }),
            current_password: PASSWORD.to_owned(),
            ..UpdateUserRequest::default()
        };
        bench.users.update_user(by(user_id, request)).await
    };
    // Each account moves there and away again, so that the next one can.
    let (last, others) = accounts.split_last().unwrap();
    let mut refused = None;
    for (number, user_id) in others.iter().enumerate() {
        match moves(user_id, "victim@example.com").await {
            Ok(_) => {
                let away = format!("mallory-{number}@example.net");
                moves(user_id, &away).await.unwrap();
            }
            Err(status) => refused = Some(status),
        }
    }
    let refused = refused.unwrap();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".to_owned())
    );
    assert_eq!(mails().await, 4);
    // Nor by registering there.
    let request = CreateUserRequest {
        email: "victim@example.com".to_owned(),
        ..ada()
    };
    let registered = bench.users.create_user(from("198.51.100.9", request)).await;
    assert_eq!(reason(&registered.unwrap_err()), "TOO_MANY_ATTEMPTS");
    bench.wait(3600);
    moves(last, "victim@example.com").await.unwrap();
    assert_eq!(mails().await, 5);
}

#[rstest]
#[tokio::test]
async fn sub_addresses_cannot_flood_one_mailbox(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let bench = Bench::new(store).await;
    let mut registered = 0;
    for number in 0..30 {
        let request = CreateUserRequest {
            email: format!("mark+{number}@example.com"),
            ..bob()
        };
        let address = format!("203.0.113.{number}");
        match bench.users.create_user(from(&address, request)).await {
            Ok(_) => registered += 1,
            Err(refused) => assert_eq!(reason(&refused), "TOO_MANY_ATTEMPTS"),
        }
    }
    assert_eq!(registered, 4);
    let mails = codes::all::<EmailVerificationRequested>(&bench.db).await;
    assert_eq!(mails.len(), 4);
    for number in 0..4 {
        let request = RequestPasswordResetRequest {
            email: format!("mark+{number}@example.com"),
            ..RequestPasswordResetRequest::default()
        };
        let answer = bench
            .users
            .request_password_reset(from("203.0.113.7", request))
            .await;
        assert_eq!(answer.is_ok(), number < 3, "{number}");
    }
}
