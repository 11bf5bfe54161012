//! The life of an account, from registration to deletion: with the codes of real mails and the tokens of real logins.

use anyhow::{Context as _, Result, ensure};
use contracts::order::v1::{GetOrderRequest, GetOrderResponse};
use contracts::user::v1::{
    DeleteUserRequest, RefreshTokenRequest, RequestPasswordResetRequest, ResetPasswordRequest,
};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::caller::{Caller, PASSWORD, authorized};

const NEW_PASSWORD: &str = "staple battery horse";

/// Registers, verifies, logs in, orders, resets the password and deletes. Another user, `other`, learns nothing of it.
pub async fn register_verify_log_in_order_reset_and_delete(
    caller: &Caller,
    email: &str,
    other: &str,
) -> Result<()> {
    let mut users = caller.users.clone();
    let user_id = caller.register(email, "Ada Lovelace").await?;
    let code = caller.verify(email).await.context("verifying")?;

    let session = caller.log_in(email, PASSWORD).await.context("logging in")?;
    let order_id = caller.place(&session.access_token, "TEA-1").await?.order_id;
    let request = RefreshTokenRequest {
        refresh_token: session.refresh_token,
    };
    let answer = users.refresh_token(request).await.context("refreshing")?;
    let session = answer.into_inner().tokens.context("no tokens")?;
    get(caller, &session.access_token, &order_id)
        .await
        .context("reading the order")?;

    caller.register(other, "Mallory").await?;
    let mallory = caller.log_in(other, PASSWORD).await?;
    let denied = get(caller, &mallory.access_token, &order_id).await;
    let answer = denied.as_ref().err().map(Status::code);
    ensure!(answer == Some(Code::PermissionDenied), "{denied:?}");

    let request = RequestPasswordResetRequest {
        email: email.to_owned(),
        ..RequestPasswordResetRequest::default()
    };
    users
        .request_password_reset(request)
        .await
        .context("asking for a reset")?;
    let request = ResetPasswordRequest {
        code: caller.mailbox.next_code(email, &[code].into()).await?,
        new_password: NEW_PASSWORD.to_owned(),
        ..ResetPasswordRequest::default()
    };
    users.reset_password(request).await.context("resetting")?;
    let request = RefreshTokenRequest {
        refresh_token: session.refresh_token,
    };
    let ended = users.refresh_token(request).await;
    ensure!(reason(&ended) == "REFRESH_TOKEN_INVALID", "{ended:?}");
    let refused = caller.log_in(email, PASSWORD).await;
    ensure!(reason(&refused) == "CREDENTIALS_INVALID", "{refused:?}");
    let session = caller
        .log_in(email, NEW_PASSWORD)
        .await
        .context("logging in again")?;

    let request = DeleteUserRequest {
        user_id,
        current_password: NEW_PASSWORD.to_owned(),
        ..DeleteUserRequest::default()
    };
    let request = authorized(&session.access_token, request);
    users.delete_user(request).await.context("deleting")?;
    let gone = caller.log_in(email, NEW_PASSWORD).await;
    ensure!(reason(&gone) == "CREDENTIALS_INVALID", "{gone:?}");
    Ok(())
}

async fn get(
    caller: &Caller,
    token: &str,
    order_id: &str,
) -> Result<Response<GetOrderResponse>, Status> {
    let request = GetOrderRequest {
        order_id: order_id.to_owned(),
    };
    caller
        .orders
        .clone()
        .get_order(authorized(token, request))
        .await
}

/// The reason of the refusal, as programs read it.
fn reason<T>(answer: &Result<T, Status>) -> String {
    let refused = answer.as_ref().err();
    let info = refused.and_then(StatusExt::get_details_error_info);
    info.map(|info| info.reason).unwrap_or_default()
}
