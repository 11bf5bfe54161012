//! The calls that verify an address.

use contracts::user::v1::{
    RequestEmailVerificationRequest, RequestEmailVerificationResponse, User as UserMessage,
    VerifyEmailRequest, VerifyEmailResponse,
};
use runtime::auth::caller;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use super::users::Users;
use crate::commands::Verified;
use crate::requests::Arrived;

pub(super) async fn verify_email(
    users: &Users,
    request: Request<VerifyEmailRequest>,
) -> Result<Response<VerifyEmailResponse>, Status> {
    let Arrived {
        message,
        address,
        cause,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let request_id = &message.request_id;
    let call = users
        .requests
        .call(None, "VerifyEmail", request_id, &message, &mut violations);
    violations.into_result()?;

    let (code, call) = (SecretString::from(message.code), call.as_ref());
    let verified = users
        .commands
        .verify_email(&code, &address, call, &cause)
        .await?;
    let user = match verified {
        Verified::Now(user) => users.shown(&user),
        Verified::Before(user_id) => UserMessage {
            user_id: user_id.to_string(),
            email_verified: true,
            ..UserMessage::default()
        },
    };
    Ok(Response::new(VerifyEmailResponse { user: Some(user) }))
}

pub(super) async fn request_email_verification(
    users: &Users,
    request: Request<RequestEmailVerificationRequest>,
) -> Result<Response<RequestEmailVerificationResponse>, Status> {
    let caller = caller(&request)?;
    let Arrived {
        message,
        cause,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let call = users.requests.call(
        Some(caller),
        "RequestEmailVerification",
        &message.request_id,
        &message,
        &mut violations,
    );
    violations.into_result()?;

    users
        .commands
        .request_email_verification(caller, call.as_ref(), &cause)
        .await?;
    Ok(Response::new(RequestEmailVerificationResponse {}))
}
