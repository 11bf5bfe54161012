//! Registration: answers, rows, events and refusals.

use contracts::user::v1::{CreateUserRequest, UserCreated};
use futures::future::join_all;
use prost::Message as _;
use rstest::rstest;
use testkit::{Stack, StoreKind, reason, violated_fields};
use tonic::Code;

use crate::fixture::Fixture;
use crate::samples::{PASSWORD, ada};

#[rstest]
#[tokio::test]
async fn a_user_is_answered_as_given_without_the_space_around_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture
        .create(CreateUserRequest {
            email: "  Ada@Example.COM ".to_owned(),
            display_name: " Ada  Lovelace\n".to_owned(),
            ..ada()
        })
        .await
        .unwrap();
    assert_eq!(user.email, "Ada@Example.COM");
    assert_eq!(user.display_name, "Ada  Lovelace");
    assert!(user.create_time.is_some());
    assert_eq!(user.create_time, user.update_time);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn one_event_names_the_user_and_the_call(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let fixture = Fixture::on_stack(stack).await;
    let user = fixture.create_as("cart-42", ada()).await;

    let outbox = fixture.outbox().await;
    let [promised] = outbox.as_slice() else {
        panic!("not one event: {outbox:?}");
    };
    assert_eq!(promised.event_type, "angarium.user.v1.UserCreated");
    assert_eq!(promised.aggregate_id, user.user_id);
    assert_eq!(promised.version, 1);
    assert_eq!(promised.correlation_id, "cart-42");
    let expected = UserCreated {
        user_id: user.user_id,
        email: user.email,
        display_name: user.display_name,
        create_time: user.create_time,
    };
    assert_eq!(promised.decode::<UserCreated>(), expected);

    let message = fixture.receive().await;
    assert_eq!(message.exchange, "user_events");
    assert_eq!(message.routing_key, "user.created");
    assert_eq!(message.app_id.as_deref(), Some("user-service"));
    assert_eq!(message.correlation_id.as_deref(), Some("cart-42"));
    assert_eq!(UserCreated::decode(message.body).unwrap(), expected);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn every_invalid_field_is_named_at_once_and_nothing_is_written(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let empty = CreateUserRequest::default();
    let wrong = CreateUserRequest {
        email: "ada at example.com".to_owned(),
        password: "1234567".to_owned(),
        display_name: "Ada\0".repeat(2),
        ..CreateUserRequest::default()
    };
    let too_long = CreateUserRequest {
        email: format!("{}@example.com", "a".repeat(300)),
        password: "p".repeat(129),
        display_name: "n".repeat(101),
        ..CreateUserRequest::default()
    };
    for request in [empty, wrong, too_long] {
        let refused = fixture.create(request).await.unwrap_err();
        let mut fields = violated_fields(&refused);
        fields.sort();
        assert_eq!(fields, ["display_name", "email", "password"]);
        assert_eq!(reason(&refused), "VALIDATION_FAILED");
    }
    let one_wrong = CreateUserRequest {
        display_name: " ".to_owned(),
        ..ada()
    };
    let refused = fixture.create(one_wrong).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["display_name"]);

    assert_eq!(fixture.count_users().await, 0);
    assert_eq!(fixture.outbox().await, []);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_address_is_taken_in_any_case_and_form(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    for email in ["ada@example.com", " ADA@Example.Com ", "ａｄａ@example.com"] {
        let again = CreateUserRequest {
            email: email.to_owned(),
            ..ada()
        };
        let refused = fixture.create(again).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists, "{email}");
        assert_eq!(reason(&refused), "EMAIL_TAKEN");
        // Callers log answers.
        let answer = format!("{} {:?}", refused.message(), refused.details());
        assert!(!answer.to_lowercase().contains(email.trim()), "{answer}");
    }
    let other = CreateUserRequest {
        email: "ada@example.org".to_owned(),
        ..ada()
    };
    fixture.create(other).await.unwrap();
    assert_eq!(fixture.count_users().await, 2);
    assert_eq!(fixture.outbox().await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn of_fifty_who_want_one_address_at_once_exactly_one_gets_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let spelled = |index: usize| {
        let letters = "ada@example.com".char_indices();
        // Another pattern of capitals for each.
        let cased = letters.map(|(at, letter)| match (index >> (at % 6)) & 1 {
            1 => letter.to_ascii_uppercase(),
            _ => letter,
        });
        cased.collect::<String>()
    };
    let requests: Vec<CreateUserRequest> = (0..50)
        .map(|index| CreateUserRequest {
            email: spelled(index),
            ..ada()
        })
        .collect();
    let calls = requests
        .iter()
        .map(|request| fixture.create_with_patience(request));
    let (registered, refused): (Vec<_>, Vec<_>) =
        join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!(registered.len(), 1, "{refused:?}");
    for refused in refused {
        assert_eq!(reason(&refused.unwrap_err()), "EMAIL_TAKEN");
    }
    assert_eq!(fixture.count_users().await, 1);
    let user = registered.into_iter().next().unwrap().unwrap();
    let outbox = fixture.outbox().await;
    assert_eq!(outbox.len(), 1);
    assert_eq!(outbox[0].aggregate_id, user.user_id);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn fifty_equal_calls_register_one_user_and_all_get_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let request = CreateUserRequest {
        request_id: "01890a5d-ac96-474b-8cce-b302099a8057".to_owned(),
        ..ada()
    };
    let answers = join_all((0..50).map(|_| fixture.create_with_patience(&request))).await;
    let first = answers[0].as_ref().unwrap();
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap(), first);
    }
    assert_eq!(fixture.count_users().await, 1);
    assert_eq!(fixture.outbox().await.len(), 1);

    for other in [
        CreateUserRequest {
            display_name: "Ada King".to_owned(),
            ..request.clone()
        },
        CreateUserRequest {
            password: "another password".to_owned(),
            ..request
        },
    ] {
        let refused = fixture.create(other).await.unwrap_err();
        assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn where_the_event_cannot_be_kept_there_is_no_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture
        .execute("ALTER TABLE angarium_outbox RENAME TO hidden")
        .await;
    let failed = fixture.create(ada()).await.unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert_eq!(fixture.count_users().await, 0);

    fixture
        .execute("ALTER TABLE hidden RENAME TO angarium_outbox")
        .await;
    fixture.create(ada()).await.unwrap();
    assert_eq!(fixture.outbox().await.len(), 1);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_looks_like_sql_is_a_name_and_a_password_as_any_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(ada()).await.unwrap();
    let request = CreateUserRequest {
        email: "o'brien--$1@example.com".to_owned(),
        password: "' OR '1' = '1".to_owned(),
        display_name: "Robert'); DROP TABLE users;--".to_owned(),
        ..CreateUserRequest::default()
    };
    let user = fixture.create(request.clone()).await.unwrap();
    assert_eq!(user.display_name, request.display_name);
    let session = fixture.log_in(&request.email, &request.password).await;
    assert_eq!(session.unwrap().user, Some(user));
    for (email, password) in [
        ("ada@example.com", request.password.as_str()),
        ("' OR '1' = '1' --", PASSWORD),
        ("ada@example.com' --", "any password"),
    ] {
        let refused = fixture.log_in(email, password).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{email}");
    }
    assert_eq!(fixture.count_users().await, 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_domain_in_unicode_and_in_ascii_is_one_address(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let named = |email: &str| CreateUserRequest {
        email: email.to_owned(),
        ..ada()
    };
    fixture.create(named("a@bücher.example")).await.unwrap();
    let again = fixture.create(named("a@xn--bcher-kva.example")).await;
    assert_eq!(reason(&again.unwrap_err()), "EMAIL_TAKEN");
    fixture
        .log_in("a@xn--bcher-kva.example", PASSWORD)
        .await
        .unwrap();
    fixture.log_in("A@BÜCHER.example", PASSWORD).await.unwrap();
    for email in ["ada@10.0.0.5", "ada@1.2", "ada@example.123"] {
        let refused = fixture.create(named(email)).await.unwrap_err();
        assert_eq!(violated_fields(&refused), ["email"], "{email}");
    }
    for display_name in [
        "\u{3164}",
        "\u{200b}",
        "Ada \u{202e}ecalevoL",
        "Visit evil.example",
    ] {
        let request = CreateUserRequest {
            display_name: display_name.to_owned(),
            ..named("other@example.com")
        };
        let refused = fixture.create(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(
            violated_fields(&refused),
            ["display_name"],
            "{display_name:?}"
        );
    }
    fixture.stop().await;
}
