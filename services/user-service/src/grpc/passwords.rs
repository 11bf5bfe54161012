//! The calls that set a new password.

use contracts::user::v1::{
    ChangePasswordRequest, ChangePasswordResponse, RequestPasswordResetRequest,
    RequestPasswordResetResponse, ResetPasswordRequest, ResetPasswordResponse,
};
use runtime::auth::caller;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use super::users::Users;
use crate::password::{Attempt, Password};
use crate::requests::{Arrived, valid};
use crate::user::Email;

pub(super) async fn change_password(
    users: &Users,
    request: Request<ChangePasswordRequest>,
) -> Result<Response<ChangePasswordResponse>, Status> {
    let caller = caller(&request)?;
    let Arrived {
        message,
        address,
        cause,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let call = users.requests.call(
        Some(caller),
        "ChangePassword",
        &message.request_id,
        &message,
        &mut violations,
    );
    let current = Attempt::new(message.current_password.into());
    let new = Password::parse(message.new_password.into());
    let new = valid("new_password", new, &mut violations);
    let (true, Some(new)) = (violations.is_empty(), new) else {
        return Err(violations.into_status());
    };

    users
        .commands
        .change_password(caller, current, new, &address, call.as_ref(), &cause)
        .await?;
    Ok(Response::new(ChangePasswordResponse {}))
}

pub(super) async fn request_password_reset(
    users: &Users,
    request: Request<RequestPasswordResetRequest>,
) -> Result<Response<RequestPasswordResetResponse>, Status> {
    let Arrived {
        message,
        address,
        cause,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let call = users.requests.call(
        None,
        "RequestPasswordReset",
        &message.request_id,
        &message,
        &mut violations,
    );
    let email = valid("email", Email::parse(&message.email), &mut violations);
    let (true, Some(email)) = (violations.is_empty(), email) else {
        return Err(violations.into_status());
    };

    users
        .commands
        .request_password_reset(&email, &address, call.as_ref(), &cause)
        .await?;
    Ok(Response::new(RequestPasswordResetResponse {}))
}

pub(super) async fn reset_password(
    users: &Users,
    request: Request<ResetPasswordRequest>,
) -> Result<Response<ResetPasswordResponse>, Status> {
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
        .call(None, "ResetPassword", request_id, &message, &mut violations);
    let code = SecretString::from(message.code);
    let new = Password::parse(message.new_password.into());
    let new = valid("new_password", new, &mut violations);
    let (true, Some(new)) = (violations.is_empty(), new) else {
        return Err(violations.into_status());
    };

    users
        .commands
        .reset_password(&code, new, &address, call.as_ref(), &cause)
        .await?;
    Ok(Response::new(ResetPasswordResponse {}))
}
