//! Every message that comes from outside as bytes, by name: for tests that feed them whatever they like.
//!
//! The table is generated, so that no request and no event is forgotten.

use std::fmt::Debug;

use crate::{FieldViolation, Validate};

/// A request or an event, and how it is read.
#[derive(Clone, Copy)]
pub struct Readable {
    /// The full name of the message.
    pub type_name: &'static str,
    /// Reads bytes that say they are one.
    pub read: fn(&[u8]) -> Result<Reading, prost::DecodeError>,
}

/// What came of reading a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The message as it is written again.
    pub written: Vec<u8>,
    /// As it would be logged.
    pub shown: String,
    /// What is wrong with it; nothing for an event.
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
