//! Every target, with inputs that sometimes pass its first checks.

use proptest::collection::vec;
use proptest::prelude::*;

const TIME: &str = "[0-9]{0,9}[HMSmun]?";
const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
const TRACEPARENT: &str = "0[01]-[0-9a-f]{32}-[0-9a-f]{16}-0[01]";

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..512)
}

/// Fields as protobuf encodes them: numbers, lengths and text, in any order.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let field = (1..12_u8, ".{0,40}|[A-Z]{3}").prop_map(|(number, text)| {
        let length = u8::try_from(text.len() % 128).unwrap();
        let text = &text.as_bytes()[..usize::from(length)];
        [&[(number << 3) | 2, length], text].concat()
    });
    let number = (1..12_u8, 0..128_u8).prop_map(|(number, value)| vec![number << 3, value]);
    vec(prop_oneof![field, number], 0..12).prop_map(|fields| fields.concat())
}

fn claims() -> impl Strategy<Value = Vec<u8>> {
    let time = prop_oneof![any::<i64>(), 1_799_999_000..1_800_001_000_i64];
    let name = prop_oneof![Just("angarium".to_owned()), ".{0,8}"];
    let role = prop_oneof![Just("user".to_owned()), Just("admin".to_owned()), ".{0,8}"];
    (name.clone(), name, UUID, role, time.clone(), time).prop_map(|(iss, aud, sub, role, iat, exp)| {
        let claims = serde_json::json!({
            "iss": iss, "aud": aud, "sub": sub, "role": role, "iat": iat, "exp": exp, "jti": "1",
        });
        serde_json::to_vec(&claims).unwrap()
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_by_every_target(bytes in any_bytes()) {
        fuzzing::event(&bytes);
        fuzzing::headers(&bytes);
        fuzzing::page_token(&bytes);
        fuzzing::request(&bytes);
        fuzzing::token(&bytes);
    }

    #[test]
    fn events(
        kind in any::<u8>(),
        id in UUID,
        sequence in "[0-9]{0,20}",
        head in "(.{0,20}\n){3}",
        trace in TRACEPARENT,
        body in fields(),
    ) {
        let head = format!("{id}\n{sequence}\nan-aggregate\n{head}{trace}");
        fuzzing::event(&[&[kind], head.as_bytes(), &[0], &body].concat());
    }

    #[test]
    fn headers(path in "/[a-z.A-Z]{0,300}/?[a-z]{0,3}", timeout in TIME, id in ".{0,140}", trace in TRACEPARENT, state in ".{0,600}") {
        fuzzing::headers(format!("{path}\n{timeout}\n{id}\n{trace}\n{state}").as_bytes());
    }

    #[test]
    fn page_tokens(token in "AQ[A-Za-z0-9_-]{60,70}") {
        fuzzing::page_token(token.as_bytes());
    }

    #[test]
    fn requests(kind in any::<u8>(), body in fields()) {
        fuzzing::request(&[&[kind], body.as_slice()].concat());
    }

    #[test]
    fn tokens(claims in claims()) {
        fuzzing::token(&claims);
    }

    #[test]
    fn configurations(
        listen in "127.0.0.1:[0-9]{1,6}|.{0,20}",
        deadline in "[0-9]{1,6}(ms|s|min|h)|.{0,9}",
        rate in "off|[0-9]{1,9}|.{0,9}",
        database in "db(:[0-9]{1,6})?/users(\\?sslmode=[a-z-]{0,12})?|.{0,40}",
        broker in "rabbit(:[0-9]{1,6})?/%2f|.{0,40}",
        filter in "info|.{0,40}",
    ) {
        let lines = [listen, deadline, rate, database, broker, filter].join("\n");
        fuzzing::configuration(lines.as_bytes());
    }
}
