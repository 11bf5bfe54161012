//! Decides whether a call reaches its handler.

use http::{HeaderMap, header};
use tonic::Status;

use super::{Access, Caller, Refusal, Role, Verifier};
use crate::status;

/// The access rules, by full method names such as `angarium.user.v1.UserService/GetUser`. Other methods are not served.
pub type Rules = &'static [(&'static str, Access)];

/// Supervisors and tools that probe a server have no token. These services show no secrets.
const ALWAYS_PUBLIC: [&str; 3] = [
    "grpc.health.v1.Health/",
    "grpc.reflection.v1.ServerReflection/",
    "grpc.reflection.v1alpha.ServerReflection/",
];

const ALWAYS_SERVED: [&str; 5] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/List",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Any other name is the caller's invention.
pub(crate) fn has_method(rules: &[Rules], method: &str) -> bool {
    let mut all = rules.iter().copied().flatten();
    ALWAYS_SERVED.contains(&method) || all.any(|(name, _)| *name == method)
}

/// The rules of a service, and the verifier of its tokens.
#[derive(Clone)]
pub struct Guard {
    rules: Vec<Rules>,
    verifier: Verifier,
}

#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: Status,
    /// Whether it counts as a failure of the service. Forged tokens must not cause an alert.
    pub(super) is_fault: bool,
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self {
            status,
            is_fault: true,
        }
    }
}

impl Guard {
    /// A guard with these rules.
    pub fn new(rules: Rules, verifier: Verifier) -> Self {
        Self {
            rules: vec![rules],
            verifier,
        }
    }

    /// Adds the rules of what every service serves.
    #[must_use]
    pub fn with(mut self, rules: Rules) -> Self {
        self.rules.push(rules);
        self
    }

    pub(crate) fn rules(&self) -> Vec<Rules> {
        self.rules.clone()
    }

    pub(super) async fn admit(
        &self,
        method: &str,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, Refused> {
        let Some(access) = self.access(method) else {
            return Err(status::unknown_method().into());
        };
        if access == Access::Public {
            return Ok(None);
        }
        let caller = match self.identify(headers).await {
            Ok(caller) => caller,
            Err(Refusal::KeyNotHeardOf) => {
                return Err(Refused {
                    status: status::key_unknown(),
                    is_fault: false,
                });
            }
            Err(refusal) => {
                tracing::warn!(target: "security", event = "token_refused", method, %refusal);
                let status = match refusal {
                    Refusal::Expired => status::token_expired(),
                    Refusal::Unavailable => status::database_unavailable(),
                    _ => status::unauthenticated(),
                };
                return Err(status.into());
            }
        };
        let is_too_low = match access {
            Access::Public | Access::Authenticated => false,
            Access::Admin => !caller.is_admin(),
            Access::Operator => caller.role != Role::Operator,
        };
        if is_too_low {
            tracing::warn!(target: "security", event = "role_too_low", method, caller = %caller.user_id);
            return Err(status::permission_denied().into());
        }
        Ok(Some(caller))
    }

    fn access(&self, method: &str) -> Option<Access> {
        if ALWAYS_PUBLIC.iter().any(|name| method.starts_with(name)) {
            return Some(Access::Public);
        }
        let mut rules = self.rules.iter().copied().flatten();
        let rule = rules.find(|(name, _)| *name == method);
        rule.map(|(_, access)| *access)
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        // With two headers, a proxy in front may have checked the other one.
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Refusal::Missing);
        };
        let text = value.to_str().map_err(|_| Refusal::Malformed)?;
        let (scheme, token) = text.split_once(' ').ok_or(Refusal::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::Missing);
        }
        self.verifier.verify(token.trim()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_served_has_a_name_of_its_own() {
        let rules: &[Rules] = &[&[("test.v1.ProbeService/Get", Access::Public)]];
        assert!(has_method(rules, "test.v1.ProbeService/Get"));
        assert!(has_method(rules, "grpc.health.v1.Health/Check"));
        for invented in [
            "test.v1.ProbeService/Got",
            "grpc.health.v1.Health/Invented",
            "_OTHER",
        ] {
            assert!(!has_method(rules, invented), "{invented}");
        }
    }
}
