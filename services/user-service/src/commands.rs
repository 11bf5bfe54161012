//! What changes users: each command is one transaction that holds the new state and the event that tells of it.

use std::sync::Arc;

use contracts::user::v1::UserCreated;
use messaging::{Cause, Store, outbox};
use runtime::Clock;
use runtime::idempotency::{self, Call};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use crate::convert;
use crate::error::Error;
use crate::password::{Hasher, Password};
use crate::store;
use crate::user::{DisplayName, Email, User};

/// The commands of this service.
#[derive(Clone)]
pub struct Commands {
    store: Store,
    hasher: Hasher,
    clock: Arc<dyn Clock>,
}

impl Commands {
    pub fn new(store: Store, hasher: Hasher, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            hasher,
            clock,
        }
    }

    /// Registers a user whose address nobody else has. The answer to a `call` that is made again is the user of the first.
    pub async fn create_user(
        &self,
        email: Email,
        password: Password,
        display_name: DisplayName,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<User, Error> {
        let db = self.store.connection();
        if let Some(first) = idempotency::answered(db, call).await? {
            return registered(db, &first).await;
        }
        // Before the transaction begins, because it takes long: a connection, or SQLite's only writer, must not wait for it.
        let password_hash = self.hasher.hash(password).await?;
        let user = User::register(Uuid::now_v7(), email, display_name, self.clock.now_ms());
        let transaction = self.store.begin_command().await?;
        if let Some(first) = idempotency::claim(&*transaction, call).await? {
            return registered(&*transaction, &first).await;
        }
        store::insert_user(&*transaction, &user, &password_hash).await?;
        let created = UserCreated {
            user_id: user.id.to_string(),
            email: user.email.as_given().to_owned(),
            display_name: user.display_name.as_str().to_owned(),
            create_time: Some(convert::timestamp(user.created_at_ms)),
        };
        outbox::enqueue(&transaction, &created, user.version, cause).await?;
        // The id and no more: what is personal stands in one place, from where it can be erased.
        idempotency::keep(&*transaction, call, user.id.as_bytes().to_vec()).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// The user with this id.
    pub async fn get_user(&self, user_id: Uuid) -> Result<User, Error> {
        store::find_user(self.store.connection(), user_id)
            .await?
            .ok_or(Error::UserNotFound(user_id))
    }
}

/// The user whose id was kept as the answer to the first call.
async fn registered(db: &impl ConnectionTrait, first: &[u8]) -> Result<User, Error> {
    let user_id = Uuid::from_slice(first)
        .map_err(|_| DbErr::Type("idempotency.response is no user's id".to_owned()))?;
    store::find_user(db, user_id)
        .await?
        .ok_or(Error::UserNotFound(user_id))
}
