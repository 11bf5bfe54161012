//! Mail preferences: read, changed, and applied.

use contracts::notification::v1::{
    GetPreferencesRequest, ListNotificationsRequest, Notification, NotificationKind,
    NotificationState, Preferences, ResendNotificationRequest, UpdatePreferencesRequest,
};
use contracts::user::v1::UserCreated;
use prost_types::FieldMask;
use rstest::rstest;
use testkit::{StoreKind, eventually, reason, violated_fields};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::{cancelled, confirmed, placed, registered, reset, shipped, verification};

async fn welcomed(fixture: &Fixture) -> UserCreated {
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    user
}

async fn get(fixture: &Fixture, user: &UserCreated) -> Preferences {
    let request = fixture.by(&user.user_id, GetPreferencesRequest::default());
    let answer = fixture.client().get_preferences(request).await.unwrap();
    answer.into_inner().preferences.unwrap()
}

async fn update(
    fixture: &Fixture,
    user: &UserCreated,
    request: UpdatePreferencesRequest,
) -> Result<Preferences, Status> {
    let request = fixture.by(&user.user_id, request);
    let answer = fixture.client().update_preferences(request).await?;
    Ok(answer.into_inner().preferences.unwrap())
}

fn to(preferences: Preferences, paths: &[&str]) -> UpdatePreferencesRequest {
    let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
    UpdatePreferencesRequest {
        preferences: Some(preferences),
        update_mask: (!paths.is_empty()).then_some(FieldMask { paths }),
        request_id: String::new(),
    }
}

fn no_order_mails() -> Preferences {
    Preferences {
        order_placed_mails: Some(false),
        order_confirmed_mails: Some(false),
        order_shipped_mails: Some(false),
        order_cancelled_mails: Some(false),
        ..Default::default()
    }
}

