//! A wrong or missing event option fails the build. The message names the file, the proto message and the remedy.

use crate::events;
use crate::protos::{compile, event};

const EVENTS: &str = "angarium/order/v1/order_events.proto";
const PLACED: &str = r#"exchange: "order_events" aggregate: "order" routing_key: "order.placed" aggregate_id_field: "order_id""#;
const CANCELLED: &str = r#"exchange: "order_events" aggregate: "order" routing_key: "order.cancelled" aggregate_id_field: "order_id""#;
const ID: &str = "string order_id = 1;";
const USER_EVENTS: &str = "angarium/user/v1/user_events.proto";
const USER_DELETED: &str = r#"exchange: "user_events" aggregate: "user" routing_key: "user.deleted" aggregate_id_field: "user_id""#;
const USER_ID: &str = "string user_id = 1;";

fn mistakes(files: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
    Ok(events::read(&compile(files)?).err().unwrap_or_default())
}

/// Exactly one mistake, with its place.
fn assert_refused(body: &str, message: &str, what: &str) -> anyhow::Result<()> {
    let mistakes = mistakes(&[(EVENTS, body)])?;
    let [mistake] = mistakes.as_slice() else {
        anyhow::bail!("expected one mistake, got {mistakes:#?}");
    };
    assert!(
        mistake.starts_with(&format!("proto/{EVENTS}: message {message}: ")),
        "{mistake}"
    );
    assert!(mistake.contains(what), "{mistake}");
    Ok(())
}

