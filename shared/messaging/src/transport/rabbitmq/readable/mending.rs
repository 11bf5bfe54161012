//! Builds the replacement for a frame that the AMQP library cannot parse. Pure.
//!
//! All readable properties of a message stay, and the header [`UNREADABLE`] shows the others: the message becomes a
//! dead letter with its body and that header. In a delivery's exchange and routing key, each byte that is not UTF-8
//! becomes `?`, because they are not part of an event's identity.

use amq_protocol::frame::parse_frame;
use amq_protocol::types::parsing::parse_value;
use event::UNREADABLE;

pub(super) const FRAME_METHOD: u8 = 1;
pub(super) const FRAME_HEADER: u8 = 2;
pub(super) const FRAME_BODY: u8 = 3;
pub(super) const FRAME_HEARTBEAT: u8 = 8;
pub(super) const OVERHEAD: usize = PREFIX + 1;
const PREFIX: usize = 7;
const FRAME_END: u8 = 0xce;
/// Every peer accepts frames of this size.
const ALWAYS_TAKEN: usize = 4096;

const DELIVER: &[u8] = &[0, 60, 0, 60];
const BEFORE_PROPERTIES: usize = 12;
/// The most bytes of unreadable properties. With all other properties except the headers, they fit into any frame.
const SHOWN: usize = 1500;

#[derive(Clone, Copy)]
enum Property {
    Text,
    Table,
    Octet,
    Time,
}

use Property::{Octet, Table, Text, Time};

/// The class `basic`, in order: each has a bit of the flags, from the highest down.
const PROPERTIES: [(&str, Property); 14] = [
    ("content_type", Text),
    ("content_encoding", Text),
    ("headers", Table),
    ("delivery_mode", Octet),
    ("priority", Octet),
    ("correlation_id", Text),
    ("reply_to", Text),
    ("expiration", Text),
    ("message_id", Text),
    ("timestamp", Time),
    ("type", Text),
    ("user_id", Text),
    ("app_id", Text),
    ("cluster_id", Text),
];
const HEADERS: usize = 2;

pub(super) fn mended(frame: &[u8]) -> Option<Vec<u8>> {
    let payload = frame.get(PREFIX..frame.len().checked_sub(1)?)?;
    let is_header = *frame.first()? == FRAME_HEADER;
    // All other methods contain only names that we chose. Confirms are frequent, so they are not checked.
    if !is_header && !payload.starts_with(DELIVER) || parse_frame(frame).is_ok() {
        return None;
    }
    if !is_header {
        return reframed(frame, &delivery(payload)?);
    }
    let mut kept = Kept::of(payload.get(BEFORE_PROPERTIES..)?);
    let whole = reframed(frame, &header(payload, &kept)?)?;
    if whole.len() <= frame.len().max(ALWAYS_TAKEN) {
        return Some(whole);
    }
    kept.headers.clear();
    kept.lost
        .insert(0, "all headers, for their size".to_owned());
    reframed(frame, &header(payload, &kept)?)
}

fn reframed(frame: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let size = u32::try_from(payload.len()).ok()?;
    let kind_and_channel = frame.get(..3)?;
    Some([kind_and_channel, &size.to_be_bytes(), payload, &[FRAME_END]].concat())
}

#[derive(Default)]
struct Kept<'a> {
    flags: u16,
    before_headers: Vec<&'a [u8]>,
    headers: Vec<&'a [u8]>,
    after_headers: Vec<&'a [u8]>,
    lost: Vec<String>,
}

impl<'a> Kept<'a> {
    fn of(properties: &'a [u8]) -> Self {
        let mut kept = Self::default();
        let Some((flags, mut rest)) = properties.split_first_chunk() else {
            return kept;
        };
        let flags = u16::from_be_bytes(*flags);
        for (index, (name, property)) in PROPERTIES.into_iter().enumerate() {
            let bit = 1 << (15 - index);
            if flags & bit == 0 {
                continue;
            }
            let Some((value, after)) = split(rest, property) else {
                kept.lost
                    .push(format!("{name} and all after it: {}", rest.escape_ascii()));
                return kept;
            };
            rest = after;
            let text = value.get(1..).unwrap_or_default();
            match property {
                Table => kept.take_entries(value.get(4..).unwrap_or_default()),
                Text if std::str::from_utf8(text).is_err() => {
                    kept.lost.push(format!("{name}: {}", text.escape_ascii()));
                }
                _ => kept.keep(bit, value, index < HEADERS),
            }
        }
        if flags & 1 == 1 || !rest.is_empty() {
            kept.lost
                .push(format!("what follows: {}", rest.escape_ascii()));
        }
        kept
    }

