//! The user service has told of a key: from now on tokens that it has signed are accepted.

use contracts::user::v1::KeyPublished;
use messaging::{Delivered, HandlerError, Transaction};
use runtime::auth::{self, VerificationKey};

pub async fn handle(
    transaction: &Transaction,
    event: KeyPublished,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let public_key = event.public_key.try_into();
    let public_key = public_key
        .map_err(|_| HandlerError::reject("public_key does not have the 32 bytes of a key"))?;
    let expires = event.expire_time.unwrap_or_default();
    let key = VerificationKey {
        key_id: event.key_id,
        public_key,
        expires_at_ms: expires.seconds.saturating_mul(1000),
    };
    auth::hear(transaction, &key, delivered.envelope.time_ms).await?;
    Ok(())
}
