//! Writes proto/service_config.json, the gRPC service config for clients: it retries the calls that are safe to repeat.
//! These are reads, and writes with a `request_id`, which have one effect. A client never repeats other calls by
//! itself.

use prost_reflect::{DescriptorPool, MethodDescriptor};

const READS: [&str; 3] = ["Get", "List", "Watch"];

const HEAD: &str = r#"{
  "loadBalancingConfig": [{ "round_robin": {} }],
  "healthCheckConfig": { "serviceName": "" },
  "methodConfig": [
    {
      "name": [{}],
      "waitForReady": true
    },
    {
      "name": [
"#;

const TAIL: &str = r#"
      ],
      "waitForReady": true,
      "retryPolicy": {
        "maxAttempts": 5,
        "initialBackoff": "0.2s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]
      }
    }
  ],
  "retryThrottling": {
    "maxTokens": 1000,
    "tokenRatio": 1
  }
}
"#;

pub(crate) fn write(pool: &DescriptorPool) -> String {
    let mut names = Vec::new();
    for service in pool
        .services()
        .filter(|service| service.package_name().starts_with("angarium."))
    {
        for method in service.methods().filter(is_safe_to_repeat) {
            names.push(format!(
                r#"        {{ "service": "{}", "method": "{}" }}"#,
                service.full_name(),
                method.name()
            ));
        }
    }
    names.sort();
    format!("{HEAD}{}{TAIL}", names.join(",\n"))
}

fn is_safe_to_repeat(method: &MethodDescriptor) -> bool {
    let is_read = READS.iter().any(|verb| method.name().starts_with(verb));
    is_read || method.input().get_field_by_name("request_id").is_some()
}