#[test]
fn right_options_are_accepted_and_siblings_found() -> anyhow::Result<()> {
    let refunded = r#"exchange: "order_events" aggregate: "refund" routing_key: "refund.paid_out" aggregate_id_field: "refund_id" may_be_unrouted: true"#;
    let body = event("OrderPlaced", PLACED, ID)
        + &event("OrderCancelled", CANCELLED, ID)
        + &event("RefundPaidOut", refunded, "string refund_id = 1;");
    let events = events::read(&compile(&[(EVENTS, &body)])?)
        .map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;

    let code = events::to_rust(&events);

    assert!(
        code.contains("impl ::event::Event for crate::order::v1::OrderPlaced {"),
        "{code}"
    );
    assert!(code.contains(r#"SIBLINGS: &'static [&'static str] = &["angarium.order.v1.OrderPlaced", "angarium.order.v1.OrderCancelled"];"#), "{code}");
    assert!(
        code.contains(
            r#"SIBLINGS: &'static [&'static str] = &["angarium.order.v1.RefundPaidOut"];"#
        ),
        "{code}"
    );
    assert!(code.contains("MAY_BE_UNROUTED: bool = true"), "{code}");
    for aggregate in ["order", "refund"] {
        let named = format!("AGGREGATE: &'static str = {aggregate:?};");
        assert!(code.contains(&named), "{code}");
    }
    Ok(())
}

#[test]
fn an_event_that_names_no_aggregate_is_refused() -> anyhow::Result<()> {
    for aggregate in ["", "Order", "order.line", "order_line", "order1"] {
        let options = PLACED.replace("aggregate: \"order\"", &format!("aggregate: {aggregate:?}"));
        assert_refused(
            &event("OrderPlaced", &options, ID),
            "OrderPlaced",
            &format!(
                "its aggregate is {aggregate:?}; name what the event is about by a noun in lower case"
            ),
        )?;
    }
    Ok(())
}

/// `UserDeleted` would wait for its version in a queue that binds `user.#`.
#[test]
fn an_event_with_another_aggregates_routing_key_is_refused() -> anyhow::Result<()> {
    let changed = r#"exchange: "user_events" aggregate: "user" routing_key: "password.changed" aggregate_id_field: "user_id""#;
    let body =
        event("UserDeleted", USER_DELETED, USER_ID) + &event("PasswordChanged", changed, USER_ID);
    let [mistake] = <[String; 1]>::try_from(mistakes(&[(USER_EVENTS, &body)])?)
        .map_err(|mistakes| anyhow::anyhow!("expected one mistake, got {mistakes:#?}"))?;
    assert!(
        mistake.starts_with(&format!("proto/{USER_EVENTS}: message PasswordChanged: ")),
        "{mistake}"
    );
    for what in [
        r#"its aggregate is "user" and its routing_key "password.changed""#,
        r#"write routing_key: "user.password_changed", or aggregate: "password" if"#,
    ] {
        assert!(mistake.contains(what), "{mistake}");
    }
    let named = changed.replace("password.changed", "user.password_changed");
    let body =
        event("UserDeleted", USER_DELETED, USER_ID) + &event("PasswordChanged", &named, USER_ID);
    assert_eq!(mistakes(&[(USER_EVENTS, &body)])?, [""; 0]);
    Ok(())
}

/// In both orders of the two messages.
#[test]
fn an_event_with_another_aggregates_id_needs_own_versions() -> anyhow::Result<()> {
    let changed = r#"exchange: "user_events" aggregate: "password" routing_key: "password.changed" aggregate_id_field: "user_id""#;
    let (deleted, changed, apart) = (
        event("UserDeleted", USER_DELETED, USER_ID),
        event("PasswordChanged", changed, USER_ID),
        event(
            "PasswordChanged",
            &format!("{changed} own_versions: true"),
            USER_ID,
        ),
    );
    for body in [format!("{deleted}{changed}"), format!("{changed}{deleted}")] {
        let [mistake] = <[String; 1]>::try_from(mistakes(&[(USER_EVENTS, &body)])?)
            .map_err(|mistakes| anyhow::anyhow!("expected one mistake, got {mistakes:#?}"))?;
        assert!(
            mistake.starts_with(&format!("proto/{USER_EVENTS}: message PasswordChanged: ")),
            "{mistake}"
        );
        for what in [
            r#"its aggregate is "password", but its aggregate_id_field "user_id" is that of the aggregate "user" (angarium.user.v1.UserDeleted)"#,
            r#"write aggregate: "user" and routing_key: "user.password_changed""#,
            "write own_versions: true",
        ] {
            assert!(mistake.contains(what), "{mistake}");
        }
    }
    for body in [format!("{deleted}{apart}"), format!("{apart}{deleted}")] {
        assert_eq!(mistakes(&[(USER_EVENTS, &body)])?, [""; 0]);
    }
    Ok(())
}

#[test]
fn own_versions_are_refused_without_a_shared_id() -> anyhow::Result<()> {
    assert_refused(
        &event("OrderPlaced", &format!("{PLACED} own_versions: true"), ID),
        "OrderPlaced",
        r#"no other aggregate of "order_events" has its id in "order_id"; remove own_versions"#,
    )
}

#[test]
fn a_message_of_an_events_file_without_the_option_is_refused() -> anyhow::Result<()> {
    assert_refused(
        "message OrderPlaced { string order_id = 1; }",
        "OrderPlaced",
        "add `option (angarium.event.v1.event) = {…}`",
    )
}

#[test]
fn the_option_outside_an_events_file_is_refused() -> anyhow::Result<()> {
    let body = event("OrderPlaced", PLACED, ID);
    let mistakes = mistakes(&[("angarium/order/v1/order.proto", &body)])?;
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    assert!(
        mistakes[0].starts_with("proto/angarium/order/v1/order.proto: message OrderPlaced: "),
        "{mistakes:#?}"
    );
    assert!(
        mistakes[0].contains("ends in _events.proto"),
        "{mistakes:#?}"
    );
    Ok(())
}

#[test]
fn the_option_on_a_nested_message_is_refused() -> anyhow::Result<()> {
    let body = event(
        "OrderPlaced",
        PLACED,
        &(ID.to_owned() + &event("Inner", CANCELLED, ID)),
    );
    assert_refused(&body, "Inner", "not a top-level message")
}

#[test]
fn a_missing_exchange_is_refused() -> anyhow::Result<()> {
    let options =
        r#"aggregate: "order" routing_key: "order.placed" aggregate_id_field: "order_id""#;
    assert_refused(
        &event("OrderPlaced", options, ID),
        "OrderPlaced",
        r#"its exchange is "";"#,
    )
}

#[test]
fn the_exchange_of_another_package_is_refused() -> anyhow::Result<()> {
    let options = PLACED.replace("order_events", "user_events");
    assert_refused(
        &event("OrderPlaced", &options, ID),
        "OrderPlaced",
        r#"the events of the package angarium.order.v1 go to "order_events""#,
    )
}

#[test]
fn a_routing_key_of_another_form_is_refused() -> anyhow::Result<()> {
    for key in [
        "",
        "order",
        "order.",
        ".placed",
        "Order.Placed",
        "order.placed.v1",
        "order placed",
        "order.#",
        "order_line.placed",
    ] {
        let options = PLACED.replace("order.placed", key);
        assert_refused(
            &event("OrderPlaced", &options, ID),
            "OrderPlaced",
            &format!("its routing_key is {key:?}; write <aggregate>.<past participle>"),
        )?;
    }
    Ok(())
}

#[test]
fn an_aggregate_id_field_that_does_not_exist_is_refused() -> anyhow::Result<()> {
    assert_refused(
        &event("OrderPlaced", PLACED, "string id = 1;"),
        "OrderPlaced",
        r#"its aggregate_id_field is "order_id"; name one of its own fields"#,
    )
}

#[test]
fn an_aggregate_id_field_that_is_not_a_plain_string_is_refused() -> anyhow::Result<()> {
    for fields in [
        "int64 order_id = 1;",
        "bytes order_id = 1;",
        "repeated string order_id = 1;",
        "optional string order_id = 1;",
        "oneof id { string order_id = 1; }",
    ] {
        assert_refused(
            &event("OrderPlaced", PLACED, fields),
            "OrderPlaced",
            r#"its aggregate_id_field "order_id" is not a plain string"#,
        )?;
    }
    Ok(())
}

#[test]
fn two_events_with_the_same_exchange_and_key_are_refused() -> anyhow::Result<()> {
    let body = event("OrderPlaced", PLACED, ID) + &event("OrderPlacedAgain", PLACED, ID);
    assert_refused(
        &body,
        "OrderPlacedAgain",
        r#"it goes to "order_events" with "order.placed", as angarium.order.v1.OrderPlaced does already"#,
    )
}

#[test]
fn siblings_that_name_their_aggregate_differently_are_refused() -> anyhow::Result<()> {
    let cancelled = CANCELLED.replace("order_id", "user_id");
    let body = event("OrderPlaced", PLACED, ID)
        + &event("OrderCancelled", &cancelled, "string user_id = 1;");
    assert_refused(
        &body,
        "OrderCancelled",
        r#"its aggregate_id_field is "user_id", that of angarium.order.v1.OrderPlaced is "order_id""#,
    )
}

/// Otherwise the history would keep personal data that no code erases.
#[test]
fn sensitive_fields_without_a_person_are_refused() -> anyhow::Result<()> {
    let own = event(
        "OrderPlaced",
        PLACED,
        &format!("{ID} string note = 2 [(angarium.event.v1.sensitive) = true];"),
    );
    let inside = event(
        "OrderPlaced",
        PLACED,
        &format!("{ID} repeated Line lines = 2;"),
    );
    let line = (
        "angarium/order/v1/order.proto",
        "message Line { Note note = 1; Line other = 2; }
        message Note { string text = 1 [(angarium.event.v1.sensitive) = true]; }",
    );
    let import = "import \"angarium/order/v1/order.proto\";\n";
    for (body, more) in [(own, None), (format!("{import}{inside}"), Some(line))] {
        let files: Vec<(&str, &str)> = [Some((EVENTS, body.as_str())), more]
            .into_iter()
            .flatten()
            .collect();
        let [mistake] = <[String; 1]>::try_from(mistakes(&files)?)
            .map_err(|mistakes| anyhow::anyhow!("expected one mistake, got {mistakes:#?}"))?;
        assert!(
            mistake.contains("message OrderPlaced: it has sensitive fields and no person_id_field"),
            "{mistake}"
        );
    }
    Ok(())
}

#[test]
fn all_mistakes_are_named_at_once() -> anyhow::Result<()> {
    let body = event("OrderPlaced", "", ID) + "message OrderCancelled {}";
    let mistakes = mistakes(&[(EVENTS, &body)])?;
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    Ok(())
}
