//! Repair: hands events that have not arrived to their consumer, from what their producer has stored.
//!
//! Guarantee: such an event becomes a held row of the inbox, so it is handled once, even if it arrives or is handed
//! over again; below the position it is handled late, and marked so. The broker has no part in it. Each step can be
//! repeated, and leaves a record.

mod divergence;
mod gaps;
mod handing;
mod history;
mod lost;
mod record;
mod skipping;
mod state;

pub use divergence::{Accepted, Diverged, Received, Restored, TakeBack};
pub use event::{Checkpoint, Envelope};
pub use gaps::{CheckpointGap, MissingEvent, VersionGap};
pub use handing::{Handed, Repair};
pub use history::{History, Page, Selection, Stored};
pub use lost::Lost;
pub use record::{By, Step};

/// A checkpoint as bytes, for [`read_checkpoint`].
pub fn write_checkpoint(checkpoint: &Checkpoint) -> Vec<u8> {
    prost::Message::encode_to_vec(checkpoint)
}

/// `None` if it is no checkpoint of [`write_checkpoint`].
pub fn read_checkpoint(bytes: &[u8]) -> Option<Checkpoint> {
    crate::checkpoint::decode(bytes).ok()
}
