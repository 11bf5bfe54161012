//! The crate from the view of services: constants, descriptor set with options, redacted `Debug`.

use std::collections::BTreeSet;

use contracts::notification::v1::{Notification, NotificationKind};
use contracts::order::v1::{ExpiryElapsed, OrderLine, OrderShipped, PlaceOrderRequest};
use contracts::user::v1::{CreateUserRequest, CreateUserResponse, User, UserCreated};
use contracts::{EVENTS, Event, EventInfo, FILE_DESCRIPTOR_SET, Validate};
use prost_reflect::prost::{Message as _, Name};
use prost_reflect::{DescriptorPool, DynamicMessage};

#[test]
fn user_created_goes_where_its_option_says() {
    let event = UserCreated {
        user_id: "0198".to_owned(),
        ..UserCreated::default()
    };
    assert_eq!(UserCreated::full_name(), "angarium.user.v1.UserCreated");
    assert_eq!(UserCreated::EXCHANGE, "user_events");
    assert_eq!(UserCreated::AGGREGATE, "user");
    assert_eq!(UserCreated::ROUTING_KEY, "user.created");
    assert_eq!(event.aggregate_id(), "0198");
}

#[test]
fn the_events_of_one_aggregate_are_siblings() -> anyhow::Result<()> {
    let described = described()?;
    assert_siblings::<UserCreated>(&described);
    assert_siblings::<OrderShipped>(&described);
    // A timer has its own versions.
    assert_siblings::<ExpiryElapsed>(&described);
    assert_eq!(ExpiryElapsed::SIBLINGS, [ExpiryElapsed::full_name()]);
    Ok(())
}

#[test]
fn the_catalogue_lists_every_event_as_its_option_describes_it() -> anyhow::Result<()> {
    let listed: BTreeSet<Described> = EVENTS.iter().map(Described::from).collect();
    assert_eq!(listed, described()?);
    assert_eq!(listed.len(), EVENTS.len());
    Ok(())
}

#[test]
fn the_descriptor_set_keeps_options_comments_and_imports() -> anyhow::Result<()> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    assert!(!described()?.is_empty());
    assert!(pool.get_message_by_name("google.type.Money").is_some());
    assert!(
        pool.get_message_by_name("google.protobuf.Timestamp")
            .is_some()
    );
    let has_comments = pool
        .file_descriptor_protos()
        .filter_map(|file| file.source_code_info.as_ref())
        .flat_map(|info| &info.location)
        .any(|location| {
            location
                .leading_comments()
                .contains("UserCreated is emitted once for each user")
        });
    assert!(has_comments);
    Ok(())
}

/// The engine knows no contract of a service, so it is written by hand.
#[test]
fn a_checkpoint_is_encoded_as_its_proto_says() {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let descriptor = pool.get_message_by_name(event::CHECKPOINT_TYPE).unwrap();
    let checkpoint = event::Checkpoint {
        exchange: "user_events".to_owned(),
        number: 7,
        stamp: 8,
        oldest_published_ms: 9,
        interval_s: 10,
        retention_s: 11,
        published: vec![event::Published {
            event_type: "angarium.user.v1.UserCreated".to_owned(),
            routing_key: "user.created".to_owned(),
            event_ids: vec![vec![1; 16], vec![2; 16]],
        }],
    };
    let bytes = checkpoint.encode_to_vec();
    let read = DynamicMessage::decode(descriptor, &*bytes).unwrap();
    assert_eq!(read.unknown_fields().count(), 0);
    let shown = serde_json::to_value(&read).unwrap();
    let expected = serde_json::json!({
        "exchange": "user_events", "number": "7", "stamp": "8", "oldestPublishedMs": "9", "intervalS": "10", "retentionS": "11",
        "published": [{
            "eventType": "angarium.user.v1.UserCreated", "routingKey": "user.created",
            "eventIds": ["AQEBAQEBAQEBAQEBAQEBAQ==", "AgICAgICAgICAgICAgICAg=="],
        }],
    });
    assert_eq!(shown, expected);
    assert_eq!(read.encode_to_vec(), bytes);
}

