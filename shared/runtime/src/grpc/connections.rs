//! Accepted connections, each of which can be closed from our side.
//!
//! The transport drains politely and would wait for ever for a client that does not leave; once told to close, a
//! connection answers every read and write with an error, and so ends with all its calls. It would also wait for a
//! client that has connected and says nothing: such a one has ten seconds, and none while draining.

use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::lifecycle::Shutdown;

/// Without file descriptors `accept` fails at once, again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a client may take to say that it speaks HTTP/2.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// The connection preface, RFC 9113 §3.4.
const GREETING_BYTES: usize = 24;

pub(super) fn incoming(
    listener: TcpListener,
    shutdown: Shutdown,
    close: CancellationToken,
) -> impl Stream<Item = Result<Connection>> {
    let state = (listener, shutdown, close);
    futures::stream::unfold(state, |(listener, shutdown, close)| async {
        let socket = accept(&listener).await;
        // Small answers must not wait for the acknowledgement of earlier ones; where the socket is gone already, the
        // connection finds out.
        let _ = socket.set_nodelay(true);
        let connection = Connection::new(socket, &shutdown, &close);
        Some((Ok(connection), (listener, shutdown, close)))
    })
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

pub(super) struct Connection {
    socket: TcpStream,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    greeting: Option<Greeting>,
}

/// What a client still has to say before it counts as one, and the end of our patience.
struct Greeting {
    missing: usize,
    expired: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connection {
    fn new(socket: TcpStream, shutdown: &Shutdown, close: &CancellationToken) -> Self {
        let draining = shutdown.soft.clone().cancelled_owned();
        let expired = async move {
            // Either way there is nothing to wait for any more.
            let _ = tokio::time::timeout(GREETING_TIMEOUT, draining).await;
        };
        Self {
            socket,
            closed: Box::pin(close.clone().cancelled_owned()),
            greeting: Some(Greeting {
                missing: GREETING_BYTES,
                expired: Box::pin(expired),
            }),
        }
    }

    /// Counts what came in, and gives up on a client that stays silent.
    fn check_greeting(&mut self, received: usize, context: &mut Context<'_>) -> Result<()> {
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

    /// An error once it is to be closed; also what wakes an idle connection then.
    fn check_open(&mut self, context: &mut Context<'_>) -> Result<()> {
        match self.closed.as_mut().poll(context) {
            Poll::Ready(()) => Err(Error::new(
                ErrorKind::ConnectionAborted,
                "the server is ending",
            )),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.check_open(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        self.check_greeting(buffer.filled().len() - before, context)?;
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.check_open(context)?;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.check_open(context)?;
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.check_open(context)?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
