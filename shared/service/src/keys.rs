//! Keys of access tokens, for services that verify tokens of another one: the request, and the handler of the
//! announcement.

use contracts::key::v1::KeyRequested;
use contracts::user::v1::KeyPublished;
use messaging::{Delivered, HandlerError, Transaction};
use runtime::auth::{self, VerificationKey};
use uuid::Uuid;

use crate::time;

/// Handles `key.published`: from now on, tokens signed by the key are accepted. Every service with
/// [`Keys::Announced`](crate::Keys::Announced) subscribes it.
///
/// # Errors
/// *Reject* if the event contains no valid key.
pub async fn published(
    transaction: &Transaction,
    event: KeyPublished,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let public_key = event.public_key.try_into();
    let public_key = public_key
        .map_err(|_| HandlerError::reject("public_key does not have the 32 bytes of a key"))?;
    let key = VerificationKey {
        key_id: event.key_id,
        public_key,
        expires_at_ms: time::unix_ms(event.expire_time),
    };
    auth::hear(transaction, &key, delivered.envelope.time_ms).await?;
    Ok(())
}

pub(crate) fn request(service: &str) -> KeyRequested {
    KeyRequested {
        request_id: Uuid::now_v7().to_string(),
        service: service.to_owned(),
    }
}
