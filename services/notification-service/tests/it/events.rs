//! The effect of each event: one mail to the right person, published as one event.

use contracts::notification::v1::{
    NotificationFailed, NotificationKind, NotificationSent, NotificationState,
};
use contracts::user::v1::UserCreated;
use rstest::rstest;
use testkit::{Stack, StoreKind, eventually_is, outbox};

use crate::fixture::Fixture;
use crate::mails::{html, parsed, shown, text, to};
use crate::publishing::correlation_id;
use crate::samples::{cancelled, confirmed, placed, registered, shipped};

#[rstest]
#[tokio::test]
async fn a_registration_sends_a_welcome_mail(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let fixture = Fixture::on_stack(stack).await;
    let user = registered("ada@example.com", "Ada Lovelace");
    let event_id = fixture.publish(&user).await;

    let sent = fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    assert_eq!(sent.user_id, user.user_id);
    assert_eq!(sent.kind(), NotificationKind::Welcome);
    assert_eq!(sent.recipient, "ada@example.com");
    assert_eq!(sent.subject, "Welcome to Angarium");
    assert_eq!(sent.failure, "");
    assert!(sent.create_time.is_some() && sent.send_time.is_some());

    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    assert_eq!(mail.subject(), Some("Welcome to Angarium"));
    let expected = (
        Some("Ada Lovelace".to_owned()),
        "ada@example.com".to_owned(),
    );
    assert_eq!(to(&mail), expected);
    let from = mail.from().unwrap().first().unwrap();
    assert_eq!(from.name(), Some("Angarium"));
    assert_eq!(from.address(), Some("noreply@angarium.test"));
    let message_id = format!("{}@angarium.test", sent.notification_id);
    assert_eq!(mail.message_id(), Some(message_id.as_str()));
    assert_eq!(
        mail.date().unwrap().to_timestamp(),
        sent.create_time.unwrap().seconds
    );
    assert!(text(&mail).starts_with("Hello Ada Lovelace,\n"));
    assert!(html(&mail).contains("<p>Hello Ada Lovelace,</p>"));
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn each_mail_is_published_as_one_event(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    let sent = fixture
        .notification(event_id, NotificationState::Sent)
        .await;

    let promised = outbox(&fixture.db).await;
    assert_eq!(promised.len(), 1, "{promised:?}");
    assert_eq!(promised[0].version, 1);
    assert_eq!(promised[0].aggregate_id, sent.notification_id);
    assert_eq!(promised[0].correlation_id, correlation_id(event_id));
    let event: NotificationSent = promised[0].decode();
    let expected = NotificationSent {
        notification_id: sent.notification_id,
        user_id: user.user_id,
        kind: NotificationKind::Welcome.into(),
        event_id: event_id.to_string(),
        send_time: sent.send_time,
    };
    assert_eq!(event, expected);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn orders_are_confirmed_and_cancellations_mailed_with_reason(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let order = placed(&user.user_id);
    let end = cancelled(&user.user_id, "the cup was the wrong blue");
    fixture.publish(&user).await;
    let (placed_id, cancelled_id) = (fixture.publish(&order).await, fixture.publish(&end).await);

    let sent = fixture
        .notification(placed_id, NotificationState::Sent)
        .await;
    assert_eq!(sent.kind(), NotificationKind::OrderPlaced);
    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    for form in [text(&mail), shown(&html(&mail))] {
        assert!(form.contains(&order.order_id), "{form}");
        assert!(form.contains("2 x TEA-EARL-GREY at 4.50 EUR"), "{form}");
        assert!(form.contains("9.00 EUR"), "{form}");
    }

    let sent = fixture
        .notification(cancelled_id, NotificationState::Sent)
        .await;
    assert_eq!(sent.kind(), NotificationKind::OrderCancelled);
    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    for form in [text(&mail), html(&mail)] {
        assert!(form.contains(&end.order_id), "{form}");
        assert!(form.contains("the cup was the wrong blue"), "{form}");
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_order_is_followed_from_its_confirmation_to_the_parcel(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    fixture.publish(&user).await;
    let (order, parcel) = (confirmed(&user.user_id), shipped(&user.user_id));
    let (first, second) = (
        fixture.publish(&order).await,
        fixture.publish(&parcel).await,
    );

    let sent = fixture.notification(first, NotificationState::Sent).await;
    assert_eq!(sent.kind(), NotificationKind::OrderConfirmed);
    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    for form in [text(&mail), html(&mail)] {
        assert!(form.contains(&order.order_id), "{form}");
    }
    let sent = fixture.notification(second, NotificationState::Sent).await;
    assert_eq!(sent.kind(), NotificationKind::OrderShipped);
    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    for form in [text(&mail), html(&mail)] {
        for part in [&parcel.order_id, &parcel.carrier, &parcel.tracking_number] {
            assert!(form.contains(part), "{part}: {form}");
        }
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_redelivered_event_makes_no_second_mail(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let order = placed(&user.user_id);
    let (first, second) = (fixture.publish(&user).await, fixture.publish(&order).await);
    fixture.notification(second, NotificationState::Sent).await;

    fixture.publish_as(first, &user).await;
    fixture.publish_as(second, &order).await;
    // Later events were handled later.
    fixture.settled().await;
    let after = fixture.publish(&cancelled(&user.user_id, "")).await;
    fixture.notification(after, NotificationState::Sent).await;

    assert_eq!(fixture.of_user("").await.len(), 3);
    assert_eq!(fixture.mails().names().len(), 3);
    let all = outbox(&fixture.db).await;
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(
        fixture.value::<i64>("SELECT count(*) FROM recipient").await,
        1
    );
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_that_the_inbox_has_forgotten_makes_no_second_mail(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let event_id = fixture.publish(&user).await;
    fixture
        .notification(event_id, NotificationState::Sent)
        .await;

    fixture.execute("DELETE FROM angarium_inbox").await;
    fixture.publish_as(event_id, &user).await;
    eventually_is("it was handled again", 1, async || {
        fixture
            .value::<i64>("SELECT count(*) FROM angarium_inbox WHERE state = 'done'")
            .await
    })
    .await;
    assert_eq!(fixture.of_user("").await.len(), 1);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_order_that_comes_before_its_user_waits_for_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let order_id = fixture.publish(&placed(&user.user_id)).await;
    fixture.settled().await;
    let deferred = "SELECT count(*) FROM angarium_inbox WHERE state = 'deferred'";
    assert_eq!(fixture.value::<i64>(deferred).await, 1);
    assert_eq!(fixture.of_user("").await.len(), 0);

    fixture.publish(&user).await;
    let sent = fixture
        .notification(order_id, NotificationState::Sent)
        .await;
    assert_eq!(sent.recipient, "ada@example.com");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_with_an_invalid_user_is_dead_and_blocks_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let invalid = UserCreated {
        user_id: "no id".to_owned(),
        ..registered("ada@example.com", "Ada")
    };
    fixture.publish(&invalid).await;
    fixture.publish(&placed("no id")).await;
    let event_id = fixture.publish(&registered("eve@example.com", "Eve")).await;
    fixture
        .notification(event_id, NotificationState::Sent)
        .await;

    fixture.settled().await;
    let dead = "SELECT count(*) FROM angarium_inbox WHERE state = 'dead'";
    assert_eq!(fixture.value::<i64>(dead).await, 2);
    assert_eq!(fixture.of_user("").await.len(), 1);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_mail_to_an_invalid_address_fails_without_naming_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada at example", "Ada");
    let event_id = fixture.publish(&user).await;
    let failed = fixture
        .notification(event_id, NotificationState::Failed)
        .await;
    assert_eq!(failed.failure, "the address is not a valid mail address");
    assert_eq!(failed.send_time, None);

    let promised = outbox(&fixture.db).await;
    assert_eq!(promised.len(), 1, "{promised:?}");
    assert_eq!(promised[0].version, 1);
    let event: NotificationFailed = promised[0].decode();
    assert!(event.fail_time.is_some());
    let expected = NotificationFailed {
        notification_id: failed.notification_id,
        user_id: user.user_id,
        kind: NotificationKind::Welcome.into(),
        event_id: event_id.to_string(),
        failure: failed.failure,
        fail_time: event.fail_time,
    };
    assert_eq!(event, expected);
    fixture.stop().await;
}

#[tokio::test]
async fn no_user_can_write_headers_or_markup() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let user = registered(
        "ada@example.com",
        "Ada\r\nBcc: eve@example.com\r\n\r\n<script>alert(1)</script>",
    );
    let reason = "<b>late</b>\r\n\r\n--angarium\r\nContent-Type: text/html";
    fixture.publish(&user).await;
    let event_id = fixture.publish(&cancelled(&user.user_id, reason)).await;
    let sent = fixture
        .notification(event_id, NotificationState::Sent)
        .await;

    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    let (name, address) = to(&mail);
    assert_eq!(address, "ada@example.com");
    assert_eq!(
        name.as_deref(),
        Some("Ada Bcc: eve@example.com <script>alert(1)</script>")
    );
    let headers: Vec<&str> = mail
        .headers()
        .iter()
        .map(mail_parser::Header::name)
        .collect();
    let expected = [
        "Message-ID",
        "Date",
        "From",
        "To",
        "Subject",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ];
    assert_eq!(headers, expected);
    assert_eq!(mail.text_body_count(), 1);
    assert_eq!(mail.html_body_count(), 1);
    assert!(!html(&mail).contains("<script>") && !html(&mail).contains("<b>"));
    fixture.stop().await;
}

/// RFC 5322: no line has more than 998 characters.
#[tokio::test]
async fn a_very_long_value_makes_no_line_too_long() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let long = "Ada\u{e4}<".repeat(1500);
    let user = registered("ada@example.com", &long);
    fixture.publish(&user).await;
    let event_id = fixture.publish(&cancelled(&user.user_id, &long)).await;
    let sent = fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    let bytes = fixture.mails().bytes(&sent.notification_id);
    let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert!(longest <= Some(998), "{longest:?}");
    let mail = parsed(&bytes);
    assert_eq!(to(&mail).0.as_ref(), Some(&long));
    for form in [text(&mail), shown(&html(&mail))] {
        assert_eq!(form.matches(&long).count(), 2);
    }
    fixture.stop().await;
}
