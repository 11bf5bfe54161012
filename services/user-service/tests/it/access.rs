//! The access rules of every method: S-01 and S-02 of SECURITY.md for this service.

use std::collections::BTreeSet;

use contracts::FILE_DESCRIPTOR_SET;
use contracts::user::v1::{DeleteUserRequest, GetUserRequest, UpdateUserRequest, User};
use prost::Message as _;
use rstest::rstest;
use runtime::auth::Access;
use testkit::{StoreKind, Tokens, authorized, call_unchecked, reason};
use tonic::{Code, Request, Status};
use user_service::access::RULES;
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::{ada, bob, new_id};

/// From the descriptor set.
fn methods() -> BTreeSet<String> {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let ours = set
        .file
        .iter()
        .filter(|file| file.package() == "angarium.user.v1");
    let services = ours.flat_map(|file| &file.service);
    services
        .flat_map(|service| {
            let name = format!("angarium.user.v1.{}", service.name());
            let methods = service.method.iter();
            methods.map(move |method| format!("{name}/{}", method.name()))
        })
        .collect()
}

#[test]
fn every_method_of_the_contract_has_a_rule_and_no_other() {
    let ruled: Vec<String> = RULES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let distinct: BTreeSet<String> = ruled.iter().cloned().collect();
    assert_eq!(ruled.len(), distinct.len());
    assert_eq!(distinct, methods());
}

#[test]
fn the_public_methods_are_exactly_those_listed_here() {
    let public: BTreeSet<&str> = RULES
        .iter()
        .filter(|(_, access)| *access == Access::Public)
        .map(|(name, _)| name.rsplit_once('/').unwrap().1)
        .collect();
    let expected = [
        "Authenticate",
        "CreateUser",
        "RefreshToken",
        "RequestPasswordReset",
        "ResetPassword",
        "RevokeToken",
        "VerifyEmail",
    ];
    assert_eq!(public, expected.into());
}

#[rstest]
#[tokio::test]
async fn what_is_not_public_is_refused_without_a_good_token(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = Uuid::now_v7();
    let expired = fixture.tokens.expired(user_id);
    let of_unknown_key = Tokens::unknown().user(user_id);
    for (method, access) in RULES {
        let call = async |token: Option<&str>| {
            let answer = call_unchecked(fixture.channel(), method, token).await;
            answer.err().map(|status| (status.code(), reason(&status)))
        };
        let refused = |reason: &str| Some((Code::Unauthenticated, reason.to_owned()));
        match access {
            // Admitted; an empty request is invalid.
            Access::Public => {
                let (code, _) = call(None).await.unwrap();
                assert_eq!(code, Code::InvalidArgument, "{method}");
            }
            Access::Authenticated | Access::Admin | Access::Operator => {
                assert_eq!(call(None).await, refused("UNAUTHENTICATED"), "{method}");
                let bad = call(Some("bad")).await;
                assert_eq!(bad, refused("UNAUTHENTICATED"), "{method}");
                let unknown = call(Some(&of_unknown_key)).await;
                assert_eq!(unknown, refused("UNAUTHENTICATED"), "{method}");
                let late = call(Some(&expired)).await;
                assert_eq!(late, refused("TOKEN_EXPIRED"), "{method}");
            }
        }
        if *access == Access::Admin {
            let denied = call(Some(&fixture.tokens.user(user_id))).await;
            let expected = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
            assert_eq!(denied, Some(expected), "{method}");
        }
    }
    fixture.stop().await;
}

/// The answer does not depend on what exists.
#[rstest]
#[tokio::test]
async fn another_users_data_is_denied_first_and_stays_unchanged(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let bob = fixture.create(bob()).await.unwrap();
    let ada = fixture.create(ada()).await.unwrap();
    for user_id in [bob.user_id.as_str(), &new_id(), "no id", ""] {
        let user_id = user_id.to_owned();
        let mut client = fixture.client();
        let answers: [Result<(), Status>; 3] = [
            client
                .get_user(as_ada(
                    &fixture,
                    &ada,
                    GetUserRequest {
                        user_id: user_id.clone(),
                    },
                ))
                .await
                .map(drop),
            client
                .update_user(as_ada(&fixture, &ada, renaming(&user_id)))
                .await
                .map(drop),
            client
                .delete_user(as_ada(
                    &fixture,
                    &ada,
                    DeleteUserRequest {
                        user_id,
                        etag: "x".repeat(1000),
                        request_id: "no UUID".to_owned(),
                        ..DeleteUserRequest::default()
                    },
                ))
                .await
                .map(drop),
        ];
        for answer in answers {
            let denied = answer.unwrap_err();
            assert_eq!(denied.code(), Code::PermissionDenied, "{denied:?}");
            assert_eq!(reason(&denied), "PERMISSION_DENIED");
            assert_eq!(denied.message(), "permission denied, or it does not exist");
        }
    }
    let request = GetUserRequest {
        user_id: bob.user_id.clone(),
    };
    let request = fixture.by(&bob.user_id, request);
    let found = fixture
        .client()
        .get_user(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.user, Some(bob));
    fixture.stop().await;
}

fn as_ada<T>(fixture: &Fixture, ada: &User, message: T) -> Request<T> {
    authorized(&fixture.tokens.user(ada.user_id.parse().unwrap()), message)
}

fn renaming(user_id: &str) -> UpdateUserRequest {
    UpdateUserRequest {
        user: Some(User {
            user_id: user_id.to_owned(),
            display_name: "Mallory".to_owned(),
            ..User::default()
        }),
        ..UpdateUserRequest::default()
    }
}
