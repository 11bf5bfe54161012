//! Which messages are events and where they go, as their options say, and the `impl Event` of each.
//!
//! Guarantees that every event that compiles has an exchange, a key and an aggregate that fit its package and its
//! siblings: a mistake there would otherwise show as an event that goes nowhere, or that overtakes another.

use std::fmt::Write;

use prost_reflect::{Cardinality, DescriptorPool, DynamicMessage, Kind, MessageDescriptor};

use crate::options::{Options, mistake};
use crate::rust;

/// A message with its event option, checked.
pub(crate) struct EventMessage {
    pub(crate) message: MessageDescriptor,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) aggregate_id_field: String,
    pub(crate) may_be_unrouted: bool,
    pub(crate) person_id_field: String,
    has_sensitive_fields: bool,
}

/// All events of the files, or every mistake in them.
pub(crate) fn read(pool: &DescriptorPool) -> Result<Vec<EventMessage>, Vec<String>> {
    let options = Options::find(pool).map_err(|error| vec![error])?;
    let mut events = Vec::new();
    let mut mistakes = Vec::new();

    for message in pool.all_messages() {
        let is_place_for_events = message.parent_file().name().ends_with("_events.proto")
            && message.parent_message().is_none();
        match options.event(&message) {
            Some(option) if is_place_for_events => {
                let is_personal = message.fields().any(|field| options.is_sensitive(&field));
                let event = EventMessage::new(message, &option, is_personal);
                mistakes.extend(event.mistakes());
                events.push(event);
            }
            Some(_) => mistakes.push(mistake(
                &message,
                "it has the event option, but is not a top-level message of a file that ends in _events.proto; \
                 move it there, or remove the option",
            )),
            None if is_place_for_events => mistakes.push(mistake(
                &message,
                "it stands in a file of events without saying where it goes; \
                 add `option (angarium.event.v1.event) = {…}`, or move it to a file that does not end in \
                 _events.proto",
            )),
            None => {}
        }
    }

    mistakes.extend(conflicts(&events));
    if mistakes.is_empty() {
        Ok(events)
    } else {
        Err(mistakes)
    }
}

/// The `impl Event` of each event, and the catalogue of all.
pub(crate) fn to_rust(events: &[EventMessage]) -> String {
    let mut code = String::new();
    for event in events {
        event.write_impl(events, &mut code);
    }
    code.push_str("pub(super) const CATALOGUE: &[crate::EventInfo] = &[\n");
    for event in events {
        let _ = writeln!(
            code,
            "crate::EventInfo {{ type_name: {:?}, exchange: {:?}, routing_key: {:?}, aggregate_id_field: {:?}, \
             may_be_unrouted: {:?}, \
             show: |bytes| Ok(format!(\"{{:?}}\", <{path} as ::prost::Message>::decode(bytes)?)), \
             reencode: |bytes| Ok(::prost::Message::encode_to_vec(&<{path} as ::prost::Message>::decode(bytes)?)) }},",
            event.message.full_name(),
            event.exchange,
            event.routing_key,
            event.aggregate_id_field,
            event.may_be_unrouted,
            path = rust::path(&event.message),
        );
    }
    code.push_str("];\n");
    code.push_str("pub(super) const READABLE_EVENTS: &[crate::Readable] = &[\n");
    for event in events {
        let (name, path) = (event.message.full_name(), rust::path(&event.message));
        let _ = writeln!(
            code,
            "crate::Readable {{ type_name: {name:?}, read: crate::readable::event::<{path}> }},",
        );
    }
    code.push_str("];\n");
    code
}

impl EventMessage {
    fn new(
        message: MessageDescriptor,
        option: &DynamicMessage,
        has_sensitive_fields: bool,
    ) -> Self {
        Self {
            message,
            exchange: text(option, "exchange"),
            routing_key: text(option, "routing_key"),
            aggregate_id_field: text(option, "aggregate_id_field"),
            may_be_unrouted: option
                .get_field_by_name("may_be_unrouted")
                .and_then(|value| value.as_bool())
                == Some(true),
            person_id_field: text(option, "person_id_field"),
            has_sensitive_fields,
        }
    }

