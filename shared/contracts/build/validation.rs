//! Generates `impl Validate` for every message that a request can contain, from the annotations of its fields.
//!
//! Guarantees that each string, list and number is bounded, and that each stated rule is checked: an unbounded field,
//! an unknown rule, or a rule that no request reaches fails the build.

use std::collections::BTreeMap;
use std::fmt::Write;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::checks;
use crate::options::mistake;
use crate::rules::{self, Check, Ignore, Rules};
use crate::rust;

/// Only our messages have rules.
const OURS: &str = "angarium.";

pub(crate) struct ValidatedMessage {
    message: MessageDescriptor,
    fields: Vec<(FieldDescriptor, Rules)>,
}

/// All messages that requests can contain, or all mistakes.
pub(crate) fn read(pool: &DescriptorPool) -> Result<Vec<ValidatedMessage>, Vec<String>> {
    let requests = reachable(pool);
    let mut validated = Vec::new();
    let mut mistakes = Vec::new();
    for message in pool.all_messages().filter(is_ours) {
        let is_request = requests.contains_key(message.full_name());
        let mut fields = Vec::new();
        if let Some(option) = rules::misplaced(pool, &message) {
            let what = format!("the build checks no rules of {option}; write them at fields");
            mistakes.push(mistake(&message, &what));
        }
        for field in message.fields() {
            match rules::of_field(pool, &field) {
                Ok(rules) => {
                    let wrong = wrong_with(&field, &rules, is_request);
                    mistakes.extend(wrong.map(|what| in_field(&field, &what)));
                    fields.push((field, rules));
                }
                Err(what) => mistakes.push(in_field(&field, &what)),
            }
        }
        if is_request {
            validated.push(ValidatedMessage { message, fields });
        }
    }
    if mistakes.is_empty() {
        Ok(validated)
    } else {
        Err(mistakes)
    }
}

/// With the table of readers.
pub(crate) fn to_rust(messages: &[ValidatedMessage]) -> String {
    let mut code = String::new();
    for ValidatedMessage { message, fields } in messages {
        let checks: String = fields
            .iter()
            .map(|(field, rules)| checks::of_field(field, rules))
            .collect();
        let found = if checks.is_empty() { "_" } else { "found" };
        let path = rust::path(message);
        let _ = writeln!(
            code,
            "impl crate::Validate for {path} {{\nfn check(&self, {found}: &mut crate::Findings) {{\n{checks}}}\n}}",
        );
    }
    code.push_str("pub(super) const READABLE_REQUESTS: &[crate::Readable] = &[\n");
    for ValidatedMessage { message, .. } in messages {
        let (name, path) = (message.full_name(), rust::path(message));
        let _ = writeln!(
            code,
            "crate::Readable {{ type_name: {name:?}, read: crate::readable::request::<{path}> }},",
        );
    }
    code.push_str("];\n");
    code
}

/// The messages that callers send, and our messages inside them.
fn reachable(pool: &DescriptorPool) -> BTreeMap<String, MessageDescriptor> {
    let mut found = BTreeMap::new();
    let mut open: Vec<MessageDescriptor> = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| method.input())
        .collect();
    while let Some(message) = open.pop() {
        if !is_ours(&message) || message.is_map_entry() || found.contains_key(message.full_name()) {
            continue;
        }
        open.extend(message.fields().filter_map(|field| inner(&field)));
        found.insert(message.full_name().to_owned(), message);
    }
    found
}

pub(crate) fn is_ours(message: &MessageDescriptor) -> bool {
    message.package_name().starts_with(OURS)
}

fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) => Some(message),
        _ => None,
    }
}

/// Why a request cannot contain the field as it is.
fn wrong_with(field: &FieldDescriptor, rules: &Rules, is_request: bool) -> Option<String> {
    let has_rules = rules.check.is_some() || rules.required || rules.ignore != Ignore::Never;
    if !is_request {
        let what = "it has rules, but no request holds its message, so no code checks them";
        return has_rules.then(|| what.to_owned());
    }
    if rules.ignore == Ignore::Always {
        return None;
    }
    let in_oneof = field
        .containing_oneof()
        .is_some_and(|oneof| !oneof.is_synthetic());
    if field.is_map() || in_oneof {
        return Some(
            "a request can hold neither a map nor a oneof: their rules are not checked".to_owned(),
        );
    }
    if let Kind::Message(message) = field.kind()
        && is_ours(&message)
        && message.parent_message().is_some()
    {
        return Some("a request cannot hold a nested message; move it to the top level".to_owned());
    }
    let check = rules.check.as_ref();
    let bound = match field.kind() {
        _ if field.is_list() => "repeated.max_items",
        Kind::Message(_) | Kind::Bool => return None,
        Kind::String => "string.max_len or string.uuid",
        Kind::Bytes => "bytes.max_len",
        Kind::Enum(_) => "enum.defined_only",
        _ => "a least or a greatest value",
    };
    if !check.is_some_and(Check::is_bounded) {
        return Some(format!(
            "a caller can send as much as fits into a message; add {bound}"
        ));
    }
    if let Some(Check::List { items, .. }) = check
        && matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Enum(_))
        && !items.check.as_ref().is_some_and(Check::is_bounded)
    {
        return Some("its elements are not bounded; add repeated.items".to_owned());
    }
    None
}

fn in_field(field: &FieldDescriptor, what: &str) -> String {
    mistake(
        field.parent_message(),
        &format!("field {}: {what}", field.name()),
    )
}
