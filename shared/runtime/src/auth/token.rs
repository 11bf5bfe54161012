//! Access tokens: JWTs signed with Ed25519, in the one form that we issue.
//!
//! The format has many more, and most attacks on it live in them: so this reads one algorithm, one issuer, one audience, and
//! refuses everything else before it looks at the claims. A library would bring all of them, and a crypto provider for the
//! whole process beside the one of TLS.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::{Caller, Role};
use super::refusal::Refusal;

/// How long a token is valid. Short, because it cannot be taken back.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// By how much the clocks of two machines may differ.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// Far above what we issue, and little to look at.
const MAX_BYTES: usize = 2048;
const ALGORITHM: &str = "EdDSA";
const ISSUER: &str = "angarium";
const AUDIENCE: &str = "angarium";

/// The first part of a token. What else may stand there (`crit`, `jku`, `jwk` …) is not for us to follow.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

/// The second part of a token.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: String,
    pub(super) role: String,
    pub(super) iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<i64>,
    pub(super) exp: i64,
    pub(super) jti: String,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) email_verified: Option<bool>,
}

impl Claims {
    /// What a token says of `caller`.
    pub(super) fn of(caller: Caller, issued_at_s: i64) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: caller.user_id.to_string(),
            role: caller.role.as_str().to_owned(),
            iat: issued_at_s,
            nbf: None,
            exp: issued_at_s + seconds(LIFETIME),
            jti: Uuid::now_v7().to_string(),
            sid: caller.session_id.map(|id| id.to_string()),
            email_verified: caller.email_verified,
        }
    }

    /// Whom the token stands for, if it does at `now_s`.
    fn caller(&self, now_s: i64) -> Result<Caller, Refusal> {
        if self.iss != ISSUER || self.aud != AUDIENCE {
            return Err(Refusal::Foreign);
        }
        let leeway = seconds(LEEWAY);
        let not_before = self.nbf.unwrap_or(self.iat).max(self.iat);
        if not_before.saturating_sub(leeway) > now_s {
            return Err(Refusal::NotYetValid);
        }
        if self.exp.saturating_add(leeway) <= now_s {
            return Err(Refusal::Expired);
        }
        let user_id = Uuid::parse_str(&self.sub).map_err(|_| Refusal::Malformed)?;
        let role = Role::parse(&self.role).ok_or(Refusal::Malformed)?;
        let session_id = self.sid.as_deref().map(Uuid::parse_str).transpose();
        Ok(Caller {
            user_id,
            role,
            session_id: session_id.map_err(|_| Refusal::Malformed)?,
            email_verified: self.email_verified,
        })
    }
}

/// A token that has been taken apart; nothing of it is believed yet.
pub(super) struct Unverified<'a> {
    pub(super) key_id: String,
    signed: &'a str,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_BYTES {
            return Err(Refusal::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let header: Header =
            serde_json::from_slice(&decoded(header)?).map_err(|_| Refusal::Malformed)?;
        if header.alg != ALGORITHM {
            return Err(Refusal::Algorithm);
        }
        Ok(Self {
            key_id: header.kid,
            signed,
            claims: decoded(claims)?,
            signature: decoded(signature)?,
        })
    }

    /// The time of issue in the token, if it could be one of ours at `now_ms`: everything except its signature is right. This is
    /// not trusted; it only decides how the token is refused.
    pub(super) fn claims_to_be_of_ms(&self, now_ms: i64) -> Option<i64> {
        let claims: Claims = serde_json::from_slice(&self.claims).ok()?;
        claims.caller(now_ms.div_euclid(1000)).ok()?;
        let lasts = claims.exp.saturating_sub(claims.iat);
        let is_ours = (1..=seconds(LIFETIME)).contains(&lasts);
        is_ours.then_some(claims.iat.saturating_mul(1000))
    }

    /// Believes the token if it is signed by the owner of `public_key`.
    pub(super) fn verify(self, public_key: &[u8], now_ms: i64) -> Result<Caller, Refusal> {
        UnparsedPublicKey::new(&ED25519, public_key)
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| Refusal::Signature)?;
        let claims: Claims =
            serde_json::from_slice(&self.claims).map_err(|_| Refusal::Malformed)?;
        claims.caller(now_ms.div_euclid(1000))
    }
}

/// What is to be signed: header and claims.
pub(super) fn unsigned(key_id: &str, claims: &impl Serialize) -> Result<String, serde_json::Error> {
    let header = Header {
        alg: ALGORITHM.to_owned(),
        kid: key_id.to_owned(),
        typ: Some("JWT".to_owned()),
    };
    let header = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?);
    let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
    Ok(format!("{header}.{claims}"))
}

/// The token, once `unsigned` has its signature.
pub(super) fn signed(unsigned: &str, signature: &[u8]) -> String {
    format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn decoded(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