    /// What is wrong with the event, looked at alone.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        match owner(self.message.package_name()) {
            Some(owner) if self.exchange != format!("{owner}_events") => mistakes.push(format!(
                "its exchange is {:?}; the events of the package {} go to \"{owner}_events\"",
                self.exchange,
                self.message.package_name(),
            )),
            Some(_) => {}
            None => mistakes.push(format!(
                "its package {:?} names no owner of the exchange; call it angarium.<owner>.v1",
                self.message.package_name(),
            )),
        }
        if !is_routing_key(&self.routing_key) {
            mistakes.push(format!(
                "its routing_key is {:?}; write <noun>.<past participle> in lower case, such as \"order.placed\"",
                self.routing_key,
            ));
        }
        mistakes.extend(self.id_mistake("aggregate_id_field", &self.aggregate_id_field));
        mistakes.extend(self.person_mistake());
        mistakes
            .iter()
            .map(|what| mistake(&self.message, what))
            .collect()
    }

    fn person_mistake(&self) -> Option<String> {
        match (self.has_sensitive_fields, self.person_id_field.is_empty()) {
            (true, true) => Some(
                "it has sensitive fields and no person_id_field; name the field with the id of the person, \
                 so that they can be erased"
                    .to_owned(),
            ),
            (_, false) => self.id_mistake("person_id_field", &self.person_id_field),
            (false, true) => None,
        }
    }

    fn id_mistake(&self, option: &str, name: &str) -> Option<String> {
        let Some(field) = self.message.get_field_by_name(name) else {
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

    fn person_function(&self) -> String {
        if self.person_id_field.is_empty() {
            return String::new();
        }
        let field = rust::identifier(&self.person_id_field);
        format!("fn person_id(&self) -> Option<&str> {{ Some(&self.{field}) }}\n")
    }

    /// The same kind of aggregate: one numbering of versions, and what a consumer that keeps the order takes whole.
    fn is_sibling_of(&self, other: &Self) -> bool {
        self.exchange == other.exchange && noun(&self.routing_key) == noun(&other.routing_key)
    }

    fn write_impl(&self, all: &[Self], code: &mut String) {
        let siblings: Vec<&str> = all
            .iter()
            .filter(|other| other.is_sibling_of(self))
            .map(|other| other.message.full_name())
            .collect();
        let _ = write!(
            code,
            "impl ::event::Event for {path} {{\n\
             const EXCHANGE: &'static str = {exchange:?};\n\
             const ROUTING_KEY: &'static str = {routing_key:?};\n\
             const MAY_BE_UNROUTED: bool = {may_be_unrouted:?};\n\
             const SIBLINGS: &'static [&'static str] = &{siblings:?};\n\
             fn aggregate_id(&self) -> &str {{ &self.{field} }}\n\
             {person}\
             }}\n",
            path = rust::path(&self.message),
            exchange = self.exchange,
            routing_key = self.routing_key,
            may_be_unrouted = self.may_be_unrouted,
            field = rust::identifier(&self.aggregate_id_field),
            person = self.person_function(),
        );
    }
}

/// What is wrong between events, each named at the later of the two.
fn conflicts(events: &[EventMessage]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (position, event) in events.iter().enumerate() {
        let earlier = &events[..position];
        if let Some(twin) = earlier.iter().find(|other| {
            other.exchange == event.exchange && other.routing_key == event.routing_key
        }) {
            let what = format!(
                "it goes to {:?} with {:?}, as {} does already; give it a routing_key of its own",
                event.exchange,
                event.routing_key,
                twin.message.full_name(),
            );
            mistakes.push(mistake(&event.message, &what));
        }
        if let Some(sibling) = earlier.iter().find(|other| {
            other.is_sibling_of(event) && other.aggregate_id_field != event.aggregate_id_field
        }) {
            let what = format!(
                "its aggregate_id_field is {:?}, that of {} is {:?}; the events of one noun are about one aggregate, \
                 so name the field alike, or choose another noun",
                event.aggregate_id_field,
                sibling.message.full_name(),
                sibling.aggregate_id_field,
            );
            mistakes.push(mistake(&event.message, &what));
        }
    }
    mistakes
}

fn text(option: &DynamicMessage, field: &str) -> String {
    option
        .get_field_by_name(field)
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// `order` of `angarium.order.v1`.
fn owner(package: &str) -> Option<&str> {
    package.rsplit('.').nth(1)
}

/// `order` of `order.placed`.
fn noun(routing_key: &str) -> &str {
    routing_key.split('.').next().unwrap_or(routing_key)
}

fn is_routing_key(key: &str) -> bool {
    let Some((noun, participle)) = key.split_once('.') else {
        return false;
    };
    let is_letter = |letter: char| letter.is_ascii_lowercase();
    !noun.is_empty()
        && noun.chars().all(is_letter)
        && !participle.is_empty()
        && participle
            .chars()
            .all(|letter| is_letter(letter) || letter == '_')
}
