//! Disconnects a client that sends nothing: after ten seconds, and immediately while draining. The transport would wait
//! forever: its own timers begin after the connection preface.

use std::future::Future;
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::frames::PREFACE_BYTES;

/// For the HTTP/2 preface, and before it for the TLS handshake.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Greeted<IO> {
    stream: IO,
    greeting: Option<Greeting>,
}

struct Greeting {
    missing: usize,
    expired: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<IO> Greeted<IO> {
    pub(super) fn new(stream: IO, draining: &CancellationToken) -> Self {
        let draining = draining.clone().cancelled_owned();
        let expired = async move {
            // Either way, the wait is over.
            let _ = tokio::time::timeout(GREETING_TIMEOUT, draining).await;
        };
        Self {
            stream,
            greeting: Some(Greeting {
                missing: PREFACE_BYTES,
                expired: Box::pin(expired),
            }),
        }
    }

    fn check(&mut self, received: usize, context: &mut Context<'_>) -> Result<()> {
        let Some(greeting) = &mut self.greeting else {
            return Ok(());
        };
        greeting.missing = greeting.missing.saturating_sub(received);
        if greeting.missing == 0 {
            self.greeting = None;
            return Ok(());
        }
        match greeting.expired.as_mut().poll(context) {
            Poll::Ready(()) => Err(ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Greeted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.check(buffer.filled().len() - before, context)?;
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Greeted<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
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
