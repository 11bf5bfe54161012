//! A time limit for each answer of the database.
//!
//! A link can go silent without ending: a caller would wait forever and the pool would lose the session.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};

use crate::errors::{Class, class};
use crate::sessions::Sessions;

/// Then the connection counts as lost. None of the engine's statements takes long.
pub(crate) const ANSWER: Duration = Duration::from_secs(15);

/// A time-out, a cancelled caller or a possibly broken session causes a check of all sessions.
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
    // First, so that it drops last: the answer's drop returns its session, and the check of that session reads this.
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

/// A statement that was refused for its content proves that the session works.
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