#[rstest]
#[tokio::test]
async fn everything_is_wanted_until_the_user_says_otherwise(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = welcomed(&fixture).await;
    let expected = Preferences {
        user_id: user.user_id.clone(),
        order_placed_mails: Some(true),
        order_confirmed_mails: Some(true),
        order_shipped_mails: Some(true),
        order_cancelled_mails: Some(true),
        etag: "\"0\"".to_owned(),
        update_time: None,
    };
    assert_eq!(get(&fixture, &user).await, expected);
    // Also without any event of the user: the token proves that the user exists.
    let newcomer = registered("eve@example.com", "Eve");
    assert_eq!(get(&fixture, &newcomer).await.etag, "\"0\"");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_update_changes_the_masked_fields_and_returns_the_new_etag(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = welcomed(&fixture).await;
    let named = to(no_order_mails(), &["order_shipped_mails"]);
    let updated = update(&fixture, &user, named).await.unwrap();
    let flags = |of: &Preferences| {
        [
            of.order_placed_mails,
            of.order_confirmed_mails,
            of.order_shipped_mails,
            of.order_cancelled_mails,
        ]
        .map(Option::unwrap)
    };
    assert_eq!(flags(&updated), [true, true, false, true]);
    assert_eq!(updated.etag, "\"1\"");
    assert!(updated.update_time.is_some());
    assert_eq!(get(&fixture, &user).await, updated);

    let present = Preferences {
        order_placed_mails: Some(false),
        ..Default::default()
    };
    let updated = update(&fixture, &user, to(present, &[])).await.unwrap();
    assert_eq!(flags(&updated), [false, true, false, true]);
    let all = to(Preferences::default(), &["*"]);
    let updated = update(&fixture, &user, all).await.unwrap();
    assert_eq!(flags(&updated), [true; 4]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn only_who_has_read_the_latest_changes_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = welcomed(&fixture).await;
    let read = get(&fixture, &user).await;
    let first = update(&fixture, &user, to(read.clone(), &[]))
        .await
        .unwrap();
    let refused = update(&fixture, &user, to(read, &[])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert_eq!(reason(&refused), "ETAG_MISMATCH");
    assert_eq!(get(&fixture, &user).await, first);
    update(&fixture, &user, to(first, &[])).await.unwrap();
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_replay_changes_nothing_and_gets_the_first_answer(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = welcomed(&fixture).await;
    let request = UpdatePreferencesRequest {
        request_id: Uuid::new_v4().to_string(),
        ..to(no_order_mails(), &[])
    };
    let first = update(&fixture, &user, request.clone()).await.unwrap();
    let other = to(Preferences::default(), &["*"]);
    update(&fixture, &user, other.clone()).await.unwrap();
    let again = update(&fixture, &user, request.clone()).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(get(&fixture, &user).await.etag, "\"2\"");

    let reused = UpdatePreferencesRequest {
        request_id: request.request_id,
        ..other
    };
    let refused = update(&fixture, &user, reused).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    fixture.stop().await;
}

#[tokio::test]
async fn every_violation_is_named_at_once() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let user = welcomed(&fixture).await;
    let request = UpdatePreferencesRequest {
        request_id: "cart 42".to_owned(),
        ..to(
            Preferences {
                etag: "e".repeat(65),
                ..Default::default()
            },
            &["user_id"],
        )
    };
    let refused = update(&fixture, &user, request).await.unwrap_err();
    assert_eq!(
        violated_fields(&refused),
        ["preferences.etag", "request_id", "update_mask"]
    );
    let nothing = UpdatePreferencesRequest::default();
    let refused = update(&fixture, &user, nothing).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["preferences"]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn who_opts_out_gets_nothing_but_what_protects_the_account(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = welcomed(&fixture).await;
    update(&fixture, &user, to(no_order_mails(), &[]))
        .await
        .unwrap();
    let id = &user.user_id;
    fixture.publish(&placed(id)).await;
    fixture.publish(&confirmed(id)).await;
    fixture.publish(&shipped(id)).await;
    fixture.publish(&cancelled(id, "")).await;
    let verified = fixture.publish(&verification(&user, "ABCD-EFGH")).await;
    let last = fixture.publish(&reset(&user, "JKLM-NPQR")).await;
    for event_id in [verified, last] {
        fixture
            .notification(event_id, NotificationState::Sent)
            .await;
    }
    fixture.settled().await;
    let all = fixture.of_user(id).await;
    let is_suppressed = |one: &&Notification| one.state() == NotificationState::Suppressed;
    let kinds: Vec<NotificationKind> = all
        .iter()
        .filter(|one| !is_suppressed(one))
        .map(Notification::kind)
        .collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    let suppressed: Vec<&Notification> = all.iter().filter(is_suppressed).collect();
    assert_eq!(suppressed.len(), 4, "{all:?}");
    for one in suppressed {
        assert_eq!(one.failure, "the user wants no such mails");
        assert!(!fixture.mails().has(&one.notification_id));
    }
    for kind in [
        NotificationKind::Welcome,
        NotificationKind::EmailVerification,
        NotificationKind::PasswordReset,
    ] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    fixture.stop().await;
}

/// By the API, and by the view of operators.
#[rstest]
#[tokio::test]
async fn why_no_mail_for_an_order_is_one_call_and_one_query(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = welcomed(&fixture).await;
    let wanted = placed(&user.user_id);
    let event_id = fixture.publish(&wanted).await;
    fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    update(&fixture, &user, to(no_order_mails(), &[]))
        .await
        .unwrap();
    let order = placed(&user.user_id);
    let event_id = fixture.publish(&order).await;
    let state = NotificationState::Suppressed;
    let suppressed = fixture.notification(event_id, state).await;
    assert_eq!(suppressed.order_id, order.order_id);

    let about = |order_id: &str| ListNotificationsRequest {
        order_id: order_id.to_owned(),
        ..Default::default()
    };
    let found = fixture.list(about(&order.order_id)).await.unwrap();
    assert_eq!(found.notifications, [suppressed]);
    let found = fixture.list(about(&wanted.order_id)).await.unwrap();
    assert_eq!(found.notifications.len(), 1);
    assert_eq!(found.notifications[0].state(), NotificationState::Sent);
    let other = fixture.by(&Uuid::now_v7().to_string(), about(&order.order_id));
    let other = fixture.client().list_notifications(other).await.unwrap();
    assert_eq!(other.into_inner().notifications, []);
    let refused = fixture.list(about("cart 42")).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["order_id"]);

    let sql = format!(
        "SELECT state FROM readable_notification WHERE order_id = '{}'",
        order.order_id
    );
    assert_eq!(fixture.value::<String>(&sql).await, "suppressed");
    fixture.stop().await;
}

/// A call is the consent.
#[tokio::test]
async fn a_suppressed_mail_is_sent_once_it_is_asked_for() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let user = welcomed(&fixture).await;
    update(&fixture, &user, to(no_order_mails(), &[]))
        .await
        .unwrap();
    let order = placed(&user.user_id);
    let event_id = fixture.publish(&order).await;
    let state = NotificationState::Suppressed;
    let suppressed = fixture.notification(event_id, state).await;
    let request = ResendNotificationRequest {
        notification_id: suppressed.notification_id,
        ..Default::default()
    };
    let request = fixture.by(&user.user_id, request);
    let copy = fixture.client().resend_notification(request).await.unwrap();
    let copy = copy.into_inner().notification.unwrap();
    assert_eq!(copy.order_id, order.order_id);
    eventually("the copy is sent", async || {
        let sent = fixture.mails().has(&copy.notification_id);
        sent.then_some(()).ok_or("it is not there yet")
    })
    .await;
    fixture.stop().await;
}

/// A later release wrote them, before a rollback.
#[rstest]
#[tokio::test]
async fn a_refusal_of_an_unknown_kind_survives_an_update(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = welcomed(&fixture).await;
    update(&fixture, &user, to(no_order_mails(), &[]))
        .await
        .unwrap();
    fixture
        .execute("UPDATE preference SET refused = 'order_returned'")
        .await;
    let all = to(Preferences::default(), &["*"]);
    let updated = update(&fixture, &user, all).await.unwrap();
    assert_eq!(updated.order_placed_mails, Some(true));
    let refused = fixture.value::<String>("SELECT refused FROM preference");
    assert_eq!(refused.await, "order_returned");
    fixture.stop().await;
}
