//! The life of one connection: TLS if configured, HTTP/2, and its end.
//!
//! It ends when its client disconnects, does not read its answers, or sends too many control frames; when it is old;
//! when the server drains; and at the hard step. Old and draining connections get GOAWAY, and their calls in progress
//! complete.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Service, ServiceExt as _};

use super::closings::{Closings, Reason};
use super::control_frames::Counted;
use super::greeting::{GREETING_TIMEOUT, Greeted};
use super::tls::Certificates;
use super::unread::Unread;
use crate::config::GrpcConfig;

const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// For the calls in progress on an old connection.
const AGE_GRACE: Duration = Duration::from_secs(30);

pub(super) trait Handler:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Handler for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

#[derive(Clone, Default)]
pub(super) struct Ending {
    /// Accept no new calls.
    pub(super) drain: CancellationToken,
    pub(super) close: CancellationToken,
}

#[derive(Clone)]
pub(super) struct Connection<S> {
    http: http2::Builder<TokioExecutor>,
    handler: S,
    certificates: Option<Arc<Certificates>>,
    age: Duration,
    patience: Duration,
    ending: Ending,
    closings: Closings,
}

impl<S: Handler> Connection<S> {
    pub(super) fn new(
        config: &GrpcConfig,
        certificates: Option<Arc<Certificates>>,
        handler: S,
        ending: &Ending,
        closings: Closings,
    ) -> Self {
        let keepalive = config.clients.keepalive;
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(config.max_streams)
            .max_header_list_size(MAX_HEADER_BYTES)
            .keep_alive_interval(keepalive)
            .keep_alive_timeout(keepalive.min(KEEPALIVE_TIMEOUT));
        Self {
            http,
            handler,
            certificates,
            age: config.clients.connection_age,
            patience: config.deadline,
            ending: ending.clone(),
            closings,
        }
    }

    pub(super) async fn serve(self, socket: TcpStream, peer: SocketAddr) {
        // Small answers must not wait for earlier acknowledgements. The connection notices a closed socket.
        let _ = socket.set_nodelay(true);
        let info = TcpConnectInfo {
            local_addr: socket.local_addr().ok(),
            remote_addr: Some(peer),
        };
        match &self.certificates {
            None => self.speak(socket, info, peer).await,
            Some(certificates) => {
                if let Some(stream) = self.agree(certificates, socket).await {
                    self.speak(stream, info, peer).await;
                }
            }
        }
    }

    async fn agree(
        &self,
        certificates: &Certificates,
        socket: TcpStream,
    ) -> Option<TlsStream<TcpStream>> {
        let agreeing = certificates.acceptor().accept(socket);
        let agreeing = tokio::time::timeout(GREETING_TIMEOUT, agreeing);
        match self.ending.drain.run_until_cancelled(agreeing).await? {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a client does not agree on TLS");
                None
            }
            Err(_) => None,
        }
    }

    async fn speak<IO>(&self, stream: IO, info: TcpConnectInfo, peer: SocketAddr)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let unread = Unread::default();
        let exceeded = || self.closings.closed(peer.ip(), Reason::ControlFrames);
        let stream = Counted::new(Greeted::new(stream, &self.ending.drain), exceeded);
        let stream = TokioIo::new(stream);
        let answer = service_fn(|request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(info.clone());
            request.extensions_mut().insert(unread.clone());
            self.handler.clone().oneshot(request)
        });
        let speaking = self.http.serve_connection(stream, answer);
        tokio::pin!(speaking);
        tokio::select! {
            // Not an error of the server.
            _ = speaking.as_mut() => return,
            () = unread.overdue(self.patience) => {
                self.closings.closed(peer.ip(), Reason::Unread);
                return;
            }
            () = tokio::time::sleep(about(self.age)) => {}
            () = self.ending.drain.cancelled() => {}
            () = self.ending.close.cancelled() => return,
        }
        speaking.as_mut().graceful_shutdown();
        let overdue = async {
            // While draining, the server's own time limit applies.
            if self.ending.drain.is_cancelled() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.age.min(AGE_GRACE)).await;
        };
        tokio::select! {
            _ = speaking => {}
            () = overdue => tracing::debug!("an old connection was closed with calls in progress"),
            () = self.ending.close.cancelled() => {}
        }
    }
}

/// ± 10 %.
fn about(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_at_most() {
        let age = Duration::from_secs(1000);
        let ages: Vec<Duration> = (0..100).map(|_| about(age)).collect();
        assert!(ages.iter().all(|age| (900..=1100).contains(&age.as_secs())));
        assert!(ages.iter().any(|age| *age != ages[0]));
    }
}
