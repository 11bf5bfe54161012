//! Checks that this release still reads every released event as the release that wrote it did.
//!
//! Each sample is kept as bytes and as JSON. A new field adds a new version of the sample; older ones stay, because
//! such events are still in queues and tables. Samples are read with the generated types, as in services.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use contracts::{EVENTS, EventInfo};
use prost_reflect::prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};
use serde_json::Value as Json;

/// Writes a sample of each changed event, and returns the names of the new samples.
pub(crate) fn keep(pool: &DescriptorPool, folder: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(folder)?;
    let mut kept = Vec::new();
    for event in EVENTS {
        let sample = sample(&descriptor(pool, event.type_name)?);
        let bytes = sample.encode_to_vec();
        let versions = versions(folder, event.routing_key)?;
        let is_there = versions.iter().any(|name| {
            let there = fs::read(folder.join(format!("{name}.binpb")));
            there.is_ok_and(|there| there == bytes)
        });
        if is_there {
            continue;
        }
        let name = format!("{}.{}", event.routing_key, versions.len() + 1);
        let json = serde_json::to_string_pretty(&json(&sample)?)?;
        fs::write(folder.join(format!("{name}.binpb")), &bytes)?;
        fs::write(folder.join(format!("{name}.json")), json + "\n")?;
        kept.push(name);
    }
    Ok(kept)
}

/// Returns the number of samples that are read as expected. An unreleased event has none.
pub(crate) fn check(pool: &DescriptorPool, folder: &Path) -> Result<usize> {
    let mut checked = 0;
    for event in EVENTS {
        let versions = versions(folder, event.routing_key)?;
        for name in &versions {
            read(pool, event, folder, name).with_context(|| format!("the kept event {name}"))?;
            checked += 1;
        }
    }
    Ok(checked)
}

fn read(pool: &DescriptorPool, event: &EventInfo, folder: &Path, name: &str) -> Result<()> {
    let bytes = fs::read(folder.join(format!("{name}.binpb")))?;
    let was: Json = serde_json::from_slice(&fs::read(folder.join(format!("{name}.json")))?)?;
    let read = (event.reencode)(&bytes).context("today's code cannot read it")?;
    let read = DynamicMessage::decode(descriptor(pool, event.type_name)?, read.as_slice())?;
    let is = json(&read)?;
    ensure!(is == was, "it is read as {is}, and was {was}");
    Ok(())
}

/// `user.created.1`, `user.created.2` …
fn versions(folder: &Path, routing_key: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let name = name.strip_suffix(".binpb").map(str::to_owned);
        let own = name.filter(|name| {
            let number = name
                .strip_prefix(routing_key)
                .and_then(|rest| rest.strip_prefix('.'));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        });
        names.extend(own);
    }
    names.sort();
    Ok(names)
}

fn descriptor(pool: &DescriptorPool, name: &str) -> Result<MessageDescriptor> {
    pool.get_message_by_name(name)
        .with_context(|| format!("{name} is not there"))
}

fn json(message: &DynamicMessage) -> Result<Json> {
    Ok(serde_json::to_value(message)?)
}

/// No field has its default, so that a lost field shows.
fn sample(message: &MessageDescriptor) -> DynamicMessage {
    let mut sample = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let value = value(&field);
        let value = if field.is_list() {
            Value::List(vec![value])
        } else {
            value
        };
        sample.set_field(&field, value);
    }
    sample
}

fn value(field: &FieldDescriptor) -> Value {
    let number = field.number();
    match field.kind() {
        Kind::String => Value::String(format!("{} {number}", field.name())),
        Kind::Bytes => Value::Bytes(field.name().as_bytes().to_vec().into()),
        Kind::Bool => Value::Bool(true),
        Kind::Double => Value::F64(f64::from(number)),
        Kind::Float => Value::F32(1.5),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number.into()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number.cast_signed()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number.into()),
        Kind::Enum(values) => Value::EnumNumber(
            values
                .values()
                .map(|value| value.number())
                .max()
                .unwrap_or(1),
        ),
        Kind::Message(message) => Value::Message(sample(&message)),
    }
}
