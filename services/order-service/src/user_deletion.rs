//! Completes the deletion of users: cancels their open orders and erases texts in the others.
//!
//! The handler of `user.deleted` marks the user, who then cannot place orders. The worker of [`service::user_deletion`]
//! handles a few orders per transaction until none is left.

use messaging::Transaction;
use service::user_deletion::{Deleted, Deletions, MarkedUsers};

use crate::changes;
use crate::error::Error;
use crate::order::Change;
use crate::store::{user_deletion, users};

/// For people.
pub const REASON: &str = "the user was deleted";
/// Per transaction: few, so that no other transaction waits long.
const CANCELLED_AT_ONCE: u64 = 50;
const ERASED_AT_ONCE: u64 = 500;

pub struct Orders;

impl Deletions for Orders {
    const WHAT: &'static str = "the orders of deleted users";
    const MARKED: MarkedUsers = users::MARKED;

    async fn settle_some(transaction: &Transaction, user: &Deleted) -> anyhow::Result<bool> {
        Ok(cancel_some(transaction, user).await? || erase_some(transaction, user).await?)
    }
}

/// Returns whether there may be more.
async fn cancel_some(transaction: &Transaction, user: &Deleted) -> Result<bool, Error> {
    let orders =
        user_deletion::lock_open_orders(transaction, user.user_id, CANCELLED_AT_ONCE).await?;
    let may_be_more = !orders.is_empty();
    let now_ms = ::store::now_ms(transaction).await?;
    for mut order in orders {
        let change = Change::Cancel {
            reason: REASON.to_owned(),
        };
        changes::apply(transaction, &mut order, change, now_ms, &user.cause).await?;
    }
    Ok(may_be_more)
}

/// Returns whether there may be more.
async fn erase_some(transaction: &Transaction, user: &Deleted) -> Result<bool, Error> {
    let erased =
        user_deletion::erase_texts(transaction, user.user_id, REASON, ERASED_AT_ONCE).await?;
    Ok(erased > 0)
}
