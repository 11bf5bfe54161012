//! What the user service has in its database, and the codes in its mails.

use contracts::user::v1::{EmailVerificationRequested, PasswordResetRequested};
use testkit::Promised;

use crate::codes;
use crate::fixture::Fixture;

impl Fixture {
    /// The enqueued events of users, without keys and codes.
    pub(crate) async fn outbox(&self) -> Vec<Promised> {
        let mut outbox = testkit::outbox(&self.db).await;
        outbox.retain(|promised| promised.event_type.starts_with("angarium.user.v1.User"));
        outbox
    }

    pub(crate) async fn count_users(&self) -> i64 {
        self.count("SELECT count(*) FROM users").await
    }

    /// The code of the latest verification mail to this user.
    pub(crate) async fn verification_code(&self, user_id: &str) -> String {
        codes::last::<EmailVerificationRequested>(&self.db, user_id).await
    }

    /// The code of the latest reset mail to this user.
    pub(crate) async fn reset_code(&self, user_id: &str) -> String {
        codes::last::<PasswordResetRequested>(&self.db, user_id).await
    }
}
