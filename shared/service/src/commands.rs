//! The database for a service's commands.
//!
//! Guarantees: a call with a `request_id` has one effect. A command cannot commit without its answer for repeated
//! calls: the type of its transaction has no other end.

use std::ops::Deref;

use messaging::{Store, Transaction};
use runtime::idempotency::{self, Call};
use sea_orm::DbErr;
use store::Database;

use crate::CommonError;

/// The database for the commands of a service.
///
/// ```
/// use messaging::{Cause, outbox};
/// use runtime::idempotency::Call;
/// use service::{Begun, CommandStore, CommonError};
///
/// # use contracts::user::v1::UserDeleted;
/// async fn delete(
///     store: &CommandStore,
///     deleted: UserDeleted,
///     call: Option<&Call>,
///     cause: &Cause,
/// ) -> Result<(), CommonError> {
///     let command = match store.begin(call).await? {
///         // The call was made before.
///         Begun::Replay(_answer) => return Ok(()),
///         Begun::Fresh(command) => command,
///     };
///     outbox::enqueue(&command, &deleted, 2, cause)?;
///     command.commit_with(Vec::new()).await?;
///     Ok(())
/// }
/// ```
///
/// A commit without the answer does not compile:
///
/// ```compile_fail
/// use messaging::{Cause, outbox};
/// use runtime::idempotency::Call;
/// use service::{Begun, CommandStore, CommonError};
///
/// # use contracts::user::v1::UserDeleted;
/// async fn delete(
///     store: &CommandStore,
///     deleted: UserDeleted,
///     call: Option<&Call>,
///     cause: &Cause,
/// ) -> Result<(), CommonError> {
///     let command = match store.begin(call).await? {
///         Begun::Replay(_answer) => return Ok(()),
///         Begun::Fresh(command) => command,
///     };
///     outbox::enqueue(&command, &deleted, 2, cause)?;
///     command.commit().await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct CommandStore {
    store: Store,
}

/// The beginning of a command.
pub enum Begun<C> {
    /// A repeated call, with the first answer. Nothing is left to do.
    Replay(Vec<u8>),
    /// The first call, with its transaction.
    Fresh(C),
}

/// A transaction without an answer yet. Dropping it rolls back.
pub struct Command<'a> {
    transaction: Transaction,
    call: Option<&'a Call>,
}

/// A transaction that began with its answer. Dropping it rolls back both.
pub struct AnsweredCommand {
    transaction: Transaction,
}

impl CommandStore {
    /// For the service's database.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// For queries outside a command.
    pub fn connection(&self) -> &Database {
        self.store.connection()
    }

    /// Begins the command for `call`, and claims the call. Waits for a command that has claimed it.
    ///
    /// # Errors
    /// If the outbox is over its budget, the `request_id` was used with other content, or the database refuses.
    pub async fn begin<'a>(
        &self,
        call: Option<&'a Call>,
    ) -> Result<Begun<Command<'a>>, CommonError> {
        let transaction = self.store.begin_command().await?;
        let first = idempotency::claim(&transaction, call).await?;
        Ok(match first {
            Some(answer) => Begun::Replay(answer),
            None => Begun::Fresh(Command { transaction, call }),
        })
    }

    /// As [`begin`](Self::begin), but stores `answer` in the statement that claims the call.
    ///
    /// # Errors
    /// As `begin`.
    pub async fn begin_answered(
        &self,
        call: Option<&Call>,
        answer: impl FnOnce() -> Vec<u8>,
    ) -> Result<Begun<AnsweredCommand>, CommonError> {
        let transaction = self.store.begin_command().await?;
        let first = idempotency::claim_with(&transaction, call, answer).await?;
        Ok(match first {
            Some(answer) => Begun::Replay(answer),
            None => Begun::Fresh(AnsweredCommand { transaction }),
        })
    }

    /// The answer to `call` if it is a repeated one. For expensive work before the command.
    ///
    /// # Errors
    /// If the `request_id` was used with other content, or the database refuses.
    pub async fn answered(&self, call: Option<&Call>) -> Result<Option<Vec<u8>>, CommonError> {
        Ok(idempotency::answered(self.connection(), call).await?)
    }

    /// Begins a command without a `request_id`, such as a login: each call has its own effect.
    ///
    /// # Errors
    /// If no connection is free in time, or the database is unavailable.
    pub async fn begin_unrepeatable(&self) -> Result<Transaction, DbErr> {
        self.store.begin().await
    }
}

impl Command<'_> {
    /// Stores `answer` for repeated calls, and commits. The answer must contain no secrets, and no personal data that
    /// may have to be erased before it expires.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit_with(self, answer: Vec<u8>) -> Result<(), DbErr> {
        idempotency::keep(&self.transaction, self.call, answer).await?;
        self.transaction.commit().await
    }
}

impl AnsweredCommand {
    /// Commits, with the answer.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit(self) -> Result<(), DbErr> {
        self.transaction.commit().await
    }

    /// Rolls back, the answer included, and waits until it is done.
    ///
    /// # Errors
    /// As [`Transaction::rollback`].
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.transaction.rollback().await
    }
}

impl Deref for Command<'_> {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}

impl Deref for AnsweredCommand {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}
