//! Reads the frames in one direction of an HTTP/2 connection while its bytes pass (RFC 9113 §4.1). It stores at most
//! one frame header, so no client can make it use memory.

const HEAD_BYTES: usize = 9;
/// RFC 9113 §3.4.
pub(super) const PREFACE_BYTES: usize = 24;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) length: usize,
    pub(super) flags: u8,
}

impl Frame {
    /// Headers, or a part of a message; not an empty part without END_STREAM.
    pub(super) fn is_of_call(self) -> bool {
        match self.kind {
            HEADERS | CONTINUATION => true,
            DATA => self.length > 0 || self.flags & END_STREAM != 0,
            _ => false,
        }
    }

    pub(super) fn begins(self) -> bool {
        self.kind == HEADERS
    }
}

/// The position in one direction.
pub(super) struct Frames {
    /// Bytes before the next header: the preface, or the rest of a payload.
    skip: usize,
    head: [u8; HEAD_BYTES],
    read: usize,
}

impl Frames {
    pub(super) fn of_client() -> Self {
        Self {
            skip: PREFACE_BYTES,
            ..Self::of_server()
        }
    }

    pub(super) fn of_server() -> Self {
        Self {
            skip: 0,
            head: [0; HEAD_BYTES],
            read: 0,
        }
    }

    /// Calls `seen` with each frame that begins in `bytes`.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEAD_BYTES - self.read).min(bytes.len());
            self.head[self.read..self.read + taken].copy_from_slice(&bytes[..taken]);
            self.read += taken;
            bytes = &bytes[taken..];
            if self.read == HEAD_BYTES {
                let [a, b, c, kind, flags, ..] = self.head;
                let length = u32::from_be_bytes([0, a, b, c]) as usize;
                self.read = 0;
                self.skip = length;
                seen(Frame {
                    kind,
                    length,
                    flags,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(vec![6; payload]);
        frame
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let sent = [
            vec![b'x'; PREFACE_BYTES],
            frame(4, 0, 0),
            frame(HEADERS, 4, 300),
            frame(DATA, 1, 70_000),
            frame(6, 0, 8),
        ]
        .concat();
        for piece in [1, 2, 7, 9, 10, 24, 33, 1000, sent.len()] {
            let mut frames = Frames::of_client();
            let mut found = Vec::new();
            for bytes in sent.chunks(piece) {
                frames.read(bytes, |frame| found.push((frame.kind, frame.length)));
            }
            let expected = [(4, 0), (HEADERS, 300), (DATA, 70_000), (6, 8)];
            assert_eq!(found, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn an_empty_piece_of_a_message_is_no_part_of_a_call() {
        let data = |length, flags| Frame {
            kind: DATA,
            length,
            flags,
        };
        assert!(data(1, 0).is_of_call());
        assert!(data(0, END_STREAM).is_of_call());
        assert!(!data(0, 0).is_of_call());
    }
}
