//! Generates the Rust that checks one field: a call into `src/validation.rs` per rule.

use prost_reflect::{FieldDescriptor, Kind};

use crate::rules::{Check, Ignore, Rules};
use crate::rust;
use crate::validation::is_ours;

/// Empty without rules.
pub(crate) fn of_field(field: &FieldDescriptor, rules: &Rules) -> String {
    if rules.ignore == Ignore::Always {
        return String::new();
    }
    let member = format!("self.{}", rust::identifier(field.name()));
    if field.is_list() {
        return of_list(field, rules, &member);
    }
    let name = format!("{:?}", field.name());
    let presence = if rules.required && field.supports_presence() {
        format!("found.required({name}, {member}.is_some());\n")
    } else {
        String::new()
    };
    if let Kind::Message(message) = field.kind() {
        let inner = format!("found.inner({name}, {member}.as_ref());\n");
        return presence + if is_ours(&message) { &inner } else { "" };
    }
    if !field.supports_presence() {
        return of_value(field, rules, rules.required, &name, &member);
    }
    let check = of_value(field, rules, false, &name, "value");
    if check.is_empty() {
        return presence;
    }
    let reference = if is_copied(field) { "" } else { "&" };
    format!("{presence}if let Some(value) = {reference}{member} {{\n{check}}}\n")
}

fn of_list(field: &FieldDescriptor, rules: &Rules, member: &str) -> String {
    let Some(Check::List { min, max, items }) = &rules.check else {
        return String::new();
    };
    let name = field.name();
    let length = format!(
        "found.list({name:?}, {member}.len(), {}, {});\n",
        (*min).max(rules.required.into()),
        most(*max),
    );
    if let Kind::Message(message) = field.kind() {
        let each = format!("found.each({name:?}, &{member});\n");
        return length + if is_ours(&message) { &each } else { "" };
    }
    let path = format!("&format!(\"{name}[{{index}}]\")");
    let check = of_value(field, items, items.required, &path, "item");
    if check.is_empty() {
        return length;
    }
    let copied = if is_copied(field) { ".copied()" } else { "" };
    format!("{length}for (index, item) in {member}.iter(){copied}.enumerate() {{\n{check}}}\n")
}

/// `value` is an expression: a place or reference for text and bytes, a value otherwise.
fn of_value(
    field: &FieldDescriptor,
    rules: &Rules,
    is_required: bool,
    path: &str,
    value: &str,
) -> String {
    let least = |min: u64| min.max(is_required.into());
    let (call, is_given) = match &rules.check {
        None | Some(Check::List { .. }) => return String::new(),
        Some(Check::Text { min, max, form }) => (
            format!(
                "found.text({path}, {value}.as_str(), {}, {}, crate::Form::{form:?});",
                least(*min),
                most(*max)
            ),
            format!("!{value}.is_empty()"),
        ),
        Some(Check::Bytes { min, max }) => (
            format!(
                "found.bytes({path}, {value}.as_slice(), {}, {});",
                least(*min),
                most(*max)
            ),
            format!("!{value}.is_empty()"),
        ),
        Some(Check::Number { min, max }) => (
            format!("found.number({path}, {value}.into(), {min:?}, {max:?});"),
            format!("{value} != 0"),
        ),
        Some(Check::Enum { not_in, .. }) => (
            format!(
                "found.choice({path}, {value}, &{:?});",
                allowed(field, not_in, is_required)
            ),
            format!("{value} != 0"),
        ),
    };
    if rules.ignore == Ignore::IfZero {
        return format!("if {is_given} {{ {call} }}\n");
    }
    call + "\n"
}

/// The enum values that a caller may send, with their names.
fn allowed(field: &FieldDescriptor, not_in: &[i32], is_required: bool) -> Vec<(i32, String)> {
    let Kind::Enum(descriptor) = field.kind() else {
        return Vec::new();
    };
    descriptor
        .values()
        .map(|value| (value.number(), value.name().to_owned()))
        .filter(|(number, _)| !not_in.contains(number))
        .filter(|(number, _)| !is_required || *number != 0)
        .collect()
}

fn is_copied(field: &FieldDescriptor) -> bool {
    !matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Message(_))
}

fn most(max: Option<u64>) -> u64 {
    max.unwrap_or(u64::MAX)
}
