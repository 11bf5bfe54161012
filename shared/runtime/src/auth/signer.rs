//! Issues access tokens: only the user service has private keys.

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::keys::VerificationKey;
use super::token::{self, Claims, LIFETIME};
use super::{Caller, KEY_BYTES};

/// A key pair that signs tokens. No `Debug`: it would show the private half.
pub struct Signer {
    key_id: String,
    pair: Ed25519KeyPair,
}

/// A token and its expiry.
#[derive(Clone)]
pub struct AccessToken {
    /// For the header `authorization: Bearer …`.
    pub token: String,
    /// From this time on it is refused, apart from the leeway.
    pub expires_at_ms: i64,
}

/// The bytes are not an Ed25519 key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the private key is not an Ed25519 key in PKCS#8 form")]
pub struct InvalidKey;

/// A new private key in PKCS#8 form; `None` if the system has no randomness.
pub fn new_private_key() -> Option<Vec<u8>> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
    Some(document.as_ref().to_vec())
}

impl Signer {
    /// With a private key from [`new_private_key`].
    ///
    /// # Errors
    /// If the key is invalid.
    pub fn new(key_id: impl Into<String>, private_key: &[u8]) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_pkcs8(private_key).map_err(|_| InvalidKey)?;
        Ok(Self {
            key_id: key_id.into(),
            pair,
        })
    }

    /// The public part, which verifies the tokens until `expires_at_ms`.
    pub fn verification_key(&self, expires_at_ms: i64) -> VerificationKey {
        let mut public_key = [0; KEY_BYTES];
        public_key.copy_from_slice(self.pair.public_key().as_ref());
        VerificationKey {
            key_id: self.key_id.clone(),
            public_key,
            expires_at_ms,
        }
    }

    /// A token for `caller`, valid for [`LIFETIME`] from `now_ms`.
    pub fn issue(&self, caller: Caller, now_ms: i64) -> AccessToken {
        let lifetime_ms = i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX);
        AccessToken {
            token: self.sign(&Claims::of(caller, now_ms.div_euclid(1000))),
            // Tokens count in whole seconds.
            expires_at_ms: now_ms - now_ms.rem_euclid(1000) + lifetime_ms,
        }
    }

    pub(super) fn sign(&self, claims: &impl serde::Serialize) -> String {
        // Text and numbers are always valid JSON.
        let unsigned = token::unsigned(&self.key_id, claims).unwrap_or_default();
        let signature = self.pair.sign(unsigned.as_bytes());
        token::signed(&unsigned, signature.as_ref())
    }
}
