//! Counts the instructions of the steps that each call and each event takes in our own code, and fails above a limit.
//!
//! `cargo xtask bench instructions` runs it under callgrind. Counts are equal in every run of one build, so the limits are the
//! current numbers plus a tenth: enough for another compiler, too little for another algorithm.

#![expect(clippy::unwrap_used, reason = "a panic is how a benchmark fails")]

use std::hint::black_box;

use contracts::Validate as _;
use contracts::money::Money;
use contracts::order::v1::{OrderLine, OrderPlaced, PlaceOrderRequest};
use event::{Envelope, Message, TraceContext};
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use prost::Message as _;
use runtime::auth::{
    Caller, KEY_BYTES, Role, Signatures, Signer, new_private_key, read_token, read_token_with,
};
use uuid::Uuid;

const NOW_MS: i64 = 1_800_000_000_000;

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]));
    config
}

// Decodes and validates a call.
#[library_benchmark(setup = request, config = at_most(11_300))]
fn read_request(bytes: Vec<u8>) -> PlaceOrderRequest {
    let request = PlaceOrderRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(request.violations(), []);
    black_box(request)
}

// Verifies the signature and the claims of a token.
#[library_benchmark(setup = token, config = at_most(660_000))]
fn check_token((token, key): (String, [u8; KEY_BYTES])) -> Caller {
    black_box(read_token(&token, &key, NOW_MS).unwrap())
}

// The same, for a token that came before.
#[library_benchmark(setup = known_token, config = at_most(37_500))]
fn check_token_again((signatures, token, key): Known) -> Caller {
    black_box(read_token_with(&signatures, &token, &key, NOW_MS).unwrap())
}

// Encodes an event as the relay publishes it.
#[library_benchmark(setup = placed, config = at_most(22_300))]
fn write_event((envelope, event): (Envelope, OrderPlaced)) -> Message {
    black_box(envelope.to_message("order_events", "order.placed", event.encode_to_vec().into()))
}

// Reads an event as a consumer does.
#[library_benchmark(setup = message, config = at_most(22_000))]
fn read_event(message: Message) -> (Envelope, OrderPlaced) {
    let envelope = Envelope::from_message(&message).unwrap();
    let event = OrderPlaced::decode(message.body).unwrap();
    black_box((envelope, event))
}

fn request() -> Vec<u8> {
    let request = PlaceOrderRequest {
        user_id: Uuid::now_v7().to_string(),
        lines: lines(),
        request_id: Uuid::now_v7().to_string(),
    };
    request.encode_to_vec()
}

fn token() -> (String, [u8; KEY_BYTES]) {
    let signer = Signer::new("key-1", &new_private_key().unwrap()).unwrap();
    let caller = Caller {
        user_id: Uuid::now_v7(),
        role: Role::User,
        session_id: Some(Uuid::now_v7()),
        email_verified: Some(true),
    };
    let token = signer.issue(caller, NOW_MS).token;
    (token, signer.verification_key(i64::MAX).public_key)
}

type Known = (Signatures, String, [u8; KEY_BYTES]);

fn known_token() -> Known {
    let (signatures, (token, key)) = (Signatures::default(), token());
    read_token_with(&signatures, &token, &key, NOW_MS).unwrap();
    (signatures, token, key)
}

fn message() -> Message {
    let (envelope, event) = placed();
    envelope.to_message("order_events", "order.placed", event.encode_to_vec().into())
}

fn placed() -> (Envelope, OrderPlaced) {
    let event = OrderPlaced {
        order_id: Uuid::now_v7().to_string(),
        user_id: Uuid::now_v7().to_string(),
        lines: lines(),
        total_price: Some(price(36)),
        create_time: Some(prost_types::Timestamp::default()),
    };
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let envelope = Envelope {
        id: Uuid::now_v7(),
        event_type: "angarium.order.v1.OrderPlaced".to_owned(),
        source: "order-service".to_owned(),
        time_ms: NOW_MS,
        aggregate_id: event.order_id.clone(),
        aggregate_version: Some(1),
        correlation_id: Uuid::now_v7().to_string(),
        trace: TraceContext::accept(Some(parent), None, None),
    };
    (envelope, event)
}

fn lines() -> Vec<OrderLine> {
    let line = |sku: &str| OrderLine {
        sku: sku.to_owned(),
        quantity: 3,
        unit_price: Some(price(4)),
    };
    ["TEA", "CUP", "POT"].map(line).to_vec()
}

fn price(units: i64) -> Money {
    Money {
        currency_code: "EUR".to_owned(),
        units,
        nanos: 0,
    }
}

library_benchmark_group!(
    name = of_a_call,
    benchmarks = [read_request, check_token, check_token_again]
);
library_benchmark_group!(name = of_an_event, benchmarks = [write_event, read_event]);
main!(library_benchmark_groups = [of_a_call, of_an_event]);
