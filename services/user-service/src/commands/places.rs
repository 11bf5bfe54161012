//! Notices logins from new places.
//!
//! Guarantee: a login is never refused for its place, and a user gets at most a few mails an hour.

use contracts::user::v1::SessionStartedAtNewPlace;
use messaging::{Cause, Transaction, outbox};
use service::time;
use uuid::Uuid;

use super::Commands;
use crate::error::Error;
use crate::places::{KNOWN_FOR_MS, Place};
use crate::store::known_places;
use crate::throttle::{PLACES, ThrottleError};
use crate::user::User;

impl Commands {
    /// Records the place of a login of a locked user, and enqueues the event if it is new; the first login has nothing
    /// to compare with. Last, because other transactions wait for the counter.
    pub(super) async fn note_place(
        &self,
        transaction: &Transaction,
        user: &User,
        session_id: Uuid,
        place: &Place,
        cause: &Cause,
    ) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let digest = self.places.digest(user.id, place);
        let since_ms = now_ms - KNOWN_FOR_MS;
        let known = known_places::find(transaction, user.id, &digest, since_ms).await?;
        known_places::learn(transaction, user.id, &digest, now_ms).await?;
        if known.is_first_login {
            known_places::record_first_login(transaction, user.id, now_ms).await?;
        }
        if known.is_first_login || known.is_known {
            return Ok(());
        }
        known_places::forget_oldest(transaction, user.id).await?;
        tracing::info!(target: "security", event = "login_from_new_place", user_id = %user.id);
        let mailbox = Self::counted_as(user);
        match self.throttle.take_in(transaction, PLACES, &mailbox).await {
            Err(ThrottleError::Wait(_)) => return Ok(()),
            counted => counted?,
        }
        let started = SessionStartedAtNewPlace {
            session_id: session_id.to_string(),
            user_id: user.id.to_string(),
            client_network: place.network().to_owned(),
            start_time: Some(time::timestamp(now_ms)),
        };
        outbox::enqueue(transaction, &started, 1, cause)?;
        Ok(())
    }

    /// The subject of the limits on mails about an account. Accounts with an unverified address share the limit of its
    /// mailbox: they must not flood a stranger, nor use up the limit of the mailbox's owner.
    pub(super) fn counted_as(user: &User) -> String {
        match user.email_verified {
            true => user.id.to_string(),
            false => user.email.mailbox(),
        }
    }
}
