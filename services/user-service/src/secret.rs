//! Secrets that we hand out: refresh tokens and mail codes. Only their digests are stored. Each has at least 125 random
//! bits, so a plain digest does not reveal it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};

/// Crockford's base 32: no letter looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARACTERS: usize = 25;
const GROUP: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system provides no random numbers")]
pub struct NoRandomness;

/// For programs.
pub fn new_token() -> Result<SecretString, NoRandomness> {
    let token = URL_SAFE_NO_PAD.encode(random::<32>()?);
    Ok(SecretString::from(token))
}

pub fn token_digest(token: &SecretString) -> String {
    hashed(token.expose_secret())
}

/// For people, in groups: `7ZK4M-…`.
pub fn new_code() -> Result<SecretString, NoRandomness> {
    let mut code = String::new();
    for (index, byte) in random::<CODE_CHARACTERS>()?.into_iter().enumerate() {
        if index > 0 && index % GROUP == 0 {
            code.push('-');
        }
        // 32 divides 256, so all letters are equally likely.
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(SecretString::from(code))
}

/// The same for all spellings.
pub fn code_digest(code: &SecretString) -> String {
    let written = code.expose_secret().chars();
    let plain: String = written
        .filter(|character| !character.is_whitespace() && *character != '-')
        .map(|character| match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    hashed(&plain)
}

fn hashed(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_people_write_it() {
        let digest = |code: &str| code_digest(&SecretString::from(code));
        for written in ["01ABC-DEFGH", "o1abc defgh", " OlAbC-dEfGh\n", "0iabcdefgh"] {
            assert_eq!(digest(written), digest("01ABCDEFGH"), "{written}");
        }
        assert_ne!(digest("01ABC-DEFGH"), digest("01ABC-DEFGJ"));
    }

    #[test]
    fn no_two_are_alike_and_each_is_recognised_by_its_digest() {
        let (one, other) = (new_code().unwrap(), new_code().unwrap());
        assert_ne!(code_digest(&one), code_digest(&other));
        assert_eq!(one.expose_secret().len(), 29);
        assert!(!code_digest(&one).contains(one.expose_secret()));
        let token = new_token().unwrap();
        assert_eq!(token.expose_secret().len(), 43);
        assert_ne!(token_digest(&token), token_digest(&new_token().unwrap()));
    }
}
