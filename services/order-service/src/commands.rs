//! The commands: each is one transaction with the new state, its event, and the stored answer for repeated calls.

use std::sync::Arc;
use std::time::Duration;

use contracts::order::v1::Order as OrderMessage;
use messaging::Cause;
use prost::Message as _;
use runtime::idempotency::Call;
use runtime::{Clock, etag};
use sea_orm::DbErr;
use service::{Begun, CommandStore};
use uuid::Uuid;

use crate::error::Error;
use crate::order::{Change, Lines, Order};
use crate::store;
use crate::{changes, convert};

#[derive(Clone)]
pub struct Commands {
    store: CommandStore,
    clock: Arc<dyn Clock>,
    confirmation_time: Duration,
}

#[derive(Clone, Debug)]
pub struct Target {
    pub order_id: Uuid,
    /// `None` for callers who may change all orders.
    pub owner: Option<Uuid>,
    /// Empty if any version is accepted.
    pub etag: String,
}

impl Commands {
    /// An order that is not confirmed within `confirmation_time` is cancelled.
    pub fn new(store: CommandStore, clock: Arc<dyn Clock>, confirmation_time: Duration) -> Self {
        Self {
            store,
            clock,
            confirmation_time,
        }
    }

    pub async fn place_order(
        &self,
        user_id: Uuid,
        lines: Lines,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<OrderMessage, Error> {
        let now_ms = self.clock.now_ms();
        let patience_ms = i64::try_from(self.confirmation_time.as_millis()).unwrap_or(i64::MAX);
        let expires_at_ms = now_ms.saturating_add(patience_ms);
        let order = Order::place(Uuid::now_v7(), user_id, lines, now_ms, expires_at_ms);
        let answer = convert::order(&order);
        let kept = || answer.encode_to_vec();
        let command = match self.store.begin_answered(call, kept).await? {
            Begun::Replay(first) => return decode(&first),
            Begun::Fresh(command) => command,
        };
        let user = store::users::share_user(&*command, user_id).await?;
        let user = user.ok_or(Error::UserUnknown(user_id))?;
        if user.deleted_at_ms.is_some() {
            return Err(Error::UserDeleted(user_id));
        }
        changes::place(&command, &order, cause).await?;
        command.commit().await?;
        Ok(answer)
    }

    pub async fn change_order(
        &self,
        target: Target,
        change: Change,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<OrderMessage, Error> {
        let Target {
            order_id,
            owner,
            etag,
        } = target;
        let command = match self.store.begin(call).await? {
            Begun::Replay(first) => return answered(&first, change),
            Begun::Fresh(command) => command,
        };
        let mut order = store::lock_order(&*command, order_id, owner)
            .await?
            .ok_or(Error::no_order(order_id, owner))?;
        etag::check(&etag, order.version)?;
        let now_ms = self.clock.now_ms();
        changes::apply(&command, &mut order, change, now_ms, cause).await?;
        let answer = convert::order(&order);
        command.commit_with(kept(&answer)).await?;
        Ok(answer)
    }
}

/// Without texts by people: these may have to be erased earlier.
fn kept(answer: &OrderMessage) -> Vec<u8> {
    let kept = OrderMessage {
        cancellation_reason: String::new(),
        tracking_number: String::new(),
        ..answer.clone()
    };
    kept.encode_to_vec()
}

/// The repeated call has the same content: it supplies the texts that were not stored.
fn answered(first: &[u8], change: Change) -> Result<OrderMessage, Error> {
    let mut answer = decode(first)?;
    match change {
        Change::Cancel { reason } => answer.cancellation_reason = reason,
        Change::Ship {
            tracking_number, ..
        } => answer.tracking_number = tracking_number,
        Change::Confirm => {}
    }
    Ok(answer)
}

fn decode(first: &[u8]) -> Result<OrderMessage, Error> {
    OrderMessage::decode(first).map_err(|_| {
        DbErr::Type("idempotency.response does not contain an order".to_owned()).into()
    })
}
