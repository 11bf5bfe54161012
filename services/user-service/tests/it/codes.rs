//! The codes in mails, read as the notification service reads them.

use contracts::Event;
use contracts::user::v1::{EmailVerificationRequested, PasswordResetRequested};
use mail_codes::{MailCodes, Purpose};
use runtime::sealed::MasterKey;
use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret as _;

pub(crate) trait Carries: Event {
    fn sealed(&self) -> (Purpose, &str, &[u8]);
}

impl Carries for EmailVerificationRequested {
    fn sealed(&self) -> (Purpose, &str, &[u8]) {
        (Purpose::EmailVerification, &self.user_id, &self.sealed_code)
    }
}

impl Carries for PasswordResetRequested {
    fn sealed(&self) -> (Purpose, &str, &[u8]) {
        (Purpose::PasswordReset, &self.user_id, &self.sealed_code)
    }
}

pub(crate) async fn all<E: Carries>(db: &impl ConnectionTrait) -> Vec<E> {
    let outbox = testkit::outbox(db).await;
    let carrying = outbox.iter().filter(|row| row.event_type == E::full_name());
    carrying.map(testkit::Promised::decode::<E>).collect()
}

pub(crate) async fn last<E: Carries>(db: &impl ConnectionTrait, user_id: &str) -> String {
    let codes = MailCodes::new(&MasterKey::well_known("MAIL_SEALING_KEY"));
    let events = all::<E>(db).await;
    let of_user = events
        .iter()
        .rev()
        .find(|event| event.sealed().1 == user_id);
    let (purpose, user_id, sealed) = of_user.expect("a code was made").sealed();
    let code = codes
        .open(purpose, user_id.parse().unwrap(), sealed)
        .unwrap();
    code.expose_secret().to_owned()
}
