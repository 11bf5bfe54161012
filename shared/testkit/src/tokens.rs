//! Access tokens for tests, for any user and role, without the user service.

use runtime::auth::{self, Caller, KEY_BYTES, LEEWAY, LIFETIME, Role, Signer, new_private_key};
use runtime::{Clock as _, SystemClock};
use sea_orm::ConnectionTrait;
use tonic::Request;
use uuid::Uuid;

use crate::eventually::eventually;

/// Issues tokens with its own key.
pub struct Tokens {
    signer: Signer,
}

/// The end of the year 9999, which PostgreSQL still knows.
const NEVER_MS: i64 = 253_402_300_799_000;

impl Tokens {
    /// With a key that no service knows.
    pub fn unknown() -> Self {
        let private_key = new_private_key().expect("random numbers");
        let key_id = Uuid::now_v7().to_string();
        Self {
            signer: Signer::new(key_id, &private_key).expect("a key that was just made"),
        }
    }

    /// With a key that the service with this database accepts.
    pub async fn accepted_by(db: &impl ConnectionTrait) -> Self {
        let tokens = Self::unknown();
        tokens.make_known(db).await;
        tokens
    }

    /// The service with this database accepts the key, as if it was announced now.
    pub async fn make_known(&self, db: &impl ConnectionTrait) {
        let key = self.signer.verification_key(NEVER_MS);
        eventually("the key is known", async || {
            auth::hear(db, &key, SystemClock.now_ms()).await
        })
        .await;
    }

    /// The id of the key and its public half.
    pub fn key(&self) -> (String, [u8; KEY_BYTES]) {
        let key = self.signer.verification_key(NEVER_MS);
        (key.key_id, key.public_key)
    }

    /// A user's token.
    pub fn user(&self, user_id: Uuid) -> String {
        self.of(user_id, Role::User, 0)
    }

    /// A token of a user without a verified address.
    pub fn unverified(&self, user_id: Uuid) -> String {
        let caller = Caller {
            user_id,
            role: Role::User,
            session_id: None,
            email_verified: Some(false),
        };
        self.signer.issue(caller, SystemClock.now_ms()).token
    }

    /// An admin's token.
    pub fn admin(&self) -> String {
        self.of(Uuid::now_v7(), Role::Admin, 0)
    }

    /// An operator's.
    pub fn operator(&self) -> String {
        self.of(Uuid::now_v7(), Role::Operator, 0)
    }

    /// A user's token, issued before any announcement of a test: with an unknown key, it counts as forged.
    pub fn older(&self, user_id: Uuid) -> String {
        self.of(user_id, Role::User, 60_000)
    }

    /// A user's token that expired, including the leeway.
    pub fn expired(&self, user_id: Uuid) -> String {
        let age = LIFETIME + LEEWAY;
        self.of(
            user_id,
            Role::User,
            i64::try_from(age.as_millis()).unwrap_or(i64::MAX),
        )
    }

    fn of(&self, user_id: Uuid, role: Role, age_ms: i64) -> String {
        let caller = Caller {
            user_id,
            role,
            session_id: None,
            email_verified: Some(true),
        };
        let issued_at_ms = SystemClock.now_ms() - age_ms;
        self.signer.issue(caller, issued_at_ms).token
    }
}

/// `message` in a call with `token`.
pub fn authorized<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a token is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}
