//! Reads the one message of a call completely, before anything is done for the call: a prefix of five bytes, then the
//! message until the end of the stream. An invalid message is the client's mistake.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;

use super::arrivals::{Arrival, NoRoom};
use crate::status;

/// A flag and the length of the message.
const PREFIX: usize = 5;
/// The parts that any message may have.
const PIECES: usize = 64;
/// Of each further part: small parts cost far more than their bytes.
const BYTES_OF_A_PIECE: usize = 256;

pub(super) enum Refused {
    /// The client has cancelled the call, or the connection is lost.
    Gone,
    NoRoom,
    Wrong(Status),
}

impl From<NoRoom> for Refused {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

impl Refused {
    pub(super) fn into_status(self) -> Status {
        match self {
            Self::Gone => status::cancelled(),
            Self::NoRoom => status::requests_too_large(),
            Self::Wrong(status) => status,
        }
    }
}

/// Reads the message with its prefix: at most `largest` bytes. `has_encoding`: the headers name a compression.
pub(super) async fn read(
    mut body: Body,
    largest: usize,
    has_encoding: bool,
    arrival: &mut Arrival,
) -> Result<Bytes, Refused> {
    let mut message = Message::default();
    loop {
        let frame = tokio::select! {
            biased;
            () = arrival.gives_way() => return Err(Refused::NoRoom),
            frame = body.frame() => frame,
        };
        let Some(frame) = frame else { break };
        let Ok(frame) = frame else {
            return Err(Refused::Gone);
        };
        if let Ok(data) = frame.into_data() {
            arrival.charge(data.len())?;
            message.push(data);
            message
                .check(largest, has_encoding)
                .map_err(Refused::Wrong)?;
        }
    }
    // To the transport, a cancelled stream looks like an ended one.
    if !http_body::Body::is_end_stream(&body) {
        return Err(Refused::Gone);
    }
    arrival.complete()?;
    message.finish().map_err(Refused::Wrong)
}

#[derive(Default)]
struct Message {
    /// Usually the whole message.
    first: Bytes,
    rest: BytesMut,
    pieces: usize,
}

impl Message {
    fn push(&mut self, data: Bytes) {
        self.pieces += 1;
        if self.first.is_empty() {
            self.first = data;
            return;
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&self.first);
        }
        self.rest.extend_from_slice(&data);
    }

    fn bytes(&self) -> &[u8] {
        if self.rest.is_empty() {
            &self.first
        } else {
            &self.rest
        }
    }

    fn check(&self, largest: usize, has_encoding: bool) -> Result<(), Status> {
        let bytes = self.bytes();
        if self.pieces > PIECES + bytes.len() / BYTES_OF_A_PIECE {
            return Err(status::malformed_message(
                "the message comes in too many pieces",
            ));
        }
        let Some((flag, length)) = prefix(bytes) else {
            return Ok(());
        };
        match flag {
            0 => {}
            1 if has_encoding => {}
            1 => return Err(status::packed_by_no_method()),
            _ => {
                return Err(status::malformed_message(
                    "the message's prefix begins with neither 0 nor 1",
                ));
            }
        }
        if length > largest {
            return Err(status::message_too_large(&format!(
                "decoded message length too large: found {length} bytes, the limit is: {largest} bytes"
            )));
        }
        if bytes.len() > PREFIX + length {
            return Err(status::message_count("more than one"));
        }
        Ok(())
    }

    fn finish(self) -> Result<Bytes, Status> {
        let Some((_, length)) = prefix(self.bytes()) else {
            return Err(match self.bytes().len() {
                0 => status::message_count("none"),
                _ => status::malformed_message("the message ends in its prefix"),
            });
        };
        if self.bytes().len() < PREFIX + length {
            return Err(status::malformed_message(
                "the message ends before its length",
            ));
        }
        Ok(match self.rest.is_empty() {
            true => self.first,
            false => self.rest.freeze(),
        })
    }
}

fn prefix(bytes: &[u8]) -> Option<(u8, usize)> {
    let [flag, a, b, c, d] = bytes.first_chunk::<PREFIX>()?;
    let length = u32::from_be_bytes([*a, *b, *c, *d]);
    Some((*flag, length as usize))
}
