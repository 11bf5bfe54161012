//! The keys of access tokens: created, encrypted, rotated with overlap, and announced to all services that verify
//! tokens.
//!
//! One key signs at a time. Its successor is announced an hour earlier, so that all services know it by then. A key
//! stays valid until its last token has expired. Replicas share the keys through the database.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use messaging::{Backoff, Cause, Store, Transaction};
use runtime::auth::{
    self, AccessToken, Caller, LEEWAY, LIFETIME, Signer, VerificationKey, new_private_key,
};
use runtime::sealed::{MasterKey, SealingKey};
use runtime::{Clock, ExitWith, millis};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::signing_keys::{self, StoredKey};

pub mod announcement;
mod turns;

use turns::Turn;

/// From the creation of a key to its first use: far longer than all replicas and the announcement need.
const AHEAD: Duration = Duration::from_secs(3600);
/// While the database is unavailable.
const PAUSE: Duration = Duration::from_secs(60);
/// Announcements without a request: short intervals after a start, when other services start as well.
const ANNOUNCEMENTS: Backoff = Backoff::doubling(Duration::from_secs(5), Duration::from_secs(300));

const SEALED_BY_ANOTHER: &str = "they were encrypted with another SECRET_KEY: start with that key, or delete the rows of \
     signing_key to create new keys";

pub struct Keys {
    store: Store,
    sealing: SealingKey,
    rotation: Duration,
    clock: Arc<dyn Clock>,
    known: RwLock<Vec<SigningKey>>,
}

struct SigningKey {
    signer: Signer,
    turn: Turn,
}

impl Keys {
    /// Creates a key if none can sign now.
    ///
    /// # Errors
    /// If the database is unavailable, or its keys were encrypted with another `SECRET_KEY`.
    pub async fn open(
        store: Store,
        secret_key: &MasterKey,
        rotation: Duration,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let keys = Self {
            store,
            sealing: secret_key.sealing_key("signing keys"),
            rotation,
            clock,
            known: RwLock::default(),
        };
        keys.look().await?;
        Ok(keys)
    }

    /// `None` if the keys could not be read for too long.
    pub fn issue(&self, caller: Caller) -> Option<AccessToken> {
        let now_ms = self.clock.now_ms();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let turns: Vec<Turn> = known.iter().map(|key| key.turn).collect();
        let key = known.get(turns::signing(&turns, now_ms)?)?;
        Some(key.signer.issue(caller, now_ms))
    }

    /// Creates keys in time, and announces them periodically, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut announcements = 0;
        while !stop.is_cancelled() {
            let pause = match self.tend().await {
                Ok(()) => {
                    announcements += 1;
                    ANNOUNCEMENTS.delay(announcements, 0.0)
                }
                Err(error) => {
                    tracing::warn!(
                        "the signing keys could not be read or announced, retrying: {error:#}"
                    );
                    PAUSE
                }
            };
            let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    async fn tend(&self) -> anyhow::Result<()> {
        self.look().await?;
        self.announce().await
    }

    /// Creates a missing key. Returns whether it did.
    pub async fn look(&self) -> anyhow::Result<bool> {
        let now_ms = self.clock.now_ms();
        let transaction = self.store.begin().await?;
        signing_keys::lock_all(&transaction).await?;
        signing_keys::delete_expired(&transaction, now_ms).await?;
        let mut stored = signing_keys::valid_at(&transaction, now_ms).await?;
        let turns: Vec<Turn> = stored.iter().map(turn_of).collect();
        let made = match turns::missing_from(&turns, now_ms, millis(AHEAD)) {
            None => None,
            Some(from_ms) => Some(self.make(&transaction, from_ms).await?),
        };
        let is_new = made.is_some();
        stored.extend(made);
        let known = stored
            .iter()
            .map(|key| self.unseal(key))
            .collect::<anyhow::Result<_>>()?;
        transaction.commit().await?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(is_new)
    }

    pub async fn announce(&self) -> anyhow::Result<()> {
        let cause = Cause::call(Uuid::now_v7().to_string());
        let transaction = self.store.begin().await?;
        signing_keys::lock_all(&transaction).await?;
        announcement::announce(&transaction, self.clock.now_ms(), &cause).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn make(&self, transaction: &Transaction, from_ms: i64) -> anyhow::Result<StoredKey> {
        let key_id = Uuid::now_v7().to_string();
        let private_key = new_private_key().context("the system provides no random numbers")?;
        let until_ms = from_ms + millis(self.rotation);
        let key = StoredKey {
            sealed_private_key: self.sealing.seal(&private_key, &key_id)?,
            key_id,
            signs_from_ms: from_ms,
            signs_until_ms: until_ms,
            expires_at_ms: until_ms + millis(LIFETIME) + millis(LEEWAY),
            version: 0,
        };
        signing_keys::insert(transaction, &key).await?;
        // This service does not receive its own announcements.
        auth::learn(transaction, &self.verification_key(&key)?).await?;
        tracing::info!(target: "security", event = "signing_key_made", key_id = %key.key_id, "a key was made");
        Ok(key)
    }

    fn verification_key(&self, stored: &StoredKey) -> anyhow::Result<VerificationKey> {
        let key = self.unseal(stored)?;
        Ok(key.signer.verification_key(stored.expires_at_ms))
    }

    fn unseal(&self, stored: &StoredKey) -> anyhow::Result<SigningKey> {
        let opened = self
            .sealing
            .open(&stored.sealed_private_key, &stored.key_id);
        let private_key = opened.map_err(|_| ExitWith::misconfigured(SEALED_BY_ANOTHER))?;
        Ok(SigningKey {
            signer: Signer::new(&stored.key_id, &private_key)?,
            turn: turn_of(stored),
        })
    }
}

fn turn_of(key: &StoredKey) -> Turn {
    Turn {
        from_ms: key.signs_from_ms,
        until_ms: key.signs_until_ms,
    }
}
