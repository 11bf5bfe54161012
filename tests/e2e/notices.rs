//! From the call to the mail: what a user gets when another person uses the account.

use contracts::notification::v1::NotificationKind;
use contracts::user::v1::{
    AuthenticateRequest, ChangePasswordRequest, CreateUserRequest, UpdateUserRequest, User,
};
use rstest::rstest;
use testkit::{Stack, authorized};

use crate::system::{OPERATOR, PASSWORD, Running};

#[rstest]
#[tokio::test]
async fn a_user_gets_a_mail_about_each_change_of_the_account(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let (caller, mut users) = (system.caller(), system.users.clone());
    let request = CreateUserRequest {
        email: OPERATOR.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: "Ada".to_owned(),
        ..CreateUserRequest::default()
    };
    let answer = users.create_user(request).await.unwrap().into_inner();
    let user_id = answer.user.unwrap().user_id;
    caller.verify(OPERATOR).await.unwrap();
    let sent = async |kind| {
        let mut mails = system.sent(&user_id, kind).await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        mails.remove(0)
    };
    let mail = sent(NotificationKind::RoleChanged).await;
    assert!(system.eml(&mail).contains("Role: operator"));

    let session = caller.log_in(OPERATOR, PASSWORD).await.unwrap();
    let next = "a password after that";
    let request = ChangePasswordRequest {
        current_password: PASSWORD.to_owned(),
        new_password: next.to_owned(),
        ..ChangePasswordRequest::default()
    };
    let request = authorized(&session.access_token, request);
    users.change_password(request).await.unwrap();
    sent(NotificationKind::PasswordChanged).await;

    // The first login has made the program known; this one is another.
    caller.log_in(OPERATOR, next).await.unwrap();
    let request = AuthenticateRequest {
        email: OPERATOR.to_owned(),
        password: next.to_owned(),
        ..AuthenticateRequest::default()
    };
    let mut elsewhere = system.users_of_program("mallory/1.0");
    elsewhere.authenticate(request).await.unwrap();
    sent(NotificationKind::NewPlace).await;

    let request = UpdateUserRequest {
        user: Some(User {
            user_id: user_id.clone(),
            email: "mallory@example.net".to_owned(),
            ..User::default()
        }),
        current_password: next.to_owned(),
        ..UpdateUserRequest::default()
    };
    let request = authorized(&session.access_token, request);
    users.update_user(request).await.unwrap();
    let mail = sent(NotificationKind::EmailChanged).await;
    assert_eq!(mail.recipient, OPERATOR);
    system.stop().await;
}
