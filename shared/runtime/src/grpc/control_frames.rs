//! Limits frames that belong to no call: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA and unknown
//! ones.
//!
//! Each costs the server work and the client nothing; the transport limits only some of them. A connection may send a
//! few, and more for each call and each part of an answer: clients answer these with WINDOW_UPDATE, and measure the
//! link with PING. So a busy client never reaches the limit.

use std::io::{Error, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;

/// At once, without any call.
const BURST: f64 = 200.0;
/// After that. Keepalive pings come at most once a second.
const PER_SECOND: f64 = 20.0;
/// Two window updates, a ping, and one in reserve.
const FOR_EACH_FRAME: f64 = 4.0;
/// A client's updates may be late by about this many frames.
const MOST_EARNED: f64 = 10_000.0;

/// The control frames that a client may still send.
struct Allowance {
    own: f64,
    earned: f64,
    filled: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            own: BURST,
            earned: 0.0,
            filled: now,
        }
    }

    fn earn(&mut self) {
        self.earned = (self.earned + FOR_EACH_FRAME).min(MOST_EARNED);
    }

    fn spend(&mut self, now: Instant) -> bool {
        if self.earned >= 1.0 {
            self.earned -= 1.0;
            return true;
        }
        if self.own < 1.0 {
            let passed = now.saturating_duration_since(self.filled).as_secs_f64();
            self.own = (self.own + passed * PER_SECOND).min(BURST);
            self.filled = now;
        }
        if self.own < 1.0 {
            return false;
        }
        self.own -= 1.0;
        true
    }
}

/// Fails when its client sends too many control frames.
pub(super) struct Counted<IO, F> {
    stream: IO,
    received: Frames,
    sent: Frames,
    allowance: Allowance,
    /// Called once, at the limit.
    exceeded: Option<F>,
}

impl<IO, F: FnOnce()> Counted<IO, F> {
    pub(super) fn new(stream: IO, exceeded: F) -> Self {
        Self {
            stream,
            received: Frames::of_client(),
            sent: Frames::of_server(),
            allowance: Allowance::new(Instant::now()),
            exceeded: Some(exceeded),
        }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<()> {
        let now = Instant::now();
        let (allowance, mut within) = (&mut self.allowance, true);
        self.received.read(bytes, |frame| {
            if frame.begins() {
                allowance.earn();
            } else if !frame.is_of_call() {
                within &= allowance.spend(now);
            }
        });
        if within {
            return Ok(());
        }
        if let Some(exceeded) = self.exceeded.take() {
            exceeded();
        }
        Err(Error::other("the client sends too many control frames"))
    }

    fn sent(&mut self, bytes: &[u8]) {
        let allowance = &mut self.allowance;
        self.sent.read(bytes, |frame| {
            if frame.is_of_call() {
                allowance.earn();
            }
        });
    }
}

impl<IO: AsyncRead + Unpin, F: FnOnce() + Unpin> AsyncRead for Counted<IO, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.count(&buffer.filled()[before..])?;
        read
    }
}

impl<IO: AsyncWrite + Unpin, F: FnOnce() + Unpin> AsyncWrite for Counted<IO, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.sent(&bytes[..length]);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(length)) = written {
            let mut left = length;
            for slice in slices {
                let passed = left.min(slice.len());
                self.sent(&slice[..passed]);
                left -= passed;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn control_frames_alone_run_into_the_limit() {
        let begun = Instant::now();
        let mut allowance = Allowance::new(begun);
        let spent = (0..1000).filter(|_| allowance.spend(begun)).count();
        assert_eq!(spent, 200);
        let later = begun + Duration::from_secs(1);
        let spent = (0..1000).filter(|_| allowance.spend(later)).count();
        assert_eq!(spent, 20);
    }

    #[test]
    fn a_client_that_pings_each_second_never_reaches_it() {
        let begun = Instant::now();
        let mut allowance = Allowance::new(begun);
        for second in 0..100_000 {
            assert!(allowance.spend(begun + Duration::from_secs(second)));
        }
    }

    #[test]
    fn a_busy_client_never_reaches_it() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        for _ in 0..1000 {
            // The client reads later.
            for _ in 0..200 * 4 {
                allowance.earn();
            }
            // Two window updates per frame, and a ping.
            for _ in 0..200 * 3 {
                assert!(allowance.spend(now));
            }
        }
    }
}
