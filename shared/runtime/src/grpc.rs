//! The gRPC server around a service's routes: TLS, access, health, reflection, limits, deadlines, tracing and shutdown.
//!
//! [`GrpcServer::bind`] binds the port and reads the certificates, so that mistakes in them fail the start.
//! [`GrpcServer::serve`] returns after draining. Message sizes and gzip are set on each generated server:
//! `max_decoding_message_size(config.max_request_bytes)`, `max_encoding_message_size(config.max_response_bytes)`.

mod admission;
mod arrivals;
mod closings;
mod conflicts;
mod connection;
mod connections;
mod control_frames;
mod correlation;
mod deadline;
mod frames;
mod greeting;
mod intake;
pub(crate) mod marks;
mod message;
mod outcome;
mod places;
mod rates;
mod reflection;
mod remap;
mod reply;
mod rpc;
mod streaming;
mod tls;
mod trace;
mod unread;
pub(crate) mod why;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::service::Routes;
use tower::ServiceBuilder;

use crate::auth::{AuthLayer, Guard};
use crate::config::GrpcConfig;
use crate::health::Health;
use crate::lifecycle::Shutdown;
use admission::AdmissionLayer;
use closings::Closings;
use connection::{Connection, Ending};
use places::Places;
use tls::Certificates;

pub use correlation::{CORRELATION_HEADER, CorrelationId, correlation_id};
pub use deadline::client_deadline;
pub(crate) use rates::Rates;
pub use tls::TlsError;

/// For clients to disconnect after the last call.
const FAREWELL: Duration = Duration::from_secs(1);
#[doc(hidden)]
pub struct ReadHeaders {
    pub method: String,
    pub limit: Duration,
    pub correlation_id: CorrelationId,
}

/// Reads headers as the server does, for tests with arbitrary input.
#[doc(hidden)]
pub fn read_headers(path: &str, headers: &http::HeaderMap, ceiling: Duration) -> ReadHeaders {
    ReadHeaders {
        method: trace::method(path).to_owned(),
        limit: deadline::limit(headers, ceiling),
        correlation_id: correlation::choose(headers, None),
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// Usually another process uses the port.
    #[error("cannot listen on {addr}: {source}; stop what uses the port, or choose another one")]
    Bind {
        /// The configured address.
        addr: SocketAddr,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The certificates cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Tls(#[from] TlsError),
    /// The descriptor set is invalid.
    #[error("the descriptor set of the service cannot be read: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
}

/// A bound socket that does not answer yet.
#[derive(Debug)]
pub struct GrpcServer {
    config: GrpcConfig,
    certificates: Option<Arc<Certificates>>,
    listener: TcpListener,
    addr: SocketAddr,
}

impl GrpcServer {
    /// Binds the address of `config`. From now on, clients can connect and wait.
    ///
    /// # Errors
    /// [`GrpcError::Bind`] with the address, [`GrpcError::Tls`] with the file.
    pub async fn bind(config: &GrpcConfig) -> Result<Self, GrpcError> {
        let failed = |source| GrpcError::Bind {
            addr: config.listen,
            source,
        };
        let certificates = match &config.tls {
            Some(tls) => Some(Arc::new(Certificates::load(tls).await?)),
            None => None,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self {
            config: config.clone(),
            certificates,
            listener,
            addr,
        })
    }

    /// The bound address, with the actual port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves `routes` to callers that `guard` admits, and health and reflection to all, until `shutdown`. At the soft
    /// step, health reports `NOT_SERVING`, the port closes, calls in progress complete, and connections end. At the
    /// hard step, all connections end.
    ///
    /// # Errors
    /// If the descriptor set cannot be read.
    pub async fn serve(
        self,
        routes: Routes,
        guard: Guard,
        health: Health,
        descriptor_set: &'static [u8],
        shutdown: Shutdown,
    ) -> Result<(), GrpcError> {
        let routes = routes.add_service(health.server());
        let routes = if self.config.reflection {
            reflection::add(routes, descriptor_set, health.services())?
        } else {
            routes
        };
        let streams = streaming::methods(descriptor_set)?;
        let calls = rpc::RpcLayer::new(&self.config, guard.rules());
        let rates = Rates::new(self.config.clients.calls_per_second);
        let handler = ServiceBuilder::new()
            .layer(calls.clone())
            // Innermost: refused calls are traced, counted and logged like others.
            .layer(AuthLayer::new(guard, rates))
            // Before admission: a refused caller need not send its message.
            .layer(AdmissionLayer::new(&self.config, streams))
            .service(routes.prepare());
        let ending = Ending::default();
        let certificates = self.certificates.clone();
        let closings = Closings::new();
        let places = Places::new(&self.config.clients, closings.clone());
        let connection =
            Connection::new(&self.config, self.certificates, handler, &ending, closings);
        let serving = connections::serve(self.listener, connection, places, &ending);
        let end = async {
            shutdown.soft.cancelled().await;
            // First: clients and balancers must stop sending before calls are refused.
            health.drain();
            ending.drain.cancel();
            drained(&calls, &shutdown).await;
            ending.close.cancel();
            std::future::pending::<()>().await;
        };
        let keep_certificates = async {
            if let Some(certificates) = certificates {
                certificates.keep_current().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serving => {}
            () = end => {}
            () = keep_certificates => {}
        }
        Ok(())
    }
}

/// Waits until the calls in progress have ended and clients had time to disconnect, or until the hard step.
async fn drained(calls: &rpc::RpcLayer, shutdown: &Shutdown) {
    let quiet = async {
        calls.quiet().await;
        tokio::time::sleep(FAREWELL).await;
    };
    let _ = shutdown.hard.run_until_cancelled(quiet).await;
}
