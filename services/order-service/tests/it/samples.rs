//! Sample requests, and events that make users known.

use contracts::money::Money;
use contracts::order::v1::{CancelOrderRequest, OrderLine, PlaceOrderRequest, ShipOrderRequest};
use contracts::user::v1::{UserCreated, UserDeleted, UserUpdated};
use contracts::{EventInfo, FILE_DESCRIPTOR_SET};
use event::{Envelope, Message};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use testkit::{envelope, message};
use uuid::Uuid;

pub(crate) fn new_id() -> String {
    Uuid::now_v7().to_string()
}

pub(crate) fn created(user_id: &str, version: i64) -> Message {
    let user = UserCreated {
        user_id: user_id.to_owned(),
        email: "ada@example.com".to_owned(),
        display_name: "Ada Lovelace".to_owned(),
        create_time: None,
    };
    message(&user, version)
}

pub(crate) fn updated(user_id: &str, version: i64) -> Message {
    let user = UserUpdated {
        user_id: user_id.to_owned(),
        email: "ada@example.com".to_owned(),
        display_name: "Ada King".to_owned(),
        update_time: None,
        previous_email: String::new(),
    };
    message(&user, version)
}

pub(crate) fn deleted(user_id: &str, version: i64) -> Message {
    let user = UserDeleted {
        user_id: user_id.to_owned(),
        delete_time: None,
    };
    message(&user, version)
}

/// With only the id of its aggregate.
pub(crate) fn bare(info: &EventInfo, aggregate_id: &str, version: i64) -> Message {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut messages = set.file.iter().flat_map(|file| {
        let package = file.package();
        let named = move |name: &str| format!("{package}.{name}");
        let messages = file.message_type.iter();
        messages.map(move |message| (named(message.name()), message))
    });
    let (_, descriptor) = messages.find(|(name, _)| name == info.type_name).unwrap();
    let mut fields = descriptor.field.iter();
    let field = fields.find(|field| field.name() == info.aggregate_id_field);
    let number = field.unwrap().number().unsigned_abs();
    let mut body = Vec::new();
    prost::encoding::string::encode(number, &aggregate_id.to_owned(), &mut body);
    let envelope = Envelope {
        event_type: info.type_name.to_owned(),
        ..envelope::<UserCreated>(aggregate_id, version)
    };
    envelope.to_message(info.exchange, info.routing_key, body.into())
}

pub(crate) fn money(currency_code: &str, units: i64, nanos: i32) -> Money {
    Money {
        currency_code: currency_code.to_owned(),
        units,
        nanos,
    }
}

pub(crate) fn line(sku: &str, quantity: i32, unit_price: Money) -> OrderLine {
    OrderLine {
        sku: sku.to_owned(),
        quantity,
        unit_price: Some(unit_price),
    }
}

/// A total of 17.45 EUR; both lines have nanos that carry.
pub(crate) fn tea_for(user_id: &str) -> PlaceOrderRequest {
    PlaceOrderRequest {
        user_id: user_id.to_owned(),
        lines: vec![
            line("TEA-EARL-GREY", 3, money("EUR", 4, 990_000_000)),
            line("CUP", 2, money("EUR", 1, 240_000_000)),
        ],
        request_id: String::new(),
    }
}

pub(crate) fn parcel_of(order_id: &str) -> ShipOrderRequest {
    ShipOrderRequest {
        order_id: order_id.to_owned(),
        carrier: "Royal Road".to_owned(),
        tracking_number: "SUSA-SARDIS-111".to_owned(),
        ..ShipOrderRequest::default()
    }
}

/// A request to cancel the order.
pub(crate) fn cancelling(order_id: &str, reason: &str) -> CancelOrderRequest {
    CancelOrderRequest {
        order_id: order_id.to_owned(),
        reason: reason.to_owned(),
        ..CancelOrderRequest::default()
    }
}
