//! Announces the keys that verify tokens to all services.

use contracts::user::v1::KeyPublished;
use messaging::{Cause, Transaction, outbox};
use runtime::auth;
use sea_orm::DbErr;
use service::time;

use crate::store::signing_keys;

/// All keys with tokens that are still accepted at `now_ms`, if `transaction` commits. The caller holds the lock of the
/// keys.
pub async fn announce(transaction: &Transaction, now_ms: i64, cause: &Cause) -> Result<(), DbErr> {
    for (key, version) in signing_keys::public_at(transaction, now_ms).await? {
        let published = KeyPublished {
            key_id: key.key_id.clone(),
            public_key: key.public_key.to_vec(),
            expire_time: Some(time::timestamp(key.expires_at_ms)),
        };
        signing_keys::write_version(transaction, &key.key_id, version + 1).await?;
        auth::hear(transaction, &key, now_ms).await?;
        outbox::enqueue(transaction, &published, version + 1, cause)?;
    }
    Ok(())
}
