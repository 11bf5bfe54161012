//! Every message that arrives from outside as bytes, by name, for tests with arbitrary input. The table is generated,
//! so that none is missing.

use std::fmt::Debug;

use crate::{FieldViolation, Validate};

/// A request or an event.
#[derive(Clone, Copy)]
pub struct Readable {
    /// The full name of the message.
    pub type_name: &'static str,
    /// Decodes bytes that claim to be this message.
    pub read: fn(&[u8]) -> Result<Reading, prost::DecodeError>,
}

/// The result of reading a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The message, encoded again.
    pub written: Vec<u8>,
    /// Its form in logs.
    pub shown: String,
    /// Its violations; empty for an event.
    pub violations: Vec<FieldViolation>,
}

pub(crate) fn request<T>(bytes: &[u8]) -> Result<Reading, prost::DecodeError>
where
    T: prost::Message + Default + Debug + Validate,
{
    let message = T::decode(bytes)?;
    Ok(Reading {
        written: message.encode_to_vec(),
        shown: format!("{message:?}"),
        violations: message.violations(),
    })
}

pub(crate) fn event<T>(bytes: &[u8]) -> Result<Reading, prost::DecodeError>
where
    T: crate::Event + Debug,
{
    let message = T::decode(bytes)?;
    Ok(Reading {
        written: message.encode_to_vec(),
        shown: format!("{message:?}"),
        violations: Vec::new(),
    })
}