    fn take_entries(&mut self, mut rest: &'a [u8]) {
        while !rest.is_empty() {
            let Some((entry, name, after)) = first_entry(rest) else {
                self.lost
                    .push(format!("header and all after it: {}", rest.escape_ascii()));
                return;
            };
            let value = entry.get(1 + name.len()..).unwrap_or_default();
            if std::str::from_utf8(name).is_ok() && parse_value(value).is_ok() {
                self.headers.push(entry);
            } else {
                let (name, value) = (name.escape_ascii(), value.escape_ascii());
                self.lost.push(format!("header {name}: {value}"));
            }
            rest = after;
        }
    }

    fn keep(&mut self, bit: u16, value: &'a [u8], is_before: bool) {
        self.flags |= bit;
        if is_before {
            self.before_headers.push(value);
        } else {
            self.after_headers.push(value);
        }
    }
}

fn split(bytes: &[u8], property: Property) -> Option<(&[u8], &[u8])> {
    let length = match property {
        Text => 1 + usize::from(*bytes.first()?),
        Table => 4 + length(bytes)?,
        Octet => 1,
        Time => 8,
    };
    bytes.split_at_checked(length)
}

fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()
}

fn first_entry(table: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, value) = split(table, Text)?;
    let size = name.len().checked_add(value_size(value)?)?;
    let (entry, after) = table.split_at_checked(size)?;
    Some((entry, name.get(1..)?, after))
}

/// A length in the value itself comes first, so that an unreadable table can be skipped.
fn value_size(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'A' | b'F' | b'S' | b'x' => Some(5 + length(bytes.get(1..)?)?),
        _ => {
            let (after, _) = parse_value(bytes).ok()?;
            bytes.len().checked_sub(after.len())
        }
    }
}

fn header(payload: &[u8], kept: &Kept<'_>) -> Option<Vec<u8>> {
    // All of it is ASCII.
    let mut text = format!("its properties are no text: {}", kept.lost.join("; "));
    text.truncate(SHOWN);
    let mark = [
        &[u8::try_from(UNREADABLE.len()).ok()?],
        UNREADABLE.as_bytes(),
        b"S",
        &u32::try_from(text.len()).ok()?.to_be_bytes(),
        text.as_bytes(),
    ]
    .concat();
    let headers = [kept.headers.concat(), mark].concat();
    let flags = kept.flags | 1 << (15 - HEADERS);
    Some(
        [
            payload.get(..BEFORE_PROPERTIES)?,
            &flags.to_be_bytes(),
            &kept.before_headers.concat(),
            &u32::try_from(headers.len()).ok()?.to_be_bytes(),
            &headers,
            &kept.after_headers.concat(),
        ]
        .concat(),
    )
}

fn delivery(payload: &[u8]) -> Option<Vec<u8>> {
    let after_method = payload.strip_prefix(DELIVER)?;
    let (_consumer, rest) = split(after_method, Text)?;
    let rest = rest.get(9..)?;
    let (exchange, rest) = split(rest, Text)?;
    let (routing_key, _) = split(rest, Text)?;
    let before = payload.len() - exchange.len() - rest.len();
    Some(
        [
            payload.get(..before)?,
            &as_text(exchange),
            &as_text(routing_key),
        ]
        .concat(),
    )
}

fn as_text(short: &[u8]) -> Vec<u8> {
    let mut short = short.to_vec();
    let text = short.get_mut(1..).unwrap_or_default();
    while let Err(error) = std::str::from_utf8(text) {
        let Some(byte) = text.get_mut(error.valid_up_to()) else {
            break;
        };
        *byte = b'?';
    }
    short
}

#[cfg(test)]
mod tests;