#[test]
fn debug_shows_no_sensitive_value_at_any_depth() {
    let secret = || "canary".to_owned();
    let request = CreateUserRequest {
        email: secret(),
        password: secret(),
        display_name: secret(),
        ..CreateUserRequest::default()
    };
    let response = CreateUserResponse {
        user: Some(User {
            user_id: "0198".to_owned(),
            email: secret(),
            display_name: secret(),
            ..User::default()
        }),
    };
    let shown = format!("{request:?} {response:?}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("0198"), "{shown}");
    assert!(shown.contains("password: [redacted]"), "{shown}");
}

#[test]
fn debug_names_the_enums_of_a_redacted_message() {
    let notification = Notification {
        kind: NotificationKind::Welcome.into(),
        ..Notification::default()
    };
    let shown = format!("{notification:?}");
    assert!(
        shown.contains("kind: NOTIFICATION_KIND_WELCOME (1)"),
        "{shown}"
    );
}

#[test]
fn a_request_is_checked_by_its_annotations_at_every_depth() {
    let request = PlaceOrderRequest {
        user_id: "ada".to_owned(),
        lines: vec![
            OrderLine {
                sku: "TEA".to_owned(),
                quantity: 1,
                unit_price: Some(contracts::money::Money::default()),
            },
            OrderLine {
                quantity: 10_001,
                ..OrderLine::default()
            },
        ],
        request_id: String::new(),
    };
    let found = request.violations();
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.field.as_str(), one.description.as_str()))
        .collect();
    let expected = [
        ("user_id", "must be a UUID in lower case with hyphens"),
        ("lines[1].sku", "is required"),
        ("lines[1].quantity", "must be from 1 to 10000"),
        ("lines[1].unit_price", "is required"),
    ];
    assert_eq!(found, expected);
}

/// From the descriptors or from the catalogue.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Described {
    type_name: String,
    exchange: String,
    aggregate: String,
    routing_key: String,
    aggregate_id_field: String,
    person_id_field: String,
    may_be_unrouted: bool,
}

impl From<&EventInfo> for Described {
    fn from(info: &EventInfo) -> Self {
        Self {
            type_name: info.type_name.to_owned(),
            exchange: info.exchange.to_owned(),
            aggregate: info.aggregate.to_owned(),
            routing_key: info.routing_key.to_owned(),
            aggregate_id_field: info.aggregate_id_field.to_owned(),
            person_id_field: info.person_id_field.unwrap_or_default().to_owned(),
            may_be_unrouted: info.may_be_unrouted,
        }
    }
}

fn described() -> anyhow::Result<BTreeSet<Described>> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    let extension = pool
        .get_extension_by_name("angarium.event.v1.event")
        .ok_or_else(|| anyhow::anyhow!("the option is not in the descriptor set"))?;
    let events = pool.all_messages().filter_map(|message| {
        let options = message.options();
        let option = options.get_extension(&extension).as_message()?.clone();
        let text = |field: &str| {
            let value = option.get_field_by_name(field)?;
            value.as_str().map(str::to_owned)
        };
        let is_event = options.has_extension(&extension);
        is_event.then_some(Described {
            type_name: message.full_name().to_owned(),
            exchange: text("exchange")?,
            aggregate: text("aggregate")?,
            routing_key: text("routing_key")?,
            aggregate_id_field: text("aggregate_id_field")?,
            person_id_field: text("person_id_field")?,
            may_be_unrouted: option.get_field_by_name("may_be_unrouted")?.as_bool()?,
        })
    });
    Ok(events.collect())
}

fn assert_siblings<E: Event>(described: &BTreeSet<Described>) {
    let siblings = described
        .iter()
        .filter(|event| event.exchange == E::EXCHANGE && event.aggregate == E::AGGREGATE);
    let siblings: BTreeSet<&str> = siblings.map(|event| event.type_name.as_str()).collect();
    let named: BTreeSet<&str> = E::SIBLINGS.iter().copied().collect();
    assert_eq!(named, siblings, "{}", E::full_name());
}
