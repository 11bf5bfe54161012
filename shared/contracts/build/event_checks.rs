//! Checks that an event's option fits the event's package, fields and siblings.
//!
//! Otherwise a mistake would show up late: as an event that reaches no queue, overtakes another one, or leaves a gap in
//! the versions of its aggregate, for which a consumer in order waits forever.

use prost_reflect::{Cardinality, Kind};

use crate::events::EventMessage;
use crate::options::mistake;

pub(crate) fn alone(event: &EventMessage) -> Vec<String> {
    let mut mistakes = Vec::new();
    mistakes.extend(exchange_mistake(event));
    mistakes.extend(name_mistake(event));
    mistakes.extend(id_mistake(
        event,
        "aggregate_id_field",
        &event.aggregate_id_field,
    ));
    mistakes.extend(person_mistake(event));
    mistakes
        .iter()
        .map(|what| mistake(&event.message, what))
        .collect()
}

/// Reported for the later event.
pub(crate) fn conflicts(events: &[EventMessage]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (position, event) in events.iter().enumerate() {
        let earlier = &events[..position];
        let others = [
            earlier.iter().find_map(|other| same_key(event, other)),
            earlier
                .iter()
                .find_map(|other| other_id_field(event, other)),
            events.iter().find_map(|other| shared_id(event, other)),
            unshared_id(event, events),
        ];
        let others = others.into_iter().flatten();
        mistakes.extend(others.map(|what| mistake(&event.message, &what)));
    }
    mistakes
}

fn exchange_mistake(event: &EventMessage) -> Option<String> {
    let package = event.message.package_name();
    let Some(owner) = owner(package) else {
        return Some(format!(
            "its package {package:?} names no owner of the exchange; call it angarium.<owner>.v1",
        ));
    };
    (event.exchange != format!("{owner}_events")).then(|| {
        format!(
            "its exchange is {:?}; the events of the package {package} go to \"{owner}_events\"",
            event.exchange,
        )
    })
}

/// A consumer in order binds `<aggregate>.#`: another key would not reach it.
fn name_mistake(event: &EventMessage) -> Option<String> {
    let (aggregate, key) = (&event.aggregate, &event.routing_key);
    if !is_noun(aggregate) {
        return Some(format!(
            "its aggregate is {aggregate:?}; name what the event is about by a noun in lower case, such as \"order\""
        ));
    }
    let Some((noun, participle)) = key.split_once('.').filter(|_| is_routing_key(key)) else {
        return Some(format!(
            "its routing_key is {key:?}; write <aggregate>.<past participle> in lower case, such as \"order.placed\""
        ));
    };
    (noun != aggregate).then(|| {
        format!(
            "its aggregate is {aggregate:?} and its routing_key {key:?}; a consumer of the aggregate binds \"{aggregate}.#\", \
             which does not match the key, so it would wait for this event's version for good; \
             write routing_key: \"{aggregate}.{noun}_{participle}\", or aggregate: {noun:?} if the event has a numbering of its own"
        )
    })
}

fn person_mistake(event: &EventMessage) -> Option<String> {
    match (
        event.has_sensitive_fields,
        event.person_id_field.is_empty(),
    ) {
        (true, true) => Some(
            "it has sensitive fields and no person_id_field; name the field with the id of the person, \
             so that they can be erased"
                .to_owned(),
        ),
        (_, false) => id_mistake(event, "person_id_field", &event.person_id_field),
        (false, true) => None,
    }
}

fn id_mistake(event: &EventMessage, option: &str, name: &str) -> Option<String> {
    let Some(field) = event.message.get_field_by_name(name) else {
        return Some(format!(
            "its {option} is {name:?}; name one of its own fields"
        ));
    };
    let is_plain_string = field.kind() == Kind::String
        && field.cardinality() != Cardinality::Repeated
        && !field.supports_presence();
    if is_plain_string {
        return None;
    }
    Some(format!(
        "its {option} {name:?} is not a plain string; \
         it must be neither repeated, optional nor in a oneof"
    ))
}

fn same_key(event: &EventMessage, other: &EventMessage) -> Option<String> {
    let is_same = other.exchange == event.exchange && other.routing_key == event.routing_key;
    is_same.then(|| {
        format!(
            "it goes to {:?} with {:?}, as {} does already; give it a routing_key of its own",
            event.exchange,
            event.routing_key,
            other.message.full_name(),
        )
    })
}

fn other_id_field(event: &EventMessage, other: &EventMessage) -> Option<String> {
    let differs =
        other.is_sibling_of(event) && other.aggregate_id_field != event.aggregate_id_field;
    differs.then(|| {
        format!(
            "its aggregate_id_field is {:?}, that of {} is {:?}; both are about the aggregate {:?}, \
             so name the field alike, or name another aggregate",
            event.aggregate_id_field,
            other.message.full_name(),
            other.aggregate_id_field,
            event.aggregate,
        )
    })
}

/// A user's event that names another aggregate takes a version of the user, but no consumer of users gets it.
fn shared_id(event: &EventMessage, other: &EventMessage) -> Option<String> {
    let id = &event.aggregate_id_field;
    let is_owner = *id == format!("{}_id", event.aggregate);
    let may_share = is_owner || event.own_versions || other.own_versions;
    (!may_share && shares_id(event, other)).then(|| {
        let (_, what) = event.routing_key.split_once('.').unwrap_or_default();
        format!(
            "its aggregate is {aggregate:?}, but its aggregate_id_field {id:?} is that of the aggregate {owner:?} ({name}); \
             if it takes a version of the {owner}, write aggregate: {owner:?} and routing_key: \"{owner}.{aggregate}_{what}\"; \
             if it has a numbering of its own, write own_versions: true",
            aggregate = event.aggregate,
            owner = other.aggregate,
            name = other.message.full_name(),
        )
    })
}

fn unshared_id(event: &EventMessage, all: &[EventMessage]) -> Option<String> {
    let is_needed = all.iter().any(|other| shares_id(event, other));
    (event.own_versions && !is_needed).then(|| {
        format!(
            "it says own_versions, but no other aggregate of {:?} has its id in {:?}; remove own_versions",
            event.exchange, event.aggregate_id_field,
        )
    })
}

/// The same id, but different aggregates.
fn shares_id(event: &EventMessage, other: &EventMessage) -> bool {
    event.exchange == other.exchange
        && event.aggregate != other.aggregate
        && event.aggregate_id_field == other.aggregate_id_field
}

/// `order` of `angarium.order.v1`.
fn owner(package: &str) -> Option<&str> {
    package.rsplit('.').nth(1)
}

fn is_noun(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase())
}

fn is_routing_key(key: &str) -> bool {
    let Some((noun, participle)) = key.split_once('.') else {
        return false;
    };
    is_noun(noun)
        && !participle.is_empty()
        && participle
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '_')
}
