//! The steps before a call becomes a command: caller, contract violations, and repetition.

use std::fmt::Display;

use contracts::Validate;
use messaging::Cause;
use runtime::ClientAddress;
use runtime::auth::Caller;
use runtime::grpc::correlation_id;
use runtime::idempotency::Call;
use runtime::sealed::{DigestKey, MasterKey};
use runtime::status::Violations;
use tonic::Request;

use crate::places::Place;

pub struct Arrived<R> {
    pub message: R,
    pub address: String,
    pub place: Place,
    pub cause: Cause,
    /// Of the contract. Answer them only after the access check.
    pub violations: Violations,
}

#[derive(Clone)]
pub struct Requests {
    contents: DigestKey,
}

impl Requests {
    pub fn new(secret_key: &MasterKey) -> Self {
        Self {
            contents: secret_key.digest_key("request contents"),
        }
    }

    pub fn take_in<R: Validate>(&self, request: Request<R>) -> Arrived<R> {
        let address = ClientAddress::of(&request);
        let place = Place::new(address, user_agent(&request));
        let cause = Cause::call(correlation_id(&request));
        let message = request.into_inner();
        let violations = Violations::of(message.violations());
        Arrived {
            message,
            address: address.to_string(),
            place,
            cause,
            violations,
        }
    }

    /// The content is compared by a digest with our key: requests contain passwords, and a plain digest would allow
    /// guessing them.
    pub fn call(
        &self,
        caller: Option<Caller>,
        method: &'static str,
        request_id: &str,
        message: &impl prost::Message,
        violations: &mut Violations,
    ) -> Option<Call> {
        let caller = caller.map_or_else(String::new, |caller| caller.user_id.to_string());
        let content = self.contents.digest(message.encode_to_vec());
        Call::read(&caller, method, request_id, content.as_bytes(), violations)
    }
}

fn user_agent<R>(request: &Request<R>) -> &str {
    let given = request.metadata().get("user-agent");
    given
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default()
}

/// If it is invalid, `violations` has the reason.
pub fn valid<T>(
    field: &str,
    read: Result<T, impl Display>,
    violations: &mut Violations,
) -> Option<T> {
    read.map_err(|invalid| violations.add(field, invalid.to_string()))
        .ok()
}
