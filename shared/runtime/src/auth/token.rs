//! Access tokens: JWTs signed with Ed25519, in the only form that we issue.
//!
//! Most attacks use the format's other variants. So this code accepts one algorithm, issuer and audience, and refuses
//! everything else before it reads the claims. A library would support all variants, and add a second crypto provider.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::{Caller, Role};
use super::keys::KEY_BYTES;
use super::refusal::Refusal;
use super::signatures::{self, Signatures};

/// The lifetime of a token. Short, because a token cannot be revoked.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The allowed difference between the clocks of two machines.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// Far longer than our tokens, and cheap to check.
const MAX_BYTES: usize = 2048;
const ALGORITHM: &str = "EdDSA";
const ISSUER: &str = "angarium";
const AUDIENCE: &str = "angarium";

/// Other fields (`crit`, `jku`, `jwk` …) are refused.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
}

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

/// A parsed token; nothing of it is trusted yet.
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

    /// The issue time, if everything except the signature is valid at `now_ms`. Not trusted; it only decides how the
    /// token is refused.
    pub(super) fn claims_to_be_of_ms(&self, now_ms: i64) -> Option<i64> {
        let claims: Claims = serde_json::from_slice(&self.claims).ok()?;
        claims.caller(now_ms.div_euclid(1000)).ok()?;
        let lasts = claims.exp.saturating_sub(claims.iat);
        let is_ours = (1..=seconds(LIFETIME)).contains(&lasts);
        is_ours.then_some(claims.iat.saturating_mul(1000))
    }

    pub(super) fn verify(
        self,
        known: Option<&Signatures>,
        public_key: &[u8; KEY_BYTES],
        now_ms: i64,
    ) -> Result<Caller, Refusal> {
        let (text, signature) = (self.signed.as_bytes(), &self.signature);
        match known {
            Some(known) => known.check(public_key, text, signature)?,
            None => signatures::verify(public_key, text, signature)?,
        }
        let claims: Claims =
            serde_json::from_slice(&self.claims).map_err(|_| Refusal::Malformed)?;
        claims.caller(now_ms.div_euclid(1000))
    }
}

/// Header and claims.
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
