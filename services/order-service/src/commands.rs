//! What callers do to orders: each command is one transaction that holds the new state and the event that tells of it.

use std::sync::Arc;
use std::time::Duration;

use messaging::{Cause, Store};
use runtime::Clock;
use uuid::Uuid;

use crate::changes;
use crate::error::Error;
use crate::order::{Change, Lines, Order};
use crate::store;

/// The commands of this service.
#[derive(Clone)]
pub struct Commands {
    store: Store,
    clock: Arc<dyn Clock>,
    confirmation_time: Duration,
}

/// An order that somebody wants to change.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub order_id: Uuid,
    /// Whose it has to be; `None` for who may change everybody's.
    pub owner: Option<Uuid>,
    /// The version that the caller knows; `None` where they do not mind.
    pub version: Option<i64>,
}

impl Commands {
    /// An order that is not confirmed within `confirmation_time` is cancelled.
    pub fn new(store: Store, clock: Arc<dyn Clock>, confirmation_time: Duration) -> Self {
        Self {
            store,
            clock,
            confirmation_time,
        }
    }

    /// Places an order for a user who is known here.
    pub async fn place_order(
        &self,
        user_id: Uuid,
        lines: Lines,
        cause: &Cause,
    ) -> Result<Order, Error> {
        let now_ms = self.clock.now_ms();
        let patience_ms = i64::try_from(self.confirmation_time.as_millis()).unwrap_or(i64::MAX);
        let expires_at_ms = now_ms.saturating_add(patience_ms);
        let order = Order::place(Uuid::now_v7(), user_id, lines, now_ms, expires_at_ms);
        let transaction = self.store.begin_command().await?;
        let user = store::users::share_user(&*transaction, user_id).await?;
        let user = user.ok_or(Error::UserUnknown(user_id))?;
        if user.deleted_at_ms.is_some() {
            return Err(Error::UserDeleted(user_id));
        }
        changes::place(&transaction, &order, cause).await?;
        transaction.commit().await?;
        Ok(order)
    }

    /// Confirms, ships or cancels an order.
    pub async fn change_order(
        &self,
        target: Target,
        change: Change,
        cause: &Cause,
    ) -> Result<Order, Error> {
        let Target {
            order_id,
            owner,
            version,
        } = target;
        let transaction = self.store.begin_command().await?;
        let mut order = store::lock_order(&*transaction, order_id, owner)
            .await?
            .ok_or(Error::no_order(order_id, owner))?;
        if version.is_some_and(|version| version != order.version) {
            return Err(Error::EtagMismatch(order_id));
        }
        changes::apply(&transaction, &mut order, change, self.clock.now_ms(), cause).await?;
        transaction.commit().await?;
        Ok(order)
    }
}
