//! How long the answer of a database may take.
//!
//! A link can go silent without an end. Without a limit a caller would wait for ever, and the session would be lost to the pool.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};

use crate::errors::{Class, class};
use crate::sessions::Sessions;

/// After this time the connection counts as lost. No statement of ours takes long.
const ANSWER: Duration = Duration::from_secs(15);

/// Waits for the answer. If it does not come in time, the caller gives up, or the session may be broken, all sessions are checked.
pub(crate) async fn answered<T>(
    sessions: &Sessions,
    answer: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    answered_within(ANSWER, sessions, answer).await
}

pub(crate) async fn answered_within<T>(
    limit: Duration,
    sessions: &Sessions,
    answer: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    let mut answer = std::pin::pin!(answer);
    // Dropped before the answer, which then gives its session back: the check of that session needs to know.
    let mut asked = Asked {
        sessions,
        is_answered: false,
    };
    let Ok(answer) = tokio::time::timeout(limit, answer.as_mut()).await else {
        let silence = format!("the database has not answered within {limit:?}");
        return Err(DbErr::Conn(RuntimeErr::Internal(silence)));
    };
    asked.is_answered = answer.as_ref().err().is_none_or(proves_a_link);
    answer
}

/// Whether the database refused the statement for what is in it: then its session works.
fn proves_a_link(error: &DbErr) -> bool {
    matches!(
        class(error),
        Class::Content | Class::Duplicate | Class::Conflict | Class::AfterFailure
    )
}

struct Asked<'a> {
    sessions: &'a Sessions,
    is_answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.sessions.statement_failed();
        }
    }
}
