//! What changes orders: each command is one transaction that holds the new state, the event that tells of it, and the answer
//! to the call where that may be made again.

use std::sync::Arc;

use contracts::order::v1::{Order as OrderMessage, OrderCancelled, OrderPlaced};
use messaging::{Cause, Store, outbox};
use prost::Message as _;
use runtime::Clock;
use runtime::idempotency::{self, Call};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::convert;
use crate::error::Error;
use crate::order::{Lines, Order};
use crate::store;

/// The commands of this service.
#[derive(Clone)]
pub struct Commands {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Commands {
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Places an order for a user who is known here.
    pub async fn place_order(
        &self,
        user_id: Uuid,
        lines: Lines,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<OrderMessage, Error> {
        let order = Order::place(Uuid::now_v7(), user_id, lines, self.clock.now_ms());
        let transaction = self.store.begin_command().await?;
        if let Some(first) = idempotency::claim(&*transaction, call).await? {
            return answer(&first);
        }
        if !store::knows_user(&*transaction, user_id).await? {
            return Err(Error::UserUnknown(user_id));
        }
        store::insert_order(&*transaction, &order).await?;
        let placed = OrderPlaced {
            order_id: order.id.to_string(),
            user_id: order.user_id.to_string(),
            lines: order.lines.iter().map(convert::line).collect(),
            total_price: Some(convert::money(&order.total)),
            create_time: Some(convert::timestamp(order.created_at_ms)),
        };
        outbox::enqueue(&transaction, &placed, order.version, cause).await?;
        let answer = convert::order(&order);
        idempotency::keep(&*transaction, call, answer.encode_to_vec()).await?;
        transaction.commit().await?;
        Ok(answer)
    }

    /// The order with this id.
    pub async fn get_order(&self, order_id: Uuid) -> Result<Order, Error> {
        store::find_order(self.store.connection(), order_id)
            .await?
            .ok_or(Error::OrderNotFound(order_id))
    }

    /// Cancels an order that has not gone further.
    pub async fn cancel_order(
        &self,
        order_id: Uuid,
        reason: String,
        call: Option<&Call>,
        cause: &Cause,
    ) -> Result<OrderMessage, Error> {
        let transaction = self.store.begin_command().await?;
        if let Some(first) = idempotency::claim(&*transaction, call).await? {
            return answer(&first);
        }
        let mut order = store::lock_order(&*transaction, order_id)
            .await?
            .ok_or(Error::OrderNotFound(order_id))?;
        let now_ms = self.clock.now_ms();
        order
            .cancel(reason.clone(), now_ms)
            .map_err(|illegal| Error::NotCancellable {
                order_id,
                state: illegal.from,
            })?;
        store::update_order(&*transaction, &order).await?;
        let cancelled = OrderCancelled {
            order_id: order.id.to_string(),
            user_id: order.user_id.to_string(),
            reason,
            cancel_time: Some(convert::timestamp(now_ms)),
        };
        outbox::enqueue(&transaction, &cancelled, order.version, cause).await?;
        let answer = convert::order(&order);
        idempotency::keep(&*transaction, call, answer.encode_to_vec()).await?;
        transaction.commit().await?;
        Ok(answer)
    }
}

/// What the first call was answered.
fn answer(first: &[u8]) -> Result<OrderMessage, Error> {
    OrderMessage::decode(first)
        .map_err(|_| DbErr::Type("idempotency.response is no order".to_owned()).into())
}
