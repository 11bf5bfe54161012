//! Known attacks on tokens, and the limits of their validity.

use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::auth::{Signer, VerificationKey, new_private_key};

const NOW_S: i64 = 1_800_000_000;
const ADA: Caller = Caller {
    user_id: Uuid::from_u128(7),
    role: Role::User,
    session_id: None,
    email_verified: None,
};

fn signer() -> (Signer, VerificationKey) {
    let signer = Signer::new("key-1", &new_private_key().unwrap()).unwrap();
    let key = signer.verification_key(i64::MAX);
    (signer, key)
}

fn verify(token: &str, key: &VerificationKey) -> Result<Caller, Refusal> {
    Unverified::parse(token)?.verify(None, &key.public_key, NOW_S * 1000)
}

fn claiming(change: impl FnOnce(&mut Claims)) -> Result<Caller, Refusal> {
    let (signer, key) = signer();
    let mut claims = Claims::of(ADA, NOW_S);
    change(&mut claims);
    verify(&signer.sign(&claims), &key)
}

/// The same token with another header and the attacker's signature, or none.
fn with_header(token: &str, header: &Value, signature: Option<&[u8]>) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let signature = signature.map_or(parts[2].to_owned(), |bytes| URL_SAFE_NO_PAD.encode(bytes));
    format!("{header}.{}.{signature}", parts[1])
}

#[test]
fn a_token_stands_for_whom_it_was_issued_to() {
    let (signer, key) = signer();
    for caller in [
        ADA,
        Caller {
            role: Role::Admin,
            ..ADA
        },
        Caller {
            session_id: Some(Uuid::from_u128(7)),
            ..ADA
        },
        Caller {
            email_verified: Some(false),
            ..ADA
        },
    ] {
        let issued = signer.issue(caller, NOW_S * 1000 + 250);
        assert_eq!(verify(&issued.token, &key), Ok(caller));
        assert_eq!(issued.expires_at_ms, (NOW_S + 900) * 1000);
        assert!(issued.token.len() < MAX_BYTES / 2);
    }
}

#[test]
fn what_could_be_ours_but_for_its_key_says_when_it_was_issued() {
    let (signer, _) = signer();
    let said = |change: &dyn Fn(&mut Claims)| {
        let mut claims = Claims::of(ADA, NOW_S);
        change(&mut claims);
        let token = signer.sign(&claims);
        let token = Unverified::parse(&token).unwrap();
        token.claims_to_be_of_ms(NOW_S * 1000)
    };
    assert_eq!(said(&|_| {}), Some(NOW_S * 1000));
    assert_eq!(said(&|claims| claims.iss = "another".to_owned()), None);
    assert_eq!(said(&|claims| claims.role = "root".to_owned()), None);
    assert_eq!(said(&|claims| claims.iat = NOW_S + 61), None, "the future");
    assert_eq!(said(&|claims| claims.exp = NOW_S - 61), None, "expired");
    assert_eq!(said(&|claims| claims.exp = claims.iat + 901), None, "lasts");
    assert_eq!(said(&|claims| claims.iat = i64::MIN), None);
    assert_eq!(said(&|claims| claims.exp = i64::MAX), None);
}

#[test]
fn no_two_tokens_are_alike() {
    let (signer, _) = signer();
    let issue = || signer.issue(ADA, NOW_S * 1000).token;
    assert_ne!(issue(), issue());
}

#[test]
fn another_algorithm_or_none_is_refused_with_any_signature() {
    let (signer, key) = signer();
    let token = signer.issue(ADA, NOW_S * 1000).token;
    for algorithm in ["none", "None", "HS256", "RS256", "ES256", "eddsa", ""] {
        let header = json!({"alg": algorithm, "kid": "key-1"});
        // The public key is public: a verifier that uses it as a shared secret is fooled.
        let (_, claims) = token.split_once('.').unwrap();
        let claims = claims.rsplit_once('.').unwrap().0;
        let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header.to_string()));
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &key.public_key);
        let forged = hmac::sign(&secret, signed.as_bytes());
        for signature in [None, Some(&[][..]), Some(forged.as_ref())] {
            let forged = with_header(&token, &header, signature);
            assert_eq!(
                verify(&forged, &key),
                Err(Refusal::Algorithm),
                "{algorithm}"
            );
        }
    }
}

