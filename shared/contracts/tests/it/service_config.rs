//! Clients can read the retry policy in `proto/service_config.json`, and it retries exactly the calls that are safe to
//! repeat.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::Value;

const SERVICE_CONFIG: &str = include_str!("../../../../proto/service_config.json");

fn service_config() -> Value {
    serde_json::from_str(SERVICE_CONFIG).unwrap()
}

/// The first entry applies to methods without one.
fn methods(config: &Value) -> Vec<&Value> {
    let all = config["methodConfig"].as_array().unwrap();
    all.iter().skip(1).collect()
}

#[test]
fn every_call_waits_for_a_connection_and_no_other_default_holds() {
    let config = service_config();
    let default = serde_json::json!({ "name": [{}], "waitForReady": true });
    assert_eq!(config["methodConfig"][0], default);
    for method in methods(&config) {
        assert_eq!(method["waitForReady"], true);
    }
}

/// A read, or a write with a `request_id`.
fn is_safe_to_repeat(method: &MethodDescriptor) -> bool {
    let is_read = ["Get", "List", "Watch"]
        .iter()
        .any(|verb| method.name().starts_with(verb));
    is_read || method.input().get_field_by_name("request_id").is_some()
}

#[test]
fn every_method_that_is_safe_to_repeat_is_named_and_no_other() {
    let pool = DescriptorPool::decode(contracts::FILE_DESCRIPTOR_SET).unwrap();
    let safe: BTreeSet<String> = pool
        .services()
        .filter(|service| service.package_name().starts_with("angarium."))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter(is_safe_to_repeat)
        .map(|method| method.full_name().to_owned())
        .collect();
    let config = service_config();
    let named: BTreeSet<String> = methods(&config)
        .iter()
        .flat_map(|method| method["name"].as_array().unwrap())
        .map(|name| {
            let part = |key: &str| name[key].as_str().unwrap().to_owned();
            format!("{}.{}", part("service"), part("method"))
        })
        .collect();
    assert_eq!(named, safe);
}

#[test]
fn only_what_says_that_it_may_be_repeated_is_repeated() {
    for method in methods(&service_config()) {
        let policy = &method["retryPolicy"];
        assert_eq!(
            policy["retryableStatusCodes"],
            serde_json::json!(["UNAVAILABLE"])
        );
    }
}

/// gRFC A6: a client refuses the whole configuration otherwise.
#[test]
fn the_policy_is_one_that_clients_accept() {
    let config = service_config();
    let seconds = |value: &Value| -> f64 {
        let text = value.as_str().unwrap();
        text.strip_suffix('s').unwrap().parse().unwrap()
    };
    for method in methods(&config) {
        let policy = &method["retryPolicy"];
        assert!((2..=5).contains(&policy["maxAttempts"].as_u64().unwrap()));
        let first = seconds(&policy["initialBackoff"]);
        assert!(first > 0.0 && first <= seconds(&policy["maxBackoff"]));
        assert!(policy["backoffMultiplier"].as_f64().unwrap() > 0.0);
    }
    let throttling = &config["retryThrottling"];
    assert!((1..=1000).contains(&throttling["maxTokens"].as_u64().unwrap()));
    assert!(throttling["tokenRatio"].as_f64().unwrap() > 0.0);
}
