//! Makes requests of any type from bytes: often valid, and about users and orders that exist.
//!
//! The same bytes make the same request, so that proptest can shrink a sequence.

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use uuid::Uuid;

use crate::system::PASSWORD;

/// The deepest nesting. Messages that contain themselves would not end.
const DEPTH: u8 = 4;
/// Of each field, the newest values of answers are enough.
const REMEMBERED: usize = 8;

/// Bytes as choices; the first one if there are none left.
pub(super) struct Words<'a>(std::slice::Iter<'a, u8>);

impl<'a> Words<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or_default()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.next()) % from.len()].clone()
    }
}

/// The values that calls can use: of the beginning, and of the answers so far.
pub(super) struct Known {
    values: BTreeMap<String, Vec<String>>,
}

impl Known {
    pub(super) fn new(user_ids: &[&str], order_id: &str) -> Self {
        let list = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
        let values = [
            ("user_id", list(user_ids)),
            ("order_id", list(&[order_id])),
            (
                "email",
                list(&[
                    "grace@example.com",
                    "Grace@Example.com",
                    "mallory@example.com",
                ]),
            ),
            ("password", list(&[PASSWORD, "another password", "short"])),
            (
                "current_password",
                list(&[PASSWORD, "another password", ""]),
            ),
            ("new_password", list(&[PASSWORD, "another password"])),
            (
                "display_name",
                list(&["Grace", "Grace Hopper", "\u{202e}ecarG"]),
            ),
            ("sku", list(&["TEA-1", "CUP-BLUE", "-"])),
            ("currency_code", list(&["EUR", "USD", "eur"])),
            ("etag", list(&["", "\"1\"", "\"2\"", "1"])),
            (
                "paths",
                list(&["email", "display_name", "order_placed_mails", "user_id"]),
            ),
            (
                "request_id",
                list(&["", "01890a5d-ac96-774b-8cce-b302099a8057", "1"]),
            ),
        ];
        let values = values.map(|(name, values)| (name.to_owned(), values));
        Self {
            values: values.into(),
        }
    }

    /// A message of this type.
    pub(super) fn message(&self, of: &MessageDescriptor, words: &mut Words<'_>) -> DynamicMessage {
        self.nested(of, words, DEPTH)
    }

    fn nested(&self, of: &MessageDescriptor, words: &mut Words<'_>, depth: u8) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        for field in of.fields() {
            // Some are absent.
            if words.next() % 8 == 7 || field.is_map() {
                continue;
            }
            let value = if field.is_list() {
                let length = words.pick(&[1, 2, 0]);
                Value::List(
                    (0..length)
                        .filter_map(|_| self.value(&field, words, depth))
                        .collect(),
                )
            } else if let Some(value) = self.value(&field, words, depth) {
                value
            } else {
                continue;
            };
            message.set_field(&field, value);
        }
        message
    }

    fn value(&self, field: &FieldDescriptor, words: &mut Words<'_>, depth: u8) -> Option<Value> {
        let whole = [1, 0, 2, 10, -1, 1_000, i64::from(i32::MAX), i64::MIN];
        Some(match field.kind() {
            Kind::String => Value::String(self.text(field.name(), words)),
            Kind::Bool => Value::Bool(words.next().is_multiple_of(2)),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                Value::I32(i32::try_from(words.pick(&whole)).unwrap_or(i32::MIN))
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(words.pick(&whole)),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(words.pick(&[1, 0, 2, 100, u32::MAX])),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(words.pick(&[1, 0, 2, 100, u64::MAX])),
            Kind::Enum(_) => Value::EnumNumber(words.pick(&[1, 0, 2, 3, 99, -1])),
            Kind::Bytes => Value::Bytes((0..words.next() % 8).map(|_| words.next()).collect()),
            Kind::Message(inner) if depth > 0 => {
                Value::Message(self.nested(&inner, words, depth - 1))
            }
            Kind::Message(_) | Kind::Double | Kind::Float => return None,
        })
    }

    fn text(&self, name: &str, words: &mut Words<'_>) -> String {
        let choice = words.next();
        if let Some(known) = self.values.get(name)
            && choice % 16 != 15
        {
            return words.pick(known);
        }
        match words.next() % 6 {
            0 => Uuid::from_u128(7).to_string(),
            1 => String::new(),
            2 => "a".to_owned(),
            3 => "x".repeat(usize::from(words.next()) * 8),
            4 => "\0\u{7f}\r\n'; DROP TABLE users; --".to_owned(),
            _ => "Zoë 🫖".to_owned(),
        }
    }

    /// Keeps the ids and tokens of an answer. No names and addresses: they would come back in other requests, as if the
    /// services had shown them.
    pub(super) fn learn(&mut self, of: &MessageDescriptor, bytes: &[u8]) {
        if let Ok(answer) = DynamicMessage::decode(of.clone(), bytes) {
            self.gather(&answer);
        }
    }

    pub(super) fn replace_user(&mut self, user_id: &str) {
        let known = self.values.entry("user_id".to_owned()).or_default();
        known.push(user_id.to_owned());
    }

    fn gather(&mut self, answer: &DynamicMessage) {
        for (field, value) in answer.fields() {
            let name = field.name();
            let values = value.as_list().unwrap_or(std::slice::from_ref(value));
            for value in values {
                if let Some(inner) = value.as_message() {
                    self.gather(inner);
                }
                let Some(text) = value.as_str() else {
                    continue;
                };
                if name.ends_with("_id") || name == "next_page_token" || name == "refresh_token" {
                    let name = name.trim_start_matches("next_").to_owned();
                    let known = self.values.entry(name).or_default();
                    if known.len() >= REMEMBERED {
                        // Not the first ones, which belong to users who stay.
                        known.remove(REMEMBERED / 2);
                    }
                    known.push(text.to_owned());
                }
            }
        }
    }
}
