//! A stream from the broker in which each frame can be parsed by the AMQP library.
//!
//! lapin ends its connection at a frame that it cannot parse, and a foreign publisher can cause one: AMQP's short
//! strings and header names may contain any bytes. Guarantee: such a frame is replaced by one that can be parsed and
//! shows the original bytes (`mending.rs`). All other bytes pass unchanged, also bytes that are not frames.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use futures::{AsyncRead, AsyncWrite};

mod mending;

use mending::{FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, OVERHEAD};

const CHUNK: usize = 32 * 1024;

/// Bytes to the broker pass unchecked.
pub(super) struct Readable<S> {
    inner: S,
    chunk: Box<[u8]>,
    checked: Checked,
}

#[derive(Default)]
struct Checked {
    bytes: BytesMut,
    /// Bytes from the start that can be delivered.
    ready: usize,
    /// Bytes left of a frame that needs no check.
    passing: usize,
    /// The bytes are not frames: everything passes.
    is_raw: bool,
}

impl<S> Readable<S> {
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            checked: Checked::default(),
        }
    }
}

impl Checked {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while self.step() {}
    }

    fn end(&mut self) {
        self.ready = self.bytes.len();
    }

    fn step(&mut self) -> bool {
        let unchecked = self.bytes.get(self.ready..).unwrap_or_default();
        if self.is_raw {
            self.ready = self.bytes.len();
            return false;
        }
        if self.passing > 0 {
            let here = self.passing.min(unchecked.len());
            self.ready += here;
            self.passing -= here;
            return here > 0;
        }
        let [kind, _, _, size @ ..] = unchecked else {
            return false;
        };
        let Some(size) = size.first_chunk() else {
            return false;
        };
        let whole = u32::from_be_bytes(*size) as usize + OVERHEAD;
        match *kind {
            FRAME_BODY | FRAME_HEARTBEAT => self.passing = whole,
            FRAME_HEADER | FRAME_METHOD => {
                let Some(frame) = unchecked.get(..whole) else {
                    return false;
                };
                match mending::mended(frame) {
                    None => self.ready += whole,
                    Some(mended) => self.replace(whole, &mended),
                }
            }
            _ => self.is_raw = true,
        }
        true
    }

    fn replace(&mut self, whole: usize, mended: &[u8]) {
        let after = self.bytes.split_off(self.ready + whole);
        self.bytes.truncate(self.ready);
        self.bytes.extend_from_slice(mended);
        self.bytes.extend_from_slice(&after);
        self.ready += mended.len();
    }

    fn hand_out(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.ready.min(buffer.len());
        if let (Some(target), Some(bytes)) = (buffer.get_mut(..count), self.bytes.get(..count)) {
            target.copy_from_slice(bytes);
        }
        self.bytes.advance(count);
        self.ready -= count;
        count
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Readable<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.checked.ready == 0 {
            let count = ready!(Pin::new(&mut this.inner).poll_read(context, &mut this.chunk))?;
            if count == 0 {
                this.checked.end();
                break;
            }
            this.checked
                .add(this.chunk.get(..count).unwrap_or_default());
        }
        Poll::Ready(Ok(this.checked.hand_out(buffer)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Readable<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(context)
    }
}

#[cfg(test)]
mod tests;
