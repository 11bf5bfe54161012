//! The settings of mails: valid and invalid values.

use std::ffi::OsString;

use notification_service::config::Delivery;
use notification_service::{Args, Config};
use runtime::config::ConfigError;

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
