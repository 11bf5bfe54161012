//! Logins, by account and by client address: who is wrong waits, and longer each time.
//!
//! An attempt counts from its beginning, so that many at once are not one; it is taken back where nobody came to judge it, and
//! forgiven where it was right. What is left are those that were wrong.

use messaging::Transaction;
use sea_orm::DbErr;

use super::bucket::LOGINS;
use super::failures::Attempts;
use super::{Throttle, ThrottleError};
use crate::store::{attempts, buckets};

/// Whoever logs in from anywhere shares this counter.
const ANYWHERE: &str = "";

/// A login that is being tried.
pub struct Login {
    account: String,
    /// The bucket of the client address; `None` where the login has a code.
    bucket: Option<String>,
    /// The client address, which is known once the login is right.
    address: String,
    counted_at: String,
    begun: Attempts,
}

impl Login {
    /// Whether the account knows the client address from a login before.
    pub fn is_from_known_address(&self) -> bool {
        self.counted_at != ANYWHERE
    }
}

impl Throttle {
    /// Counts a login of `account` (the key of an e-mail address) from `address`.
    ///
    /// A client address from which somebody has logged in to the account before has a counter of its own, so that whoever
    /// tries from elsewhere cannot keep its user out. So has a login that comes with a code of a mail to the account, and no others at
    /// its client address hold it up either: it guesses at this one account only.
    ///
    /// # Errors
    /// [`Wait`] where there were too many.
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

    /// The login was right: it was no failure, and its address is known from now on.
    pub async fn succeeded(&self, login: Login) -> Result<(), DbErr> {
        let transaction = self.store.begin().await?;
        give_back(&transaction, &login).await?;
        self.forgive_in(&transaction, &login.account, &login.address)
            .await?;
        transaction.commit().await
    }

    /// A code of a mail has proved that the caller is the user of `account`: failures so far are forgiven, and the client address
    /// is known from now on, so others who go on guessing do not hold up the next login there.
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

    /// The login was not judged, so it was no attempt.
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

/// Gives one back to the client address.
async fn give_back(transaction: &Transaction, login: &Login) -> Result<(), DbErr> {
    let Some(bucket_of) = &login.bucket else {
        return Ok(());
    };
    let mut bucket = buckets::lock(transaction, bucket_of).await?;
    bucket.give(LOGINS);
    buckets::write(transaction, bucket_of, bucket).await
}
