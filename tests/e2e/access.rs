//! The access rules of every method of every service: S-01 of SECURITY.md.

use std::collections::{BTreeMap, BTreeSet};

use angarium::registry::SERVICES;
use contracts::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use rstest::rstest;
use runtime::auth::{Access, Rules};
use service::OPS_RULES;
use testkit::{Stack, Tokens, call_unchecked, reason};
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::system::Running;

/// Each service's rules, by the full name of its gRPC service.
fn rules() -> BTreeMap<&'static str, Rules> {
    let services = SERVICES.iter().map(|service| &service.definition);
    services
        .map(|service| (service.grpc_service, service.rules))
        .collect()
}

/// The methods of each of our services, from the descriptor set.
fn methods() -> BTreeMap<String, BTreeSet<String>> {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let ours = set
        .file
        .iter()
        .filter(|file| file.package().starts_with("angarium."));
    let services = ours.flat_map(|file| {
        let services = file.service.iter();
        services.map(|service| (format!("{}.{}", file.package(), service.name()), service))
    });
    services
        .map(|(name, service)| {
            let methods = service.method.iter();
            let methods = methods.map(|method| format!("{name}/{}", method.name()));
            (name.clone(), methods.collect())
        })
        .collect()
}

#[test]
fn every_method_that_is_described_has_a_rule_and_no_other() {
    let of_all = ("angarium.ops.v1.OpsService", OPS_RULES);
    let ruled: BTreeMap<String, BTreeSet<String>> = rules()
        .into_iter()
        .chain([of_all])
        .map(|(service, rules)| {
            let methods = rules.iter().map(|(method, _)| (*method).to_owned());
            (service.to_owned(), methods.collect())
        })
        .collect();
    assert_eq!(ruled, methods());
}

#[rstest]
#[tokio::test]
async fn private_methods_need_a_valid_token_and_the_right_role(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let user_id = Uuid::now_v7();
    let tokens = [
        (None, "UNAUTHENTICATED"),
        (Some("bad".to_owned()), "UNAUTHENTICATED"),
        (Some(Tokens::unknown().older(user_id)), "UNAUTHENTICATED"),
        (Some(system.tokens.expired(user_id)), "TOKEN_EXPIRED"),
    ];
    let mut walked = 0;
    for (service, rules) in rules() {
        let channel: Channel = system.channel(service);
        for (method, access) in rules.iter().chain(OPS_RULES) {
            walked += 1;
            for (token, expected) in &tokens {
                let answer = call_unchecked(channel.clone(), method, token.as_deref()).await;
                let refused = answer.expect_err(method);
                if *access == Access::Public {
                    // Admitted, and then refused because an empty request is invalid.
                    assert_eq!(
                        refused.code(),
                        Code::InvalidArgument,
                        "{method}: {refused:?}"
                    );
                } else {
                    assert_eq!(
                        refused.code(),
                        Code::Unauthenticated,
                        "{method}: {refused:?}"
                    );
                    assert_eq!(reason(&refused), *expected, "{method}");
                }
            }
            let too_low = match access {
                Access::Public | Access::Authenticated => vec![],
                Access::Admin => vec![system.tokens.user(user_id), system.tokens.operator()],
                Access::Operator => vec![system.tokens.user(user_id), system.tokens.admin()],
            };
            for token in too_low {
                let answer = call_unchecked(channel.clone(), method, Some(&token)).await;
                let denied = answer.expect_err(method);
                assert_eq!(denied.code(), Code::PermissionDenied, "{method}");
            }
        }
        // A method without a rule is not served.
        let method = format!("{service}/MadeUp");
        for token in [None, Some(system.tokens.admin())] {
            let answer = call_unchecked(channel.clone(), &method, token.as_deref()).await;
            assert_eq!(answer.expect_err(&method).code(), Code::Unimplemented);
        }
    }
    assert!(walked >= 17, "{walked}");
    system.stop().await;
}
