//! A page token from a caller, issued or invented.

use runtime::page_token::PageTokens;
use uuid::Uuid;

/// A key that no deployment has.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const FILTER: &str = "user_id=7";

/// Reads a token: as it is, and as a modification of an issued one.
pub fn page_token(bytes: &[u8]) {
    let Some(tokens) = PageTokens::new(KEY) else {
        unreachable!("the key is well formed");
    };
    let text = String::from_utf8_lossy(bytes);
    if let Ok(last) = tokens.read(&text, FILTER) {
        // Only an issued token is accepted, and only in its exact form.
        assert_eq!(tokens.issue(last, FILTER), text);
    }
    let issued = tokens.issue(Uuid::from_u128(7), FILTER);
    let mut changed = issued.clone().into_bytes();
    for (index, byte) in bytes.iter().take(changed.len()).enumerate() {
        changed[index] ^= byte & 0x7f;
    }
    let changed = String::from_utf8_lossy(&changed);
    assert_eq!(tokens.read(&changed, FILTER).is_ok(), changed == issued);
    assert!(tokens.read(&issued, &text).is_err() || text == FILTER);
}
