//! Accepted connections, each of which can be closed from our side.
//!
//! The transport drains politely and would wait for ever for a client that holds a call open; after the hard step a
//! connection answers every read and write with an error, and so ends with all its calls.

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

/// Without file descriptors `accept` fails at once, again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) fn incoming(
    listener: TcpListener,
    hard: CancellationToken,
) -> impl Stream<Item = Result<Connection>> {
    futures::stream::unfold((listener, hard), |(listener, hard)| async {
        let socket = accept(&listener).await;
        // Small answers must not wait for the acknowledgement of earlier ones; where the socket is gone already, the
        // connection finds out.
        let _ = socket.set_nodelay(true);
        let connection = Connection {
            socket,
            closed: Box::pin(hard.clone().cancelled_owned()),
        };
        Some((Ok(connection), (listener, hard)))
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
}

impl Connection {
    /// An error once the hard step has come; also what wakes an idle connection then.
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
        Pin::new(&mut self.socket).poll_read(context, buffer)
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
