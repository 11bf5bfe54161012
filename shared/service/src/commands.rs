//! The database of a service's commands: where each command begins, with the call that it answers.
//!
//! Guarantees: a call with a `request_id` has one effect. A command cannot commit without the answer that the next such call
//! gets: the type of its transaction has no other end.

use std::ops::Deref;

use messaging::{Store, Transaction};
use runtime::idempotency::{self, Call};
use sea_orm::DbErr;
use store::Database;

use crate::CommonError;

/// The database of a service, for its commands.
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
/// Without the answer it does not compile:
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

/// How a command begins.
pub enum Begun<C> {
    /// The call was made before, with this answer. Nothing is left to do.
    Replay(Vec<u8>),
    /// The call is the first of its kind: here is its transaction.
    Fresh(C),
}

/// The transaction of a command that has no answer yet. Dropping it rolls it back.
pub struct Command<'a> {
    transaction: Transaction,
    call: Option<&'a Call>,
}

/// The transaction of a command that began with its answer. Dropping it rolls it back, and the answer with it.
pub struct AnsweredCommand {
    transaction: Transaction,
}

impl CommandStore {
    /// On the service's database.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// For queries outside of a command.
    pub fn connection(&self) -> &Database {
        self.store.connection()
    }

    /// Begins the command that `call` asks for, and claims the call. Another command that has claimed it is waited for.
    ///
    /// # Errors
    /// Where the outbox is over its budget, the `request_id` stands for another content, or the database refuses.
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

    /// As [`begin`](Self::begin), and keeps `answer` in the statement that claims the call: for a command that knows its answer
    /// before it begins.
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

    /// The answer to `call` if it was made before. For what is expensive and comes before the command.
    ///
    /// # Errors
    /// Where the `request_id` stands for another content, or the database refuses.
    pub async fn answered(&self, call: Option<&Call>) -> Result<Option<Vec<u8>>, CommonError> {
        Ok(idempotency::answered(self.connection(), call).await?)
    }

    /// Begins a command of which a second one is a command of its own: a login. Its request has no `request_id`.
    ///
    /// # Errors
    /// Where no connection can be had in time, or the database is away.
    pub async fn begin_unrepeatable(&self) -> Result<Transaction, DbErr> {
        self.store.begin().await
    }
}

impl Command<'_> {
    /// Keeps `answer` for the next such call, and commits. It must hold nothing that is secret, and nothing personal that is to be
    /// erased before its time.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit_with(self, answer: Vec<u8>) -> Result<(), DbErr> {
        idempotency::keep(&self.transaction, self.call, answer).await?;
        self.transaction.commit().await
    }
}

impl AnsweredCommand {
    /// Commits, with the answer that the command began with.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit(self) -> Result<(), DbErr> {
        self.transaction.commit().await
    }

    /// Undoes everything, the answer as well, and waits until it is undone.
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
