//! The crate as services see it: the events' constants, the descriptor set with its options, and what `Debug` hides.

use contracts::key::v1::KeyRequested;
use contracts::notification::v1::{
    Notification, NotificationFailed, NotificationKind, NotificationSent,
};
use contracts::order::v1::{
    ExpiryElapsed, OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced, OrderShipped,
    PlaceOrderRequest,
};
use contracts::user::v1::{
    CreateUserRequest, CreateUserResponse, EmailVerificationRequested, KeyPublished,
    PasswordResetRequested, User, UserCreated, UserDeleted, UserUpdated,
};
use contracts::{EVENTS, Event, EventInfo, FILE_DESCRIPTOR_SET, Validate};
use prost_reflect::DescriptorPool;
use prost_reflect::prost::Name;

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
    let of_users = [
        "angarium.user.v1.UserCreated",
        "angarium.user.v1.UserUpdated",
        "angarium.user.v1.UserDeleted",
    ];
    assert_eq!(UserCreated::SIBLINGS, of_users);
    assert_eq!(event.aggregate_id(), "0198");
}

#[test]
fn the_events_of_one_aggregate_are_siblings() {
    let of_orders = [
        "angarium.order.v1.OrderPlaced",
        "angarium.order.v1.OrderCancelled",
        "angarium.order.v1.OrderConfirmed",
        "angarium.order.v1.OrderShipped",
    ];
    assert_eq!(OrderPlaced::SIBLINGS, of_orders);
    assert_eq!(OrderShipped::SIBLINGS, of_orders);
    // A timer is a fact about time: it has a numbering of its own.
    assert_eq!(ExpiryElapsed::SIBLINGS, ["angarium.order.v1.ExpiryElapsed"]);
}

#[test]
fn only_what_nobody_here_consumes_and_what_comes_again_anyway_may_go_unrouted() {
    const {
        assert!(NotificationSent::MAY_BE_UNROUTED && NotificationFailed::MAY_BE_UNROUTED);
        assert!(!OrderConfirmed::MAY_BE_UNROUTED && !OrderShipped::MAY_BE_UNROUTED);
        assert!(!ExpiryElapsed::MAY_BE_UNROUTED);
        assert!(KeyPublished::MAY_BE_UNROUTED && KeyRequested::MAY_BE_UNROUTED);
        assert!(!UserUpdated::MAY_BE_UNROUTED && !UserDeleted::MAY_BE_UNROUTED);
        assert!(!EmailVerificationRequested::MAY_BE_UNROUTED);
        assert!(!PasswordResetRequested::MAY_BE_UNROUTED);
        assert!(
            !UserCreated::MAY_BE_UNROUTED
                && !OrderPlaced::MAY_BE_UNROUTED
                && !OrderCancelled::MAY_BE_UNROUTED
        );
    }
}

#[test]
fn the_catalogue_lists_every_event_as_its_implementation_has_it() {
    assert_eq!(EVENTS.len(), 14, "{EVENTS:#?}");
    assert_listed::<NotificationSent>("notification_id");
    assert_listed::<NotificationFailed>("notification_id");
    assert_listed::<OrderPlaced>("order_id");
    assert_listed::<OrderConfirmed>("order_id");
    assert_listed::<OrderShipped>("order_id");
    assert_listed::<OrderCancelled>("order_id");
    assert_listed::<ExpiryElapsed>("order_id");
    assert_listed::<UserCreated>("user_id");
    assert_listed::<UserUpdated>("user_id");
    assert_listed::<UserDeleted>("user_id");
    assert_listed::<KeyPublished>("key_id");
    assert_listed::<KeyRequested>("request_id");
    assert_listed::<EmailVerificationRequested>("verification_id");
    assert_listed::<PasswordResetRequested>("reset_id");
}

#[test]
fn the_descriptor_set_keeps_options_comments_and_imports() -> anyhow::Result<()> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    for info in EVENTS {
        let option = event_option(&pool, info.type_name)?;
        assert_eq!(option("exchange").as_deref(), Some(info.exchange));
        assert_eq!(option("aggregate").as_deref(), Some(info.aggregate));
        assert_eq!(option("routing_key").as_deref(), Some(info.routing_key));
        assert_eq!(
            option("aggregate_id_field").as_deref(),
            Some(info.aggregate_id_field)
        );
    }
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

fn assert_listed<E: Event>(aggregate_id_field: &str) {
    let is_listed = EVENTS.iter().any(|info: &EventInfo| {
        info.type_name == E::full_name()
            && info.exchange == E::EXCHANGE
            && info.aggregate == E::AGGREGATE
            && info.routing_key == E::ROUTING_KEY
            && info.aggregate_id_field == aggregate_id_field
            && info.may_be_unrouted == E::MAY_BE_UNROUTED
    });
    assert!(is_listed, "{}: {EVENTS:#?}", E::full_name());
}

/// Reads the text fields of a message's event option from the descriptors.
fn event_option(
    pool: &DescriptorPool,
    type_name: &str,
) -> anyhow::Result<impl Fn(&str) -> Option<String> + use<>> {
    let message = pool
        .get_message_by_name(type_name)
        .ok_or_else(|| anyhow::anyhow!("{type_name} is not in the descriptor set"))?;
    let extension = pool
        .get_extension_by_name("angarium.event.v1.event")
        .ok_or_else(|| anyhow::anyhow!("the option is not in the descriptor set"))?;
    let options = message.options();
    let option = options.get_extension(&extension).into_owned();
    Ok(move |field: &str| {
        let option = option.as_message()?;
        let value = option.get_field_by_name(field)?;
        value.as_str().map(str::to_owned)
    })
}
