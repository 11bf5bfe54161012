//! Mails with codes: decrypted for the outgoing mail, never stored decrypted.

use contracts::notification::v1::{NotificationKind, NotificationState};
use mail_codes::Purpose;
use prost_types::Timestamp;
use rstest::rstest;
use testkit::{StoreKind, eventually_is};

use crate::fixture::Fixture;
use crate::mails::{html, parsed, text, to};
use crate::samples::{registered, reset, sealed, verification};

#[rstest]
#[tokio::test]
async fn a_code_stands_in_the_mail_and_in_no_table(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    // Before the event of the user: the mail waits for nothing.
    let user = registered("ada@example.com", "Ada");
    let verify = fixture.publish(&verification(&user, "QUINCE-1")).await;
    let set = fixture.publish(&reset(&user, "QUINCE-<2>")).await;
    let sent = fixture.notification(verify, NotificationState::Sent).await;
    assert_eq!(sent.kind(), NotificationKind::EmailVerification);
    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    assert_eq!(to(&mail).1, "ada@example.com");
    for form in [text(&mail), html(&mail)] {
        assert!(form.contains("QUINCE-1"), "{form}");
    }
    let sent = fixture.notification(set, NotificationState::Sent).await;
    assert_eq!(sent.kind(), NotificationKind::PasswordReset);
    let bytes = fixture.mails().bytes(&sent.notification_id);
    let mail = parsed(&bytes);
    assert!(text(&mail).contains("QUINCE-<2>"));
    assert!(html(&mail).contains("QUINCE-&#60;2&#62;"));

    let holding =
        "SELECT count(*) FROM notification WHERE body_text || body_html || subject LIKE '%QUINCE%'";
    assert_eq!(fixture.value::<i64>(holding).await, 0);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_code_that_is_too_old_is_not_sent_any_more(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let mut request = verification(&user, "ABCD-EFGH");
    request.expire_time = Some(Timestamp {
        seconds: 1_700_000_000,
        nanos: 0,
    });
    let event_id = fixture.publish(&request).await;
    let failed = fixture
        .notification(event_id, NotificationState::Failed)
        .await;
    assert_eq!(failed.failure, "the code in the mail has expired");
    assert_eq!(fixture.mails().names().len(), 0);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_code_sealed_for_another_purpose_is_not_sent_but_retried(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = registered("ada@example.com", "Ada");
    let mut request = verification(&user, "ABCD-EFGH");
    // An attacker has put the code of a reset into a verification mail.
    request.sealed_code = sealed(Purpose::PasswordReset, &user.user_id, "ABCD-EFGH");
    let event_id = fixture.publish(&request).await;
    let expected = "the code in the mail cannot be decrypted: set the same MAIL_SEALING_KEY as in the user service";
    let pending = "SELECT coalesce(max(failure), '') FROM notification WHERE state = 'pending'";
    eventually_is("the attempt has failed", expected.to_owned(), async || {
        fixture.value::<String>(pending).await
    })
    .await;
    fixture
        .notification(event_id, NotificationState::Pending)
        .await;
    assert_eq!(fixture.mails().names().len(), 0);
    fixture.stop().await;
}
