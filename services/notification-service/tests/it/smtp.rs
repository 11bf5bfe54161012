//! Through a mail server: mails that it accepts, postpones, refuses, or never answers.

use std::time::Duration;

use contracts::notification::v1::{NotificationFailed, NotificationState};
use notification_service::config::Delivery;
use notification_service::failure::Failure;
use notification_service::mail::Mail;
use notification_service::sender::{MailSender as _, SendError, Smtp, SmtpServer};
use rstest::rstest;
use testkit::{Authority, Encrypting, StoreKind, eventually, outbox};
use tokio::time::timeout;
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::mail_server::{Answer, MailServer};
use crate::mails::{html, parsed, text, to};
use crate::samples::registered;

pub(crate) fn mail() -> Mail {
    let address = |text: &str| text.parse().unwrap();
    let (from, to) = (address("noreply@angarium.test"), address("ada@example.com"));
    Mail {
        notification_id: Uuid::now_v7(),
        envelope: lettre::address::Envelope::new(Some(from), vec![to]).unwrap(),
        bytes: b"Subject: Hi\r\n\r\n.a line that begins with a dot\r\n".to_vec(),
    }
}

#[rstest]
#[tokio::test]
async fn a_mail_that_the_server_takes_is_the_mail_that_was_meant(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let server = MailServer::start([]).await;
    let fixture = Fixture::sending(store, |_| Delivery::Smtp(server.server())).await;
    let event_id = fixture.publish(&registered("ada@example.com", "Ädä")).await;
    let sent = fixture
        .notification(event_id, NotificationState::Sent)
        .await;

    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let mail = parsed(&mails[0]);
    assert_eq!(mail.subject(), Some(sent.subject.as_str()));
    assert_eq!(
        to(&mail),
        (Some("Ädä".to_owned()), "ada@example.com".to_owned())
    );
    let message_id = format!("{}@angarium.test", sent.notification_id);
    assert_eq!(mail.message_id(), Some(message_id.as_str()));
    assert!(text(&mail).starts_with("Hello Ädä,\n"));
    assert!(html(&mail).contains("<p>Hello Ädä,</p>"));
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_mail_that_is_put_off_is_sent_later(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let server = MailServer::start([Answer::Recipient("451 <ada@example.com> greylisted")]).await;
    let fixture = Fixture::sending(store, |_| Delivery::Smtp(server.server())).await;
    let event_id = fixture.publish(&registered("ada@example.com", "Ada")).await;
    let failure = eventually("the first attempt has failed", async || {
        let found = fixture
            .notification(event_id, NotificationState::Pending)
            .await;
        Some(found.failure)
            .filter(|failure| !failure.is_empty())
            .ok_or("no failure")
    })
    .await;
    assert_eq!(failure, "the mail server could not take the mail yet (451)");
    let later = "SELECT due_at_ms - created_at_ms FROM notification";
    assert!(fixture.value::<i64>(later).await >= 5_000);
    assert_eq!(outbox(&fixture.db).await.len(), 0);

    fixture
        .execute("UPDATE notification SET due_at_ms = 0")
        .await;
    // Another mail wakes the mailer, too.
    fixture.publish(&registered("eve@example.com", "Eve")).await;
    let sent = fixture
        .notification(event_id, NotificationState::Sent)
        .await;
    assert_eq!(sent.failure, "");
    let of_ada =
        format!("SELECT attempts * 10 + repeats FROM notification WHERE event_id = '{event_id}'");
    assert_eq!(fixture.value::<i32>(&of_ada).await, 20);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_refused_mail_fails_without_the_servers_text(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let server = MailServer::start([Answer::Recipient("550 <ada@example.com> unknown")]).await;
    let fixture = Fixture::sending(store, |_| Delivery::Smtp(server.server())).await;
    let event_id = fixture.publish(&registered("ada@example.com", "Ada")).await;
    let failed = fixture
        .notification(event_id, NotificationState::Failed)
        .await;
    assert_eq!(failed.failure, "the mail server refused the mail (550)");
    let promised = outbox(&fixture.db).await;
    let event: NotificationFailed = promised[0].decode();
    assert_eq!((promised.len(), event.failure), (1, failed.failure));
    assert_eq!(server.mails().len(), 0);
    fixture.stop().await;
}

#[tokio::test]
async fn one_connection_serves_one_mail_after_the_other() {
    let server = MailServer::start([]).await;
    let smtp = Smtp::new(server.server());
    for _ in 0..3 {
        smtp.send(&mail()).await.unwrap();
    }
    assert_eq!((server.mails().len(), server.connections()), (3, 1));
    assert!(server.mails()[0].starts_with(&mail().bytes));
}

#[tokio::test]
async fn a_connection_with_a_missing_answer_is_never_reused() {
    let server = MailServer::start([Answer::Silence]).await;
    let smtp = Smtp::new(server.server());
    let (first, second) = (mail(), mail());
    let sent = timeout(Duration::from_millis(200), smtp.send(&first)).await;
    assert!(sent.is_err(), "it has answered");
    smtp.send(&second).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_replaced() {
    let server = MailServer::start([]).await;
    let smtp = Smtp::new(server.server());
    smtp.send(&mail()).await.unwrap();
    let other = MailServer::start([]).await;
    drop(server);
    // The connection to the old server must not be reused.
    let gone = smtp.send(&mail()).await;
    assert_eq!(gone, Err(SendError::Temporary(Failure::Unreachable)));
    Smtp::new(other.server()).send(&mail()).await.unwrap();
}

#[tokio::test]
async fn a_failure_before_the_mail_is_never_the_mails_failure() {
    let greeted = MailServer::start([Answer::Greeting("554 no mail today")]).await;
    let refused = Smtp::new(greeted.server()).send(&mail()).await;
    let expected = SendError::Temporary(Failure::NotAdmitted(554));
    assert_eq!(refused, Err(expected));

    let unknown = MailServer::start([Answer::Login("535 who are you")]).await;
    let server = unknown.server_with("angarium:hunter2@", "?tls=none");
    let refused = Smtp::new(server).send(&mail()).await;
    let expected = SendError::Temporary(Failure::NotAdmitted(535));
    assert_eq!(refused, Err(expected));

    let strict = MailServer::start([Answer::Recipient("530 log in first")]).await;
    let refused = Smtp::new(strict.server()).send(&mail()).await;
    let expected = SendError::Temporary(Failure::NotAdmitted(530));
    assert_eq!(refused, Err(expected));

    // No server listens on port 1.
    let nowhere = SmtpServer::parse("smtp://127.0.0.1:1").unwrap();
    let refused = Smtp::new(nowhere).send(&mail()).await;
    assert_eq!(refused, Err(SendError::Temporary(Failure::Unreachable)));
}

#[tokio::test]
async fn a_password_goes_only_to_a_server_that_speaks_tls() {
    let server = MailServer::start([]).await;
    let refused = Smtp::new(server.server_with("angarium:hunter2@", ""))
        .send(&mail())
        .await;
    assert_eq!(refused, Err(SendError::Temporary(Failure::Unreachable)));
    assert_eq!(server.mails().len(), 0);
}

#[tokio::test]
async fn a_server_of_a_private_authority_is_trusted_if_named() {
    let server = MailServer::start([]).await;
    let (ours, other) = (Authority::new(), Authority::new());
    let plain = format!("amqp://127.0.0.1:{}", server.port());
    let tls = Encrypting::before(&plain, &ours.server("127.0.0.1"), None).await;
    let url = format!("smtps://127.0.0.1:{}", tls.url().port().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let send = async |server| Smtp::new(server).send(&mail()).await;
    let unreachable = Err(SendError::Temporary(Failure::Unreachable));

    let public = SmtpServer::parse(&url).unwrap();
    assert_eq!(send(public.clone()).await, unreachable);
    std::fs::write(&file, other.pem()).unwrap();
    let trusting = public.trusting(file.clone());
    assert_eq!(send(trusting.clone()).await, unreachable);
    // Replaced while the service runs.
    std::fs::write(&file, ours.pem()).unwrap();
    assert_eq!(send(trusting.clone()).await, Ok(()));
    assert_eq!(server.mails().len(), 1);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(send(trusting).await, unreachable);
}

#[tokio::test]
async fn an_address_that_the_server_cannot_write_is_refused_for_good() {
    let server = MailServer::start([]).await;
    let smtp = Smtp::new(server.server());
    let mut mail = mail();
    let to = "ädä@example.com".parse().unwrap();
    mail.envelope =
        lettre::address::Envelope::new(mail.envelope.from().cloned(), vec![to]).unwrap();
    let refused = smtp.send(&mail).await;
    assert_eq!(refused, Err(SendError::Permanent(Failure::Unsupported)));
}
