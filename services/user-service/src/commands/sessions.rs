//! Lists and ends the sessions of a user.
//!
//! Guarantee: a token of an ended session can list, end and delete nothing, although other calls accept it until it
//! expires.

use runtime::auth::Caller;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::Commands;
use crate::error::Error;
use crate::store::sessions::{self, Session};

impl Commands {
    /// Newest first: `limit` of those before `before`.
    pub async fn list_sessions(
        &self,
        caller: Caller,
        before: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Session>, Error> {
        let db = self.store.connection();
        self.check_session(db, caller).await?;
        let (user_id, now_ms) = (caller.user_id, self.clock.now_ms());
        Ok(sessions::list_of_user(db, user_id, before, limit, now_ms).await?)
    }

    /// A session of another user, or none, is ignored.
    pub async fn end_session(
        &self,
        caller: Caller,
        session_id: Uuid,
        address: &str,
    ) -> Result<(), Error> {
        let transaction = self.store.begin_unrepeatable().await?;
        self.check_session(&transaction, caller).await?;
        let user_id = caller.user_id;
        let has_ended = sessions::delete_own(&transaction, session_id, user_id).await?;
        transaction.commit().await?;
        if has_ended {
            tracing::info!(target: "security", event = "session_ended", %user_id, address);
        }
        Ok(())
    }

    /// Locks the caller's session until the transaction ends.
    pub(super) async fn check_session(
        &self,
        db: &impl ConnectionTrait,
        caller: Caller,
    ) -> Result<(), Error> {
        let session_id = caller.session_id.ok_or(Error::SessionEnded)?;
        let now_ms = self.clock.now_ms();
        match sessions::lock_live(db, session_id, caller.user_id, now_ms).await? {
            true => Ok(()),
            false => Err(Error::SessionEnded),
        }
    }
}
