//! Reads our options (angarium/event/v1/event.proto) from the descriptors.

use std::collections::BTreeSet;

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};

/// As the compiled files define them.
pub(crate) struct Options {
    event: ExtensionDescriptor,
    sensitive: ExtensionDescriptor,
}

impl Options {
    pub(crate) fn find(pool: &DescriptorPool) -> Result<Self, String> {
        let find = |name: &str| {
            pool.get_extension_by_name(name).ok_or_else(|| {
                format!("no file defines the option {name}; it belongs into proto/angarium/event/v1/event.proto")
            })
        };
        Ok(Self {
            event: find("angarium.event.v1.event")?,
            sensitive: find("angarium.event.v1.sensitive")?,
        })
    }

    pub(crate) fn event(&self, message: &MessageDescriptor) -> Option<DynamicMessage> {
        let options = message.options();
        if !options.has_extension(&self.event) {
            return None;
        }
        options.get_extension(&self.event).as_message().cloned()
    }

    pub(crate) fn is_sensitive(&self, field: &FieldDescriptor) -> bool {
        let options = field.options();
        options.get_extension(&self.sensitive).as_bool() == Some(true)
    }

    /// At any depth.
    pub(crate) fn holds_sensitive(&self, message: &MessageDescriptor) -> bool {
        let mut seen = BTreeSet::new();
        let mut messages = vec![message.clone()];
        while let Some(message) = messages.pop() {
            if !seen.insert(message.full_name().to_owned()) {
                continue;
            }
            for field in message.fields() {
                if self.is_sensitive(&field) {
                    return true;
                }
                if let Kind::Message(inner) = field.kind() {
                    messages.push(inner);
                }
            }
        }
        false
    }
}

/// A mistake: file, message, what is wrong, and what to do.
pub(crate) fn mistake(message: &MessageDescriptor, what: &str) -> String {
    let file = message.parent_file();
    format!("proto/{}: message {}: {what}", file.name(), message.name())
}
