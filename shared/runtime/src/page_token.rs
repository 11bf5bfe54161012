//! The position of a client in a list: the last id that it has seen, bound to the list's filter and authenticated.
//!
//! A changed or foreign token is refused. A token stays valid as long as the deployment's key. It grants nothing: a
//! caller needs the right to the list anyway.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use uuid::Uuid;

/// Of another layout: another number.
const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 16;

/// Issues and reads tokens.
#[derive(Clone)]
pub struct PageTokens {
    key: hmac::Key,
}

/// The text is not a token for this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOurs;

impl PageTokens {
    /// With the deployment's key, which the first start writes into the table `angarium_page_token_key`.
    ///
    /// # Errors
    /// If the database cannot be used, or the system has no randomness.
    pub async fn open(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let candidate = new_key()
            .ok_or_else(|| DbErr::Custom("the system provides no random numbers".into()))?;
        let statement = |sql: &str, values: Vec<sea_orm::Value>| {
            Statement::from_sql_and_values(db.get_database_backend(), sql, values)
        };
        let insert = "INSERT INTO angarium_page_token_key (id, secret_key) VALUES (1, $1) ON CONFLICT DO NOTHING";
        db.execute_raw(statement(insert, vec![candidate.into()]))
            .await?;
        let select = "SELECT secret_key FROM angarium_page_token_key WHERE id = 1";
        let row = db.query_one_raw(statement(select, Vec::new())).await?;
        let unreadable = || DbErr::Type("angarium_page_token_key has no valid key".to_owned());
        let key: String = row.ok_or_else(unreadable)?.try_get("", "secret_key")?;
        Self::new(&key).ok_or_else(unreadable)
    }

    /// With a key from [`new_key`].
    pub fn new(key: &str) -> Option<Self> {
        let key = STANDARD_NO_PAD.decode(key).ok()?;
        let key = (key.len() == KEY_BYTES).then_some(key)?;
        Some(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }

    /// The token for the page after `last` in the list with this filter.
    pub fn issue(&self, last: Uuid, filter: &str) -> String {
        let tag = hmac::sign(&self.key, &signed(last, filter));
        let token = [&[VERSION], last.as_bytes().as_slice(), tag.as_ref()].concat();
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The last id of the previous page.
    ///
    /// # Errors
    /// If [`issue`](Self::issue) did not make the token for this filter.
    pub fn read(&self, token: &str, filter: &str) -> Result<Uuid, NotOurs> {
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| NotOurs)?;
        let Some(([VERSION], rest)) = token.split_first_chunk() else {
            return Err(NotOurs);
        };
        let Some((id, tag)) = rest.split_first_chunk::<ID_BYTES>() else {
            return Err(NotOurs);
        };
        let last = Uuid::from_bytes(*id);
        hmac::verify(&self.key, &signed(last, filter), tag).map_err(|_| NotOurs)?;
        Ok(last)
    }
}

/// A new random key, as text; `None` if the system has no randomness.
pub fn new_key() -> Option<String> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).ok()?;
    Some(STANDARD_NO_PAD.encode(key))
}

/// The id has a fixed length, so different pairs give different bytes.
fn signed(last: Uuid, filter: &str) -> Vec<u8> {
    [&[VERSION], last.as_bytes().as_slice(), filter.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> PageTokens {
        PageTokens::new(&new_key().unwrap()).unwrap()
    }

    #[test]
    fn a_token_gives_back_its_position() {
        let (tokens, last) = (tokens(), Uuid::now_v7());
        let token = tokens.issue(last, "filter");
        assert_eq!(tokens.read(&token, "filter"), Ok(last));
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
    }

    #[test]
    fn a_token_of_another_filter_or_deployment_is_refused() {
        let (ours, last) = (tokens(), Uuid::now_v7());
        let token = ours.issue(last, "filter");
        assert_eq!(ours.read(&token, ""), Err(NotOurs));
        assert_eq!(tokens().read(&token, "filter"), Err(NotOurs));
    }

    #[test]
    fn a_token_that_was_changed_in_any_character_is_refused() {
        let tokens = tokens();
        let token = tokens.issue(Uuid::now_v7(), "");
        for index in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.read(&changed, ""), Err(NotOurs), "{changed}");
        }
        for made_up in ["", "A", "AQ", "not base64!", &token[..token.len() - 2]] {
            assert_eq!(tokens.read(made_up, ""), Err(NotOurs), "{made_up}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(PageTokens::new("").is_none());
        assert!(PageTokens::new("c2hvcnQ").is_none());
    }
}
