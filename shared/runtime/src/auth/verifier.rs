//! Verifies tokens with the keys of the table, cached in memory.
//!
//! The table is read again if a token names an unknown key, so that a new key counts on every replica, and
//! periodically, so that a deleted key stops counting. Invented key ids cost at most a few queries a second. Without
//! the database, the cached keys continue to count.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sea_orm::DbErr;
use store::Database;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Caller;
use super::keys::{self, VerificationKey};
use super::refusal::Refusal;
use super::signatures::Signatures;
use super::token::{LEEWAY, Unverified};
use crate::clock::{Clock, millis};

/// For any number of unknown keys.
const LEAST_PAUSE: Duration = Duration::from_millis(200);
/// A silent link must not block waiting calls until their deadline.
const LONGEST_READ: Duration = Duration::from_secs(2);
/// Between two log lines about unknown keys.
const WARNING_PAUSE: Duration = Duration::from_secs(60);
/// How long a deleted key may continue to count.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Verifies tokens. Clones share the keys.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    clock: Arc<dyn Clock>,
    /// Every key is in the table before it signs.
    is_issuer: bool,
    keys: RwLock<Known>,
    signatures: Signatures,
    last_warning: Mutex<Option<Instant>>,
    /// One task reads, the others wait for its result.
    last_read: Mutex<Option<Read>>,
}

/// The table at the last read.
#[derive(Default)]
struct Known {
    keys: HashMap<String, VerificationKey>,
    announced_at_ms: Vec<i64>,
}

#[derive(Clone, Copy)]
struct Read {
    at: Instant,
    succeeded: bool,
}

impl Verifier {
    /// Without keys at first; reads them from `db`, which has the tables of [`crate::migrations`].
    pub fn new(db: Database, clock: Arc<dyn Clock>) -> Self {
        Self::with(db, clock, false)
    }

    /// As [`new`](Self::new), for the issuer of the tokens: each key is in its table before it signs, so a token with
    /// any other key is forged.
    pub fn of_issuer(db: Database, clock: Arc<dyn Clock>) -> Self {
        Self::with(db, clock, true)
    }

    fn with(db: Database, clock: Arc<dyn Clock>, is_issuer: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                db,
                clock,
                is_issuer,
                keys: RwLock::default(),
                signatures: Signatures::default(),
                last_warning: Mutex::new(None),
                last_read: Mutex::new(None),
            }),
        }
    }

    /// The caller of `token`.
    pub async fn verify(&self, token: &str) -> Result<Caller, Refusal> {
        let token = Unverified::parse(token)?;
        self.read_after(LONGEST_PAUSE).await;
        let mut key = self.inner.key(&token.key_id);
        if key.is_none() {
            let is_read = self.read_after(LEAST_PAUSE).await;
            key = self.inner.key(&token.key_id);
            if key.is_none() && !is_read {
                return Err(Refusal::Unavailable);
            }
        }
        let now_ms = self.inner.clock.now_ms();
        let Some(key) = key else {
            if self.inner.may_be_announced_later(&token, now_ms) {
                self.warn_now_and_then().await;
                return Err(Refusal::KeyNotHeardOf);
            }
            return Err(Refusal::UnknownKey);
        };
        if key.expires_at_ms <= now_ms {
            return Err(Refusal::UnknownKey);
        }
        token.verify(Some(&self.inner.signatures), &key.public_key, now_ms)
    }

    /// Forged tokens must not fill the log.
    async fn warn_now_and_then(&self) {
        let mut last = self.inner.last_warning.lock().await;
        if last.is_some_and(|last| last.elapsed() < WARNING_PAUSE) {
            return;
        }
        *last = Some(Instant::now());
        tracing::warn!(
            target: "security", event = "key_unknown",
            "callers send tokens of a key that was not announced yet; they are asked to retry"
        );
    }

    /// Reads the table, unless a read was tried less than `pause` ago: an unavailable database must not cost every call
    /// a time-out. Returns whether the last read succeeded.
    async fn read_after(&self, pause: Duration) -> bool {
        let mut last = self.inner.last_read.lock().await;
        if let Some(read) = *last
            && read.at.elapsed() < pause
        {
            return read.succeeded;
        }
        let failure = match tokio::time::timeout(LONGEST_READ, self.inner.read()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {LONGEST_READ:?}")),
        };
        if let Some(error) = &failure {
            tracing::warn!(%error, "the verification keys cannot be read; using those in memory");
        }
        *last = Some(Read {
            at: Instant::now(),
            succeeded: failure.is_none(),
        });
        failure.is_none()
    }
}

impl Inner {
    async fn read(&self) -> Result<(), DbErr> {
        let mut known = Known::default();
        for (key, announced_at_ms) in keys::all(&self.db).await? {
            known.announced_at_ms.extend(announced_at_ms);
            known.keys.insert(key.key_id.clone(), key);
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Whether this service may not have received the key yet: the token is newer than the last announcement, or there
    /// was none. An announcement from the future has a wrong time and proves nothing.
    fn may_be_announced_later(&self, token: &Unverified<'_>, now_ms: i64) -> bool {
        if self.is_issuer {
            return false;
        }
        let Some(issued_at_ms) = token.claims_to_be_of_ms(now_ms) else {
            return false;
        };
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let latest = now_ms.saturating_add(millis(LEEWAY));
        let believed = known.announced_at_ms.iter().filter(|at| **at <= latest);
        // Tokens count in whole seconds.
        believed
            .max()
            .is_none_or(|announced| issued_at_ms >= announced - announced.rem_euclid(1000))
    }

    fn key(&self, id: &str) -> Option<VerificationKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.keys.get(id).cloned()
    }
}
