//! Access: users see their own data, admins everything.

use contracts::notification::v1::{
    GetNotificationRequest, GetPreferencesRequest, ListNotificationsRequest, NotificationState,
    Preferences, ResendNotificationRequest, UpdatePreferencesRequest,
};
use rstest::rstest;
use testkit::{StoreKind, Tokens, authorized, reason, violated_fields};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::registered;

/// Of calls made by `call`.
async fn every_method(
    fixture: &Fixture,
    id: &str,
    user_id: &str,
    call: Call<'_>,
) -> [Option<Status>; 5] {
    let mut client = fixture.client();
    let (notification_id, user_id) = (id.to_owned(), user_id.to_owned());
    let list = ListNotificationsRequest {
        user_id: user_id.clone(),
        ..Default::default()
    };
    let get = GetNotificationRequest {
        notification_id: notification_id.clone(),
    };
    let resend = ResendNotificationRequest {
        notification_id,
        ..Default::default()
    };
    let preferences = GetPreferencesRequest {
        user_id: user_id.clone(),
    };
    let update = UpdatePreferencesRequest {
        preferences: Some(Preferences {
            user_id,
            ..Default::default()
        }),
        ..Default::default()
    };
    [
        client.list_notifications(call.with(list)).await.err(),
        client.get_notification(call.with(get)).await.err(),
        client.resend_notification(call.with(resend)).await.err(),
        client.get_preferences(call.with(preferences)).await.err(),
        client.update_preferences(call.with(update)).await.err(),
    ]
}

#[derive(Clone, Copy)]
struct Call<'a>(Option<&'a str>);

impl Call<'_> {
    fn with<T>(self, message: T) -> Request<T> {
        match self.0 {
            Some(token) => authorized(token, message),
            None => Request::new(message),
        }
    }
}

#[rstest]
#[tokio::test]
async fn without_a_valid_token_every_call_is_refused(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    let sent = fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    let stranger = Tokens::unknown().older(Uuid::now_v7());
    let expired = fixture.tokens.expired(user.user_id.parse().unwrap());
    for (token, expected) in [
        (None, "UNAUTHENTICATED"),
        (Some("made up"), "UNAUTHENTICATED"),
        (Some(stranger.as_str()), "UNAUTHENTICATED"),
        (Some(expired.as_str()), "TOKEN_EXPIRED"),
    ] {
        let id = &sent.notification_id;
        for refused in every_method(&fixture, id, &user.user_id, Call(token)).await {
            let refused = refused.unwrap();
            assert_eq!(refused.code(), Code::Unauthenticated, "{token:?}");
            assert_eq!(reason(&refused), expected, "{token:?}");
        }
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_is_anothers_and_what_is_not_there_are_one_to_a_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    let sent = fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    let eve = fixture.tokens.user(Uuid::now_v7());
    let nothing = Uuid::now_v7().to_string();
    for (id, user_id) in [
        (&sent.notification_id, user.user_id.as_str()),
        (&nothing, nothing.as_str()),
        // Access is checked before the form of the id.
        (&nothing, "ada"),
    ] {
        for refused in every_method(&fixture, id, user_id, Call(Some(&eve))).await {
            let refused = refused.unwrap();
            assert_eq!(refused.code(), Code::PermissionDenied);
            assert_eq!(reason(&refused), "PERMISSION_DENIED");
            assert_eq!(refused.message(), "permission denied, or it does not exist");
        }
    }

    let admin = fixture.tokens.admin();
    let answers = every_method(&fixture, &nothing, &nothing, Call(Some(&admin))).await;
    let [list, found @ ..] = answers;
    assert!(list.is_none());
    let reasons = found.map(|refused| reason(&refused.unwrap()));
    let expected = [
        "NOTIFICATION_NOT_FOUND",
        "NOTIFICATION_NOT_FOUND",
        "USER_UNKNOWN",
        "USER_UNKNOWN",
    ];
    assert_eq!(reasons, expected);
    let answers = every_method(&fixture, "n-1", "ada", Call(Some(&admin))).await;
    let fields = answers.map(|refused| violated_fields(&refused.unwrap()).concat());
    let expected = [
        "user_id",
        "notification_id",
        "notification_id",
        "user_id",
        "preferences.user_id",
    ];
    assert_eq!(fields, expected);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_user_lists_and_gets_what_is_their_own(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let (ada, eve) = (
        registered("ada@example.com", "Ada"),
        registered("eve@example.com", "Eve"),
    );
    let (first, second) = (fixture.publish(&ada).await, fixture.publish(&eve).await);
    let sent = fixture.notification(first, NotificationState::Sent).await;
    fixture.notification(second, NotificationState::Sent).await;

    for user_id in ["", &ada.user_id] {
        let request = ListNotificationsRequest {
            user_id: user_id.to_owned(),
            ..Default::default()
        };
        let listed = fixture
            .client()
            .list_notifications(fixture.by(&ada.user_id, request))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(listed.notifications, std::slice::from_ref(&sent));
    }
    let request = GetNotificationRequest {
        notification_id: sent.notification_id.clone(),
    };
    let request = fixture.by(&ada.user_id, request);
    let got = fixture.client().get_notification(request).await.unwrap();
    assert_eq!(got.into_inner().notification, Some(sent));
    assert_eq!(fixture.of_user("").await.len(), 2);
    fixture.stop().await;
}
