//! Login attempts by account and client address: each failure makes the next wait longer.
//!
//! An attempt counts from its start, so that many at once do not count as one. It is taken back if it was not checked,
//! and cleared if it succeeded.

use messaging::Transaction;
use sea_orm::DbErr;

use super::bucket::LOGINS;
use super::failures::Attempts;
use super::{Throttle, ThrottleError};
use crate::store::{attempts, buckets};

/// For logins from unknown addresses.
const ANYWHERE: &str = "";

pub struct Login {
    account: String,
    /// Of the client address; `None` for a login with a code.
    bucket: Option<String>,
    /// It becomes known if the login succeeds.
    address: String,
    counted_at: String,
    begun: Attempts,
}

impl Login {
    /// From an earlier login.
    pub fn is_from_known_address(&self) -> bool {
        self.counted_at != ANYWHERE
    }
}

impl Throttle {
    /// Counts a login of `account` (the key of an e-mail address) from `address`.
    ///
    /// A client address with an earlier login to the account has its own counter: attackers elsewhere cannot lock the
    /// user out. So has a login with a code from a mail; it also ignores the bucket of its client address, because it
    /// can guess for this account only.
    ///
    /// # Errors
    /// [`Wait`] after too many attempts.
    pub async fn begin_login(
        &self,
        account: &str,
        address: &str,
        has_code: bool,
    ) -> Result<Login, ThrottleError> {
        let now_ms = self.clock.now_ms();
        let account = self.digest(account);
        let bucket_of = (!has_code).then(|| self.bucket(LOGINS, address));
        let address = self.digest(address);
        let transaction = self.store.begin().await?;
        if let Some(bucket_of) = &bucket_of {
            let mut bucket = buckets::lock(&transaction, bucket_of).await?;
            bucket.take(LOGINS, now_ms)?;
            buckets::write(&transaction, bucket_of, bucket).await?;
        }
        let is_known = has_code || attempts::exists(&transaction, &account, &address).await?;
        let counted_at = if is_known { &address } else { ANYWHERE }.to_owned();
        let mut counter = attempts::lock(&transaction, &account, &counted_at).await?;
        counter.begin(now_ms)?;
        attempts::write(&transaction, &account, &counted_at, counter).await?;
        transaction.commit().await?;
        Ok(Login {
            account,
            bucket: bucket_of,
            address,
            counted_at,
            begun: counter,
        })
    }

    /// It does not count, and its address is known from now on.
    pub async fn succeeded(&self, login: Login) -> Result<(), DbErr> {
        let transaction = self.store.begin().await?;
        give_back(&transaction, &login).await?;
        self.forgive_in(&transaction, &login.account, &login.address)
            .await?;
        transaction.commit().await
    }

    /// A mail code has proved the user of `account`. Clears the failures of this address and of all unknown ones, and makes
    /// this address known, so that attackers do not delay the next login from there.
    pub async fn proved(
        &self,
        transaction: &Transaction,
        account: &str,
        address: &str,
    ) -> Result<(), DbErr> {
        let (account, address) = (self.digest(account), self.digest(address));
        self.forgive_in(transaction, &account, &address).await
    }

    async fn forgive_in(
        &self,
        transaction: &Transaction,
        account: &str,
        address: &str,
    ) -> Result<(), DbErr> {
        let forgiven = Attempts {
            last_at_ms: self.clock.now_ms(),
            ..Attempts::default()
        };
        for place in [address, ANYWHERE] {
            attempts::lock(transaction, account, place).await?;
            attempts::write(transaction, account, place, forgiven).await?;
        }
        Ok(())
    }

    /// It does not count.
    pub async fn take_back(&self, login: Login) -> Result<(), DbErr> {
        let transaction = self.store.begin().await?;
        give_back(&transaction, &login).await?;
        let place = &login.counted_at;
        let mut counter = attempts::lock(&transaction, &login.account, place).await?;
        counter.take_back(login.begun);
        attempts::write(&transaction, &login.account, place, counter).await?;
        transaction.commit().await
    }
}

async fn give_back(transaction: &Transaction, login: &Login) -> Result<(), DbErr> {
    let Some(bucket_of) = &login.bucket else {
        return Ok(());
    };
    let mut bucket = buckets::lock(transaction, bucket_of).await?;
    bucket.give(LOGINS);
    buckets::write(transaction, bucket_of, bucket).await
}
