//! Writes docs/events.md, the event catalogue for people.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use contracts::{EVENTS, EventInfo};
use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind};

use crate::comments;

const HEAD: &str = "\
# Events

Every event of the system, as the proto files under `proto/` have it; `cargo xtask contracts docs` writes this page. The body of a message is the bare protobuf
message named here; AMQP `type` is its full name, `message_id` the event's id, and the headers hold the CloudEvents attributes and `traceparent`
(ARCHITECTURE.md, *Event catalogue*, says who publishes and who consumes what). A consumer in any language binds a queue of its own to the exchange.
";

pub(crate) fn write(pool: &DescriptorPool) -> Result<String> {
    let mut page = HEAD.to_owned();
    for event in EVENTS {
        section(pool, event, &mut page)?;
    }
    Ok(page)
}

fn section(pool: &DescriptorPool, event: &EventInfo, page: &mut String) -> Result<()> {
    let message = pool.get_message_by_name(event.type_name);
    let message = message.with_context(|| format!("{} is not there", event.type_name))?;
    let sensitive = pool
        .get_extension_by_name("angarium.event.v1.sensitive")
        .context("the option sensitive is not there")?;
    let unrouted = if event.may_be_unrouted {
        " It counts as published even if no queue takes it."
    } else {
        ""
    };
    write!(
        page,
        "\n## `{}`\n\n{}\n\n`{}` on exchange `{}`; aggregate `{}`, identified by `{}`.{unrouted}\n\n| field | type | |\n| --- | --- | --- |\n",
        event.routing_key,
        comments::of_message(&message),
        event.type_name,
        event.exchange,
        event.aggregate,
        event.aggregate_id_field,
    )?;
    for field in message.fields() {
        let is_sensitive = field.options().get_extension(&sensitive).as_bool() == Some(true);
        let note = if is_sensitive { "*Sensitive.* " } else { "" };
        let comment = comments::of_field(&field)
            .replace("\n\n", " ")
            .replace('|', "\\|");
        writeln!(
            page,
            "| `{}` | {} | {note}{comment} |",
            field.name(),
            kind(&field)
        )?;
    }
    Ok(())
}

fn kind(field: &FieldDescriptor) -> String {
    let name = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    if field.cardinality() == Cardinality::Repeated {
        return format!("repeated {name}");
    }
    name
}
