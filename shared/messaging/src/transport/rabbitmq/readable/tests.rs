//! For any split of the bytes into chunks, parseable frames pass unchanged, and the others become parseable.

use std::io;
use std::iter::Cycle;
use std::pin::Pin;
use std::task::{Context, Poll};

use amq_protocol::frame::{AMQPFrame, parse_frame};
use futures::{AsyncRead, AsyncReadExt as _, FutureExt as _};
use proptest::prelude::*;

use super::Readable;
use super::mending::{FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD};

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[kind, 0, 1][..], &size, payload, &[0xce]].concat()
}

fn header(message_id: &[u8]) -> Vec<u8> {
    let length = u8::try_from(message_id.len()).unwrap();
    let fixed = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    let payload = [&fixed[..], &[0x00, 0x80], &[length], message_id].concat();
    frame(FRAME_HEADER, &payload)
}

struct Pieces<'a> {
    rest: &'a [u8],
    sizes: Cycle<std::slice::Iter<'a, usize>>,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let size = self.sizes.next().copied().unwrap_or(1);
        let count = size.min(self.rest.len()).min(buffer.len());
        let (piece, rest) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(count))
    }
}

fn read(bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut stream = Readable::new(Pieces {
        rest: bytes,
        sizes: sizes.iter().cycle(),
    });
    let mut out = Vec::new();
    let reading = stream.read_to_end(&mut out).now_or_never();
    reading.unwrap().unwrap();
    out
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        body.prop_map(|body| frame(FRAME_BODY, &body)),
        Just(frame(FRAME_HEARTBEAT, &[])),
        "[a-zé]{0,60}".prop_map(|id| header(id.as_bytes())),
        // A publisher confirm.
        any::<u64>().prop_map(|tag| {
            let payload = [&[0, 60, 0, 80][..], &tag.to_be_bytes(), &[0]].concat();
            frame(FRAME_METHOD, &payload)
        }),
    ]
}

proptest! {
    #[test]
    fn what_can_be_parsed_passes_unchanged(
        frames in proptest::collection::vec(frames(), 1..12),
        sizes in proptest::collection::vec(1_usize..200, 1..6),
    ) {
        let bytes = frames.concat();
        prop_assert_eq!(read(&bytes, &sizes), bytes);
    }

    #[test]
    fn what_are_no_frames_passes_unchanged(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        sizes in proptest::collection::vec(1_usize..50, 1..6),
    ) {
        // As an old broker answers.
        let bytes = [b"AMQP\0\0\x09\x01", &bytes[..]].concat();
        prop_assert_eq!(read(&bytes, &sizes), bytes);
    }

    #[test]
    fn a_frame_that_cannot_be_parsed_is_replaced_alone(
        id in proptest::collection::vec(0x80_u8..0xc0, 1..200),
        before in frames(),
        after in frames(),
        sizes in proptest::collection::vec(1_usize..200, 1..6),
    ) {
        let bytes = [&before[..], &header(&id), &after].concat();
        let out = read(&bytes, &sizes);
        prop_assert!(out.starts_with(&before) && out.ends_with(&after));
        let mended = &out[before.len()..out.len() - after.len()];
        let Ok(([], AMQPFrame::Header(1, header))) = parse_frame(mended) else {
            return Err(TestCaseError::fail("it cannot be parsed"));
        };
        prop_assert_eq!(header.body_size, 5);
    }
}

#[test]
fn a_stream_that_ends_within_a_frame_hands_out_what_came() {
    let bytes = [header(b"whole"), header(b"part")[..9].to_vec()].concat();
    assert_eq!(read(&bytes, &[5]), bytes);
}
