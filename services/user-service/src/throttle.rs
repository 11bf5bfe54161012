//! Rate limits: logins by account and client address, registrations, codes and mails. Pure except for [`Throttle`].
//!
//! The counters are rows, so they survive restarts and replicas share them. Accounts and addresses are digests with the
//! deployment's key. An account that does not exist has a counter like any other, so nothing reveals the difference.

use std::sync::Arc;

use messaging::{Store, Transaction};
use runtime::Clock;
use runtime::sealed::{DigestKey, MasterKey};
use sea_orm::DbErr;

use crate::store::{attempts, buckets};

pub mod bucket;
pub mod failures;
mod logins;

use bucket::FULL_AFTER;
pub use bucket::{
    CODES, LOGINS, Limit, MAILS, MOVES, PASSWORDS, PLACES, REGISTRATIONS, RESETS, Wait,
};
pub use logins::Login;

#[derive(Debug, thiserror::Error)]
pub enum ThrottleError {
    #[error(transparent)]
    Wait(#[from] Wait),
    #[error(transparent)]
    Database(#[from] DbErr),
}

#[derive(Clone)]
pub struct Throttle {
    store: Store,
    clock: Arc<dyn Clock>,
    digests: DigestKey,
}

impl Throttle {
    pub fn new(store: Store, secret_key: &MasterKey, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            digests: secret_key.digest_key("throttling"),
        }
    }

    /// Of an account or address, for tables and logs.
    pub fn digest(&self, subject: &str) -> String {
        self.digests.digest(subject)
    }

    /// # Errors
    /// [`Wait`] if the bucket of `subject` is empty.
    pub async fn take(&self, limit: Limit, subject: &str) -> Result<(), ThrottleError> {
        let transaction = self.store.begin().await?;
        self.take_in(&transaction, limit, subject).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// As [`take`](Self::take), in the transaction of the counted action. Then other users of the bucket wait, so do it
    /// last.
    ///
    /// # Errors
    /// [`Wait`] if it is empty.
    pub async fn take_in(
        &self,
        transaction: &Transaction,
        limit: Limit,
        subject: &str,
    ) -> Result<(), ThrottleError> {
        let subject = self.bucket(limit, subject);
        let mut bucket = buckets::lock(transaction, &subject).await?;
        bucket.take(limit, self.clock.now_ms())?;
        buckets::write(transaction, &subject, bucket).await?;
        Ok(())
    }

    /// Takes nothing: for expensive work that comes before.
    ///
    /// # Errors
    /// [`Wait`] if it is empty.
    pub async fn check(&self, limit: Limit, subject: &str) -> Result<(), ThrottleError> {
        let subject = self.bucket(limit, subject);
        let mut bucket = buckets::read(self.store.connection(), &subject).await?;
        Ok(bucket.take(limit, self.clock.now_ms())?)
    }

    /// Deletes counters without effect. Returns the number of rows.
    pub async fn clean_up(&self) -> Result<u64, DbErr> {
        let transaction = self.store.begin().await?;
        let now_ms = self.clock.now_ms();
        let emptiest_ms = now_ms + FULL_AFTER.at_once * FULL_AFTER.then_each_ms;
        buckets::bring_back(&transaction, emptiest_ms).await?;
        attempts::bring_back(&transaction, now_ms).await?;
        let buckets = buckets::delete_full(&transaction, now_ms).await?;
        let attempts = attempts::delete_older(&transaction, now_ms - KNOWN_FOR_MS).await?;
        transaction.commit().await?;
        Ok(buckets + attempts)
    }

    fn bucket(&self, limit: Limit, subject: &str) -> String {
        self.digest(&format!("{} {subject}", limit.name))
    }
}

/// For the address of a login.
const KNOWN_FOR_MS: i64 = 90 * 24 * 3600 * 1_000;
