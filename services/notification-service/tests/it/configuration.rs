//! The settings of mails.

use std::ffi::OsString;

use notification_service::config::Delivery;
use notification_service::sender::{MailSender as _, Smtp, SmtpServer};
use notification_service::{Args, Config};
use runtime::config::ConfigError;

use crate::mail_server::MailServer;
use crate::smtp::mail;

const ENOUGH: [&str; 4] = [
    "--database-url",
    "sqlite://unused.db",
    "--amqp-url",
    "amqp://localhost",
];

fn load(arguments: &[&str]) -> Result<Config, ConfigError> {
    let arguments = ["notification-service"]
        .iter()
        .chain(&ENOUGH)
        .chain(arguments);
    runtime::config::load::<Args>(arguments.map(OsString::from))
}

#[test]
fn mails_go_into_a_folder_unless_a_server_is_named() {
    let config = load(&[]).unwrap();
    assert_eq!(config.own.mail.to_string(), "The mails are in mails/.");
    assert_eq!(
        config.own.mail.from.to_string(),
        "Angarium <noreply@localhost>"
    );
    let config = load(&["--mail-dir", "/var/mails"]).unwrap();
    assert_eq!(config.own.mail.to_string(), "The mails are in /var/mails/.");
}

#[test]
fn a_mail_server_wins_over_a_folder_and_shows_no_password() {
    let config = load(&[
        "--mail-dir",
        "/var/mails",
        "--smtp-url",
        "smtps://angarium:hunter2@mail.example.com",
    ]);
    let mail = config.unwrap().own.mail;
    assert!(matches!(mail.delivery, Delivery::Smtp(_)));
    assert_eq!(mail.to_string(), "The mails went to mail.example.com:465.");
    let mail = mail.in_folder("demo".as_ref());
    assert_eq!(mail.to_string(), "The mails are in demo/.");
}

#[test]
fn every_mistake_is_named_at_once_and_no_password_is_shown() {
    let refused = load(&[
        "--mail-from",
        "no mailbox",
        "--smtp-url",
        "ftp://angarium:hunter2@mail",
        "--smtp-timeout",
        "0s",
    ]);
    let text = refused.err().unwrap().to_string();
    for setting in ["MAIL_FROM", "SMTP_URL", "SMTP_TIMEOUT"] {
        assert!(text.contains(setting), "{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}

fn smtp(arguments: &[&str]) -> SmtpServer {
    match load(arguments).unwrap().own.mail.delivery {
        Delivery::Smtp(server) => server,
        Delivery::Folder(_) => panic!("a mail server was named"),
    }
}

#[tokio::test]
async fn the_mail_server_is_greeted_with_the_name_of_the_setting() {
    for (given, expected) in [
        ("Relay-1.example.com", "relay-1.example.com"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
    ] {
        let server = MailServer::start([]).await;
        let url = format!("--smtp-url=smtp://127.0.0.1:{}", server.port());
        let smtp = smtp(&[&url, "--smtp-ehlo-name", given]);
        Smtp::new(smtp).send(&mail()).await.unwrap();
        assert_eq!(server.greeted(), [expected]);
    }
}

#[test]
fn an_authority_or_name_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let empty = empty.to_str().unwrap();
    for (setting, arguments) in [
        ("SMTP_CA_FILE", ["--smtp-ca-file", "/no/such/file.pem"]),
        ("SMTP_CA_FILE", ["--smtp-ca-file", empty]),
        ("SMTP_EHLO_NAME", ["--smtp-ehlo-name", "a b"]),
        ("SMTP_EHLO_NAME", ["--smtp-ehlo-name", "a\r\nMAIL"]),
    ] {
        let arguments = [&["--smtp-url", "smtps://mail"], &arguments[..]].concat();
        let text = load(&arguments).err().unwrap().to_string();
        assert!(text.contains(setting), "{arguments:?}: {text}");
    }
}
