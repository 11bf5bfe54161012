//! From registering to the end of an account, as a person goes through it: with the codes of real mails and the tokens of real
//! logins.

use std::collections::BTreeSet;

use contracts::order::v1::{GetOrderRequest, PlaceOrderRequest};
use contracts::user::v1::{
    AuthenticateRequest, DeleteUserRequest, RefreshTokenRequest, RequestPasswordResetRequest,
    ResetPasswordRequest, Tokens, VerifyEmailRequest,
};
use rstest::rstest;
use testkit::{Stack, authorized, eventually, reason};
use tonic::{Code, Status};

use crate::system::{PASSWORD, Running, line};

async fn log_in(system: &Running, email: &str, password: &str) -> Result<Tokens, Status> {
    let request = AuthenticateRequest {
        email: email.to_owned(),
        password: password.to_owned(),
    };
    let answer = system.users.clone().authenticate(request).await?;
    Ok(answer.into_inner().tokens.unwrap())
}

/// Places an order once the order service has heard of the user and of the key of the token.
async fn order(system: &Running, user_id: &str, token: &str) -> String {
    let request = PlaceOrderRequest {
        user_id: user_id.to_owned(),
        lines: vec![line()],
        ..PlaceOrderRequest::default()
    };
    eventually("the order is placed", async || {
        let request = authorized(token, request.clone());
        match system.orders.clone().place_order(request).await {
            Ok(answer) => Ok(answer.into_inner().order.unwrap().order_id),
            Err(status) => Err(status),
        }
    })
    .await
}

#[rstest]
#[tokio::test]
async fn register_verify_log_in_order_reset_and_delete(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let (mut users, email) = (system.users.clone(), "ada@example.com");
    let user_id = system.register(email).await;
    let code = system.next_code(email, &BTreeSet::new()).await;
    let request = VerifyEmailRequest {
        code: code.clone(),
        ..VerifyEmailRequest::default()
    };
    let verified = users.verify_email(request).await.unwrap().into_inner();
    assert!(verified.user.unwrap().email_verified);

    let session = log_in(&system, email, PASSWORD).await.unwrap();
    let order_id = order(&system, &user_id, &session.access_token).await;
    let request = RefreshTokenRequest {
        refresh_token: session.refresh_token,
    };
    let answer = users.refresh_token(request).await.unwrap().into_inner();
    let session = answer.tokens.unwrap();
    let get = async |token: &str| {
        let request = GetOrderRequest {
            order_id: order_id.clone(),
        };
        let request = authorized(token, request);
        system.orders.clone().get_order(request).await
    };
    get(&session.access_token).await.unwrap();

    // Somebody else, who learns nothing of it.
    system.register("mallory@example.com").await;
    let mallory = log_in(&system, "mallory@example.com", PASSWORD)
        .await
        .unwrap();
    let denied = get(&mallory.access_token).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);

    let request = RequestPasswordResetRequest {
        email: email.to_owned(),
        ..RequestPasswordResetRequest::default()
    };
    users.request_password_reset(request).await.unwrap();
    let code = system.next_code(email, &[code].into()).await;
    let request = ResetPasswordRequest {
        code,
        new_password: "staple battery horse".to_owned(),
        ..ResetPasswordRequest::default()
    };
    users.reset_password(request).await.unwrap();
    let request = RefreshTokenRequest {
        refresh_token: session.refresh_token,
    };
    let ended = users.refresh_token(request).await.unwrap_err();
    assert_eq!(reason(&ended), "REFRESH_TOKEN_INVALID");
    let refused = log_in(&system, email, PASSWORD).await.err().unwrap();
    assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
    let session = log_in(&system, email, "staple battery horse")
        .await
        .unwrap();

    let request = DeleteUserRequest {
        user_id: user_id.clone(),
        ..DeleteUserRequest::default()
    };
    users
        .delete_user(authorized(&session.access_token, request))
        .await
        .unwrap();
    assert!(
        log_in(&system, email, "staple battery horse")
            .await
            .is_err()
    );
    system.stop().await;
}
