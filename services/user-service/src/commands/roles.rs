//! Announces changed roles.
//!
//! A role follows from the verified address and from the configuration. It changes with the address, in that
//! transaction, or with a start that has other lists: then [`Commands::announce_roles`] finds it.

use std::collections::BTreeSet;
use std::time::Duration;

use contracts::user::v1::UserRoleChanged;
use messaging::{Cause, Transaction, outbox};
use service::time;
use store::Rounds;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Commands;
use crate::convert;
use crate::error::Error;
use crate::store::{self as tables, announced_roles};
use crate::user::User;

/// While the database is unavailable.
const PAUSE: Duration = Duration::from_secs(60);

/// Once: during a rollout, a replica with the older lists would announce the change back.
pub async fn run(commands: Commands, stop: CancellationToken) {
    let mut rounds = Rounds::at_once(PAUSE);
    while rounds.next(&stop).await {
        match commands.announce_roles().await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(%error, "changed roles were not announced; the next round tries again");
            }
        }
    }
    stop.cancelled().await;
}

impl Commands {
    /// Of every user who has or had another role than a plain user.
    pub async fn announce_roles(&self) -> Result<(), Error> {
        let cause = Cause::call(Uuid::now_v7().to_string());
        for user_id in self.special_users().await? {
            let transaction = self.store.begin_unrepeatable().await?;
            if let Some(locked) = tables::lock_user(&transaction, user_id).await? {
                let mut user = locked.user;
                self.announce_role(&transaction, &mut user, &cause).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    /// If it differs from the announced one. The change takes a version.
    pub(super) async fn announce_role(
        &self,
        transaction: &Transaction,
        user: &mut User,
        cause: &Cause,
    ) -> Result<(), Error> {
        let role = self.role_of(user);
        let previous = announced_roles::find(transaction, user.id).await?;
        if role == previous {
            return Ok(());
        }
        announced_roles::write(transaction, user.id, role).await?;
        user.change(self.clock.now_ms());
        tables::update_user(transaction, user).await?;
        let changed = UserRoleChanged {
            user_id: user.id.to_string(),
            role: convert::role(role).into(),
            previous_role: convert::role(previous).into(),
            change_time: Some(time::timestamp(user.updated_at_ms)),
        };
        outbox::enqueue(transaction, &changed, user.version, cause)?;
        let (user_id, role, previous) = (user.id, role.as_str(), previous.as_str());
        tracing::info!(target: "security", event = "role_changed", %user_id, role, previous);
        Ok(())
    }

    async fn special_users(&self) -> Result<BTreeSet<Uuid>, Error> {
        let db = self.store.connection();
        let mut found: BTreeSet<Uuid> = announced_roles::all(db).await?.into_iter().collect();
        for key in self.admins.iter().chain(self.operators.iter()) {
            let user = tables::find_by_email(db, key).await?;
            found.extend(user.map(|found| found.user.id));
        }
        Ok(found)
    }
}
