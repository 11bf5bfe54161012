//! The common end of a change and of a reset.

use contracts::user::v1::UserPasswordChanged;
use mail_codes::Purpose;
use messaging::{Cause, Transaction, outbox};
use service::time;

use super::Commands;
use crate::error::Error;
use crate::password::PasswordHash;
use crate::store::{self, codes, sessions};
use crate::user::User;

impl Commands {
    /// Ends all sessions of a locked user. Returns their number.
    pub(super) async fn set_password(
        &self,
        transaction: &Transaction,
        mut user: User,
        hash: &PasswordHash,
        cause: &Cause,
    ) -> Result<u64, Error> {
        store::write_password(transaction, user.id, hash).await?;
        user.change(self.clock.now_ms());
        store::update_user(transaction, &user).await?;
        codes::delete(transaction, Purpose::PasswordReset, user.id).await?;
        let ended = sessions::delete_of_user(transaction, user.id).await?;
        let changed = UserPasswordChanged {
            user_id: user.id.to_string(),
            change_time: Some(time::timestamp(user.updated_at_ms)),
        };
        outbox::enqueue(transaction, &changed, user.version, cause)?;
        Ok(ended)
    }
}
