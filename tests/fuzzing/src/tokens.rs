//! An access token: invented, or any claims signed by a trusted key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use runtime::auth::{KEY_BYTES, LEEWAY, read_token};

/// A key that no deployment has.
const SEED: [u8; 32] = [7; 32];
const NOW_MS: i64 = 1_800_000_000_000;

/// Reads a token: as it is, and as the claims of a signed one.
pub fn token(bytes: &[u8]) {
    let Ok(key) = Ed25519KeyPair::from_seed_unchecked(&SEED) else {
        unreachable!("the seed has the length of one");
    };
    let mut public_key = [0; KEY_BYTES];
    public_key.copy_from_slice(key.public_key().as_ref());

    let text = String::from_utf8_lossy(bytes);
    assert!(read_token(&text, &public_key, NOW_MS).is_err(), "{text}");

    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"1","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    let token = format!("{signed}.{signature}");
    if read_token(&token, &public_key, NOW_MS).is_ok() {
        // Even our own key is accepted only for our audience, and not longer than the token says.
        let claims: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        assert_eq!(claims["iss"], "angarium");
        assert_eq!(claims["aud"], "angarium");
        let expires = claims["exp"].as_i64().unwrap_or_default();
        let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or_default();
        assert!(expires.saturating_add(leeway) > NOW_MS / 1000);
        // And not for another key.
        assert!(read_token(&token, &[8; KEY_BYTES], NOW_MS).is_err());
    }
}
