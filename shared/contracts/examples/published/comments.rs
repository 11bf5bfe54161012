//! The comments of the proto files for a message or field, as running text.

use prost_reflect::prost_types::source_code_info::Location;
use prost_reflect::{FieldDescriptor, FileDescriptor, MessageDescriptor};

pub(crate) fn of_message(message: &MessageDescriptor) -> String {
    at(&message.parent_file(), message.path())
}

pub(crate) fn of_field(field: &FieldDescriptor) -> String {
    at(&field.parent_message().parent_file(), field.path())
}

fn at(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location =
        info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.map(Location::leading_comments).unwrap_or_default();
    let paragraphs = text.trim().split("\n\n").map(one_line);
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn one_line(paragraph: &str) -> String {
    let lines = paragraph.lines().map(str::trim);
    lines.collect::<Vec<_>>().join(" ")
}
