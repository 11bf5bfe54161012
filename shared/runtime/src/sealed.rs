//! Encrypted secrets: AES-256-GCM with keys that are derived from the deployment's secrets.
//!
//! Each purpose has its own key (HKDF-SHA256), and a sealed value is bound to its context: it cannot be opened
//! elsewhere or after a change.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};

/// Of another layout: another number.
const VERSION: u8 = 1;

/// A deployment's secret, from which keys are derived. No `Debug`.
#[derive(Clone)]
pub struct MasterKey {
    setting: &'static str,
    secret: SecretString,
}

impl MasterKey {
    /// The public default in development.
    pub const WELL_KNOWN: &'static str = "angarium in development: this key is known to everybody";

    /// The value of `setting`.
    pub fn new(setting: &'static str, secret: SecretString) -> Self {
        Self { setting, secret }
    }

    /// The public default key.
    pub fn well_known(setting: &'static str) -> Self {
        Self::new(setting, SecretString::from(Self::WELL_KNOWN))
    }

    /// Whether it is the public default key.
    pub fn is_well_known(&self) -> bool {
        self.secret.expose_secret() == Self::WELL_KNOWN
    }

    /// Call it at the start of the service.
    pub fn warn_if_well_known(&self) {
        if self.is_well_known() {
            let setting = self.setting;
            tracing::warn!(
                "{setting} is the well-known key of development and protects nothing; set a secret key, and MODE=production"
            );
        }
    }

    /// The key for `purpose`.
    pub fn sealing_key(&self, purpose: &str) -> SealingKey {
        let mut bytes = [0; 32];
        self.derive(purpose, &mut bytes);
        SealingKey { bytes }
    }

    /// As [`sealing_key`](Self::sealing_key), for digests of values that must not be stored.
    pub fn digest_key(&self, purpose: &str) -> DigestKey {
        let mut bytes = [0; 32];
        self.derive(purpose, &mut bytes);
        DigestKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    pub(crate) fn setting(&self) -> &'static str {
        self.setting
    }

    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.secret.expose_secret().len()
    }

    /// Not repeated text, few characters or a sequence. A key that passes may still be weak.
    pub(crate) fn looks_random(&self) -> bool {
        let bytes = self.secret.expose_secret().as_bytes();
        let is_repeated =
            (1..=bytes.len() / 2).any(|period| bytes[period..] == bytes[..bytes.len() - period]);
        let steps: Vec<u8> = bytes
            .windows(2)
            .map(|pair| pair[1].wrapping_sub(pair[0]))
            .collect();
        !is_repeated && bits(bytes) >= MIN_BITS && bits(&steps) >= MIN_BITS
    }

    fn derive(&self, purpose: &str, bytes: &mut [u8; 32]) {
        let salt = Salt::new(HKDF_SHA256, b"angarium");
        let extracted = salt.extract(self.secret.expose_secret().as_bytes());
        let purpose = [purpose.as_bytes()];
        let filled = extracted
            .expand(&purpose, HKDF_SHA256)
            .and_then(|okm| okm.fill(bytes));
        // HKDF refuses only more than 255 hashes.
        debug_assert!(filled.is_ok());
    }
}

/// Less than 32 random characters of base 16 have.
const MIN_BITS: f64 = 80.0;

/// From the frequency of each value.
fn bits(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let all = f64::from(counts.iter().sum::<u32>());
    let occurring = counts.into_iter().filter(|count| *count > 0).map(f64::from);
    occurring.map(|count| count * (all / count).log2()).sum()
}

/// Encrypts and decrypts. No `Debug`.
#[derive(Clone)]
pub struct SealingKey {
    bytes: [u8; 32],
}

/// Why a value cannot be sealed or opened; without details on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system has no randomness.
    #[error("the system provides no random numbers")]
    NoRandomness,
    /// It was sealed with another key or context, or was changed.
    #[error("the sealed value cannot be opened: it has another key or context, or was changed")]
    NotOurs,
}

impl SealingKey {
    /// Seals `secret`, bound to `context`.
    pub fn seal(&self, secret: &[u8], context: &str) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealError::NoRandomness)?;
        let mut sealed = secret.to_vec();
        self.key()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| SealError::NotOurs)?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// The secret.
    ///
    /// # Errors
    /// [`SealError::NotOurs`] with another key or `context`.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, SealError> {
        let Some(([VERSION], rest)) = sealed.split_first_chunk() else {
            return Err(SealError::NotOurs);
        };
        let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(SealError::NotOurs);
        };
        let mut opened = sealed.to_vec();
        let secret = self
            .key()?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(context.as_bytes()),
                &mut opened,
            )
            .map_err(|_| SealError::NotOurs)?;
        Ok(secret.to_vec())
    }

    fn key(&self) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, &self.bytes).map_err(|_| SealError::NotOurs)?;
        Ok(LessSafeKey::new(key))
    }
}

/// Makes digests from which the content cannot be guessed without the key.
#[derive(Clone)]
pub struct DigestKey(hmac::Key);

impl DigestKey {
    /// HMAC-SHA256 of `content`, in hex.
    pub fn digest(&self, content: impl AsRef<[u8]>) -> String {
        use std::fmt::Write as _;
        let mut hex = String::new();
        for byte in hmac::sign(&self.0, content.as_ref()).as_ref() {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str, purpose: &str) -> SealingKey {
        MasterKey::new("SECRET_KEY", SecretString::from(secret)).sealing_key(purpose)
    }

    #[test]
    fn only_the_same_key_and_place_open_what_is_sealed() {
        let sealed = key("one", "keys").seal(b"private", "key 7").unwrap();
        assert_eq!(
            key("one", "keys").open(&sealed, "key 7"),
            Ok(b"private".to_vec())
        );
        for (secret, purpose, context) in [
            ("two", "keys", "key 7"),
            ("one", "codes", "key 7"),
            ("one", "keys", "key 8"),
            ("one", "keys", ""),
        ] {
            let opened = key(secret, purpose).open(&sealed, context);
            assert_eq!(
                opened,
                Err(SealError::NotOurs),
                "{secret} {purpose} {context}"
            );
        }
    }

    #[test]
    fn what_was_changed_or_cut_is_not_opened() {
        let key = key("one", "keys");
        let sealed = key.seal(b"private", "").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(key.open(&changed, ""), Err(SealError::NotOurs), "{index}");
            assert_eq!(key.open(&sealed[..index], ""), Err(SealError::NotOurs));
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_alike() {
        let key = key("one", "keys");
        let one = key.seal(b"private", "").unwrap();
        assert_ne!(one, key.seal(b"private", "").unwrap());
        assert!(!one.windows(7).any(|bytes| bytes == b"private"));
    }

    #[test]
    fn a_digest_belongs_to_its_key() {
        let digest = |secret: &str| {
            let key = MasterKey::new("SECRET_KEY", SecretString::from(secret));
            key.digest_key("addresses").digest("ada@example.com")
        };
        assert_eq!(digest("one"), digest("one"));
        assert_ne!(digest("one"), digest("two"));
        assert_eq!(digest("one").len(), 64);
    }
}
