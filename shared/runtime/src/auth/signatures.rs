//! Signatures that were verified before: a client sends the same token with many calls, and verifying costs more than
//! anything else before the handler.
//!
//! Guarantee: an entry only says that this key signed exactly this text. Claims, times and the key itself are checked
//! in each call.

use quick_cache::sync::Cache;
use ring::digest::{Context, SHA256};
use ring::signature::{ED25519, UnparsedPublicKey};

use super::keys::KEY_BYTES;
use super::refusal::Refusal;

/// Of 32 bytes each. Tokens of more callers only cost what they did before.
const MOST: usize = 10_000;

/// The verified signatures of one process.
#[doc(hidden)]
pub struct Signatures {
    verified: Cache<[u8; 32], ()>,
}

impl Default for Signatures {
    fn default() -> Self {
        Self {
            verified: Cache::new(MOST),
        }
    }
}

impl Signatures {
    pub(super) fn check(
        &self,
        public_key: &[u8; KEY_BYTES],
        text: &[u8],
        signature: &[u8],
    ) -> Result<(), Refusal> {
        let digest = digest(public_key, text, signature);
        if digest.is_some_and(|digest| self.verified.get(&digest).is_some()) {
            return Ok(());
        }
        verify(public_key, text, signature)?;
        if let Some(digest) = digest {
            self.verified.insert(digest, ());
        }
        Ok(())
    }
}

pub(super) fn verify(
    public_key: &[u8; KEY_BYTES],
    text: &[u8],
    signature: &[u8],
) -> Result<(), Refusal> {
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(text, signature)
        .map_err(|_| Refusal::Signature)
}

/// With the length of the text, so that no byte can move from the signature to the text.
fn digest(public_key: &[u8; KEY_BYTES], text: &[u8], signature: &[u8]) -> Option<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    context.update(public_key);
    context.update(&text.len().to_be_bytes());
    context.update(text);
    context.update(signature);
    context.finish().as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn pair(seed: u8) -> (Ed25519KeyPair, [u8; KEY_BYTES]) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let mut public_key = [0; KEY_BYTES];
        public_key.copy_from_slice(pair.public_key().as_ref());
        (pair, public_key)
    }

    #[test]
    fn only_the_same_text_of_the_same_key_counts_as_verified() {
        let (ours, key) = pair(1);
        let (_, other_key) = pair(2);
        let signatures = Signatures::default();
        let text = b"header.claims";
        let signature = ours.sign(text);
        let signature = signature.as_ref();
        for _ in 0..2 {
            assert_eq!(signatures.check(&key, text, signature), Ok(()));
        }
        assert_eq!(signatures.verified.len(), 1);

        let mut longer = text.to_vec();
        longer.push(signature[0]);
        let mut damaged = signature.to_vec();
        damaged[7] ^= 1;
        for (key, text, signature) in [
            (&other_key, &text[..], signature),
            (&key, b"header.Claims", signature),
            (&key, text, &damaged),
            (&key, &longer, &signature[1..]),
            (&key, text, b""),
        ] {
            assert_eq!(
                signatures.check(key, text, signature),
                Err(Refusal::Signature)
            );
        }
        assert_eq!(signatures.verified.len(), 1);
    }
}