#[test]
fn a_header_that_brings_its_own_key_is_refused() {
    let (signer, key) = signer();
    let token = signer.issue(ADA, NOW_S * 1000).token;
    for header in [
        json!({"alg": "EdDSA", "kid": "key-1", "jwk": {"kty": "OKP"}}),
        json!({"alg": "EdDSA", "kid": "key-1", "jku": "https://example.com/keys"}),
        json!({"alg": "EdDSA", "kid": "key-1", "crit": ["exp"]}),
        json!({"alg": "EdDSA"}),
        json!({"alg": "EdDSA", "kid": 1}),
        json!([]),
    ] {
        let forged = with_header(&token, &header, None);
        assert_eq!(verify(&forged, &key), Err(Refusal::Malformed), "{header}");
    }
}

#[test]
fn what_was_changed_in_any_place_is_refused() {
    let (signer, key) = signer();
    let token = signer.issue(ADA, NOW_S * 1000).token;
    for index in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        // The unused bits of the last character are refused, too.
        assert!(verify(&changed, &key).is_err(), "{index}");
    }
    let (_, other_key) = self::signer();
    assert_eq!(verify(&token, &other_key), Err(Refusal::Signature));
}

#[test]
fn what_is_no_token_is_refused() {
    let (_, key) = signer();
    let long = "a".repeat(1 << 20);
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "ä.ä.ä",
        "e30.e30.",
        &long,
        &format!("{long}.{long}.{long}"),
    ] {
        assert_eq!(verify(text, &key), Err(Refusal::Malformed));
    }
}

#[test]
fn another_issuer_or_audience_is_refused() {
    let foreign = |change: fn(&mut Claims)| assert_eq!(claiming(change), Err(Refusal::Foreign));
    foreign(|claims| claims.iss = "another issuer".to_owned());
    foreign(|claims| claims.aud = "something".to_owned());
    foreign(|claims| claims.iss.clear());
    foreign(|claims| claims.aud.clear());
}

#[test]
fn a_role_or_a_user_that_cannot_be_is_refused() {
    for role in ["", "Admin", "root"] {
        let caller = claiming(|claims| claims.role = role.to_owned());
        assert_eq!(caller, Err(Refusal::Malformed));
    }
    let caller = claiming(|claims| claims.sub = "ada".to_owned());
    assert_eq!(caller, Err(Refusal::Malformed));
}

#[test]
fn a_token_counts_in_its_time_and_a_minute_around_it() {
    let issued = |at: i64| claiming(|claims| *claims = Claims::of(ADA, at));
    assert_eq!(issued(NOW_S), Ok(ADA));
    assert_eq!(issued(NOW_S + 60), Ok(ADA));
    assert_eq!(issued(NOW_S + 61), Err(Refusal::NotYetValid));
    assert_eq!(issued(NOW_S - 900 - 59), Ok(ADA));
    assert_eq!(issued(NOW_S - 900 - 60), Err(Refusal::Expired));
    assert_eq!(
        claiming(|claims| claims.nbf = Some(NOW_S + 61)),
        Err(Refusal::NotYetValid)
    );
    assert_eq!(claiming(|claims| claims.nbf = Some(NOW_S + 60)), Ok(ADA));
    assert_eq!(
        claiming(|claims| claims.exp = i64::MIN),
        Err(Refusal::Expired)
    );
    assert_eq!(
        claiming(|claims| claims.iat = i64::MAX),
        Err(Refusal::NotYetValid)
    );
}

#[test]
fn claims_that_are_missing_are_refused() {
    let (signer, key) = signer();
    let whole = serde_json::to_value(Claims::of(ADA, NOW_S)).unwrap();
    for name in ["iss", "aud", "sub", "role", "iat", "exp", "jti"] {
        let mut claims = whole.clone();
        claims.as_object_mut().unwrap().remove(name);
        let token = signer.sign(&claims);
        assert_eq!(verify(&token, &key), Err(Refusal::Malformed), "{name}");
    }
}
