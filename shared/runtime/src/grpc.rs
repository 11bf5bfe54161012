//! The gRPC server around a service's routes: access, health, reflection, limits, deadlines, tracing, and an end in order.
//!
//! [`GrpcServer::bind`] takes the port, so that a taken one fails the start; [`GrpcServer::serve`] returns when drained.
//! Message sizes belong to each generated server: give it `max_decoding_message_size(config.max_request_bytes)`,
//! `max_encoding_message_size(config.max_response_bytes)` and gzip.

mod connections;
mod correlation;
mod deadline;
mod outcome;
mod reflection;
mod remap;
mod reply;
mod rpc;
mod trace;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::auth::{AuthLayer, Guard};
use crate::config::GrpcConfig;
use crate::health::Health;
use crate::lifecycle::Shutdown;

pub use correlation::{CORRELATION_HEADER, CorrelationId, correlation_id};
pub use deadline::client_deadline;

const KEEPALIVE_PERIOD: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// How long clients have to leave after the last call.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// Mostly another process on the same port.
    #[error("cannot listen on {addr}: {source}; stop what uses the port, or choose another one")]
    Bind {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The descriptor set is not one.
    #[error("reflection cannot read the descriptor set: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport gave up.
    #[error("the gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A bound socket that does not answer yet.
#[derive(Debug)]
pub struct GrpcServer {
    config: GrpcConfig,
    listener: TcpListener,
    addr: SocketAddr,
}

impl GrpcServer {
    /// Takes the address of `config`. Clients may connect from now on, and wait.
    ///
    /// # Errors
    /// [`GrpcError::Bind`] with the address.
    pub async fn bind(config: &GrpcConfig) -> Result<Self, GrpcError> {
        let failed = |source| GrpcError::Bind {
            addr: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self {
            config: config.clone(),
            listener,
            addr,
        })
    }

    /// The address that was taken; tells the port where 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves `routes` to whom `guard` admits, and health and reflection to everybody, until `shutdown`. Soft: health says `NOT_SERVING`, the port closes, calls
    /// in flight end, then the connections that are left are closed. Hard: every connection is closed, whatever is open
    /// on it.
    ///
    /// # Errors
    /// A descriptor set that cannot be read, or a transport that gave up.
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
        let drain = async {
            shutdown.soft.cancelled().await;
            // First of all: whoever balances must stop sending before calls are refused.
            health.drain();
        };
        let close = CancellationToken::new();
        let connections = connections::incoming(self.listener, shutdown.clone(), close.clone());
        let calls = rpc::RpcLayer::new(&self.config);
        // The place of TLS: `.tls_config(…)`, with the certificates as a section of the configuration.
        let serving = Server::builder()
            .max_concurrent_streams(self.config.max_streams)
            .http2_keepalive_interval(Some(KEEPALIVE_PERIOD))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .layer(calls.clone())
            // Inside, so that who is refused is traced, counted and logged as any other.
            .layer(AuthLayer::new(guard))
            .add_routes(routes)
            .serve_with_incoming_shutdown(connections, drain);
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => served?,
            () = drained(&calls, &shutdown) => {
                close.cancel();
                serving.await?;
            }
        }
        Ok(())
    }
}

/// Waits for the moment from which on no connection is worth keeping: the calls in flight have ended and their clients have
/// had time to leave, or the hard step has come. A client that hangs must not decide how long we take to end.
async fn drained(calls: &rpc::RpcLayer, shutdown: &Shutdown) {
    shutdown.soft.cancelled().await;
    let quiet = async {
        calls.quiet().await;
        tokio::time::sleep(FAREWELL).await;
    };
    let _ = shutdown.hard.run_until_cancelled(quiet).await;
}
