//! Reads which messages are events and where they go, and generates the `impl Event` of each. An event that breaks a
//! rule of `event_checks.rs` fails the build.

use std::collections::BTreeSet;
use std::fmt::Write;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use crate::event_checks::{alone, conflicts};
use crate::options::{Options, mistake};
use crate::rust;

pub(crate) struct EventMessage {
    pub(crate) message: MessageDescriptor,
    pub(crate) exchange: String,
    pub(crate) aggregate: String,
    pub(crate) routing_key: String,
    pub(crate) aggregate_id_field: String,
    pub(crate) own_versions: bool,
    pub(crate) may_be_unrouted: bool,
    pub(crate) person_id_field: String,
    pub(crate) has_sensitive_fields: bool,
    /// The Rust names of the top-level members that are or contain sensitive fields.
    pub(crate) sensitive_members: BTreeSet<String>,
}

/// All events, or all mistakes.
pub(crate) fn read(pool: &DescriptorPool) -> Result<Vec<EventMessage>, Vec<String>> {
    let options = Options::find(pool).map_err(|error| vec![error])?;
    let mut events = Vec::new();
    let mut mistakes = Vec::new();

    for message in pool.all_messages() {
        let is_place_for_events = message.parent_file().name().ends_with("_events.proto")
            && message.parent_message().is_none();
        match options.event(&message) {
            Some(option) if is_place_for_events => {
                let sensitive = sensitive_members(&options, &message);
                let event = EventMessage::new(message, &option, sensitive);
                mistakes.extend(alone(&event));
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

/// With the catalogue of all events.
pub(crate) fn to_rust(events: &[EventMessage]) -> String {
    let mut code = String::new();
    for event in events {
        event.write_impl(events, &mut code);
    }
    code.push_str("pub(super) const CATALOGUE: &[crate::EventInfo] = &[\n");
    for event in events {
        let _ = writeln!(
            code,
            "crate::EventInfo {{ type_name: {:?}, exchange: {:?}, aggregate: {:?}, routing_key: {:?}, aggregate_id_field: {:?}, \
             person_id_field: {:?}, may_be_unrouted: {:?}, \
             show: |bytes| Ok(format!(\"{{:?}}\", <{path} as ::prost::Message>::decode(bytes)?)), \
             person_id: |bytes| Ok(::event::Event::person_id(&<{path} as ::prost::Message>::decode(bytes)?).map(str::to_owned)), \
             blanked: |bytes| {{ {blanking} }}, \
             reencode: |bytes| Ok(::prost::Message::encode_to_vec(&<{path} as ::prost::Message>::decode(bytes)?)) }},",
            event.message.full_name(),
            event.exchange,
            event.aggregate,
            event.routing_key,
            event.aggregate_id_field,
            Some(&event.person_id_field).filter(|name| !name.is_empty()),
            event.may_be_unrouted,
            path = rust::path(&event.message),
            blanking = event.blanking(),
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
        sensitive_members: BTreeSet<String>,
    ) -> Self {
        Self {
            message,
            exchange: text(option, "exchange"),
            aggregate: text(option, "aggregate"),
            routing_key: text(option, "routing_key"),
            aggregate_id_field: text(option, "aggregate_id_field"),
            own_versions: is_set(option, "own_versions"),
            may_be_unrouted: is_set(option, "may_be_unrouted"),
            person_id_field: text(option, "person_id_field"),
            has_sensitive_fields: !sensitive_members.is_empty(),
            sensitive_members,
        }
    }

    fn person_function(&self) -> String {
        if self.person_id_field.is_empty() {
            return String::new();
        }
        let field = rust::identifier(&self.person_id_field);
        format!("fn person_id(&self) -> Option<&str> {{ Some(&self.{field}) }}\n")
    }

    /// The body of a function that reads `bytes` and writes them without the sensitive fields.
    fn blanking(&self) -> String {
        let path = rust::path(&self.message);
        let binding = if self.has_sensitive_fields {
            "let mut event"
        } else {
            "let event"
        };
        let mut code = format!("{binding} = <{path} as ::prost::Message>::decode(bytes)?;\n");
        for member in &self.sensitive_members {
            let _ = writeln!(
                code,
                "event.{member} = ::core::default::Default::default();"
            );
        }
        code.push_str("Ok(::prost::Message::encode_to_vec(&event))");
        code
    }

    /// They share one sequence of versions.
    pub(crate) fn is_sibling_of(&self, other: &Self) -> bool {
        self.exchange == other.exchange && self.aggregate == other.aggregate
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
             const AGGREGATE: &'static str = {aggregate:?};\n\
             const ROUTING_KEY: &'static str = {routing_key:?};\n\
             const MAY_BE_UNROUTED: bool = {may_be_unrouted:?};\n\
             const SIBLINGS: &'static [&'static str] = &{siblings:?};\n\
             fn aggregate_id(&self) -> &str {{ &self.{field} }}\n\
             {person}\
             }}\n",
            path = rust::path(&self.message),
            exchange = self.exchange,
            aggregate = self.aggregate,
            routing_key = self.routing_key,
            may_be_unrouted = self.may_be_unrouted,
            field = rust::identifier(&self.aggregate_id_field),
            person = self.person_function(),
        );
    }
}

fn sensitive_members(options: &Options, message: &MessageDescriptor) -> BTreeSet<String> {
    let sensitive = message.fields().filter(|field| {
        let inner = field.kind().as_message().cloned();
        options.is_sensitive(field) || inner.is_some_and(|inner| options.holds_sensitive(&inner))
    });
    let members = sensitive.map(|field| match field.containing_oneof() {
        // prost generates a field for `optional`, protobuf a oneof.
        Some(oneof) if !oneof.is_synthetic() => rust::identifier(oneof.name()),
        _ => rust::identifier(field.name()),
    });
    members.collect()
}

fn text(option: &DynamicMessage, field: &str) -> String {
    option
        .get_field_by_name(field)
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn is_set(option: &DynamicMessage, field: &str) -> bool {
    let value = option.get_field_by_name(field);
    value.and_then(|value| value.as_bool()) == Some(true)
}
