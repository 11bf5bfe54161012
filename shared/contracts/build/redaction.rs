//! Generates a redacting `impl Debug` for messages with sensitive fields, so that they can be logged.

use std::fmt::Write;

use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::options::{Options, mistake};
use crate::rust;

pub(crate) struct RedactedMessage {
    message: MessageDescriptor,
    sensitive: Vec<FieldDescriptor>,
}

/// All messages with sensitive fields, or all that cannot be redacted.
pub(crate) fn read(pool: &DescriptorPool) -> Result<Vec<RedactedMessage>, Vec<String>> {
    let options = Options::find(pool).map_err(|error| vec![error])?;
    let mut messages = Vec::new();
    let mut mistakes = Vec::new();
    for message in pool.all_messages() {
        let sensitive: Vec<_> = message
            .fields()
            .filter(|field| options.is_sensitive(field))
            .collect();
        if sensitive.is_empty() {
            continue;
        }
        // The code generator omits `Debug` also for everything inside the message.
        let is_flat = message.parent_message().is_none()
            && message.child_messages().all(|child| child.is_map_entry())
            && message.oneofs().all(|oneof| oneof.is_synthetic());
        if !is_flat {
            mistakes.push(mistake(
                &message,
                "it has sensitive fields, so it can neither hold nor be a nested message, nor have a oneof; \
                 move those to top-level messages of their own",
            ));
        }
        messages.push(RedactedMessage { message, sensitive });
    }
    if mistakes.is_empty() {
        Ok(messages)
    } else {
        Err(mistakes)
    }
}

pub(crate) fn to_rust(messages: &[RedactedMessage]) -> String {
    let mut code = String::new();
    for message in messages {
        message.write_impl(&mut code);
    }
    code
}

impl RedactedMessage {
    pub(crate) fn full_name(&self) -> &str {
        self.message.full_name()
    }

    fn write_impl(&self, code: &mut String) {
        let _ = write!(
            code,
            "impl ::core::fmt::Debug for {} {{\n\
             fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{\n\
             formatter.debug_struct({:?})\n",
            rust::path(&self.message),
            self.message.name(),
        );
        for field in self.message.fields() {
            let _ = writeln!(code, ".field({:?}, {})", field.name(), self.shown(&field));
        }
        code.push_str(".finish()\n}\n}\n");
    }

    fn shown(&self, field: &FieldDescriptor) -> String {
        let identifier = rust::identifier(field.name());
        if self.sensitive.contains(field) {
            return "&::core::format_args!(\"[redacted]\")".to_owned();
        }
        // prost stores a number; a reader of the log needs the name.
        let is_one_enum = matches!(field.kind(), Kind::Enum(_))
            && field.cardinality() != Cardinality::Repeated
            && !field.supports_presence();
        if is_one_enum {
            return format!(
                "&::core::format_args!(\"{{}} ({{}})\", self.{identifier}().as_str_name(), self.{identifier})"
            );
        }
        format!("&self.{identifier}")
    }
}
