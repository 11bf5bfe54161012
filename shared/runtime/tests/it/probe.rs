//! A service with a method that does what its caller requests. It reuses the messages of the health service, so no code
//! is generated.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use http::uri::PathAndQuery;
use runtime::auth::{Access, Guard, Rules, Verifier};
use runtime::config::GrpcConfig;
use runtime::grpc::{GrpcError, correlation_id};
use runtime::{GrpcServer, Health, Shutdown, SystemClock};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::{self, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tower::Service;

pub(crate) const PROBE: &str = "test.v1.ProbeService";

/// Public.
const OPEN: Rules = &[
    ("test.v1.ProbeService/Check", Access::Public),
    ("test.v1.ProbeService/Watch", Access::Public),
];

/// About calls that never answer.
#[derive(Clone, Default)]
pub(crate) struct Events {
    pub(crate) waiting: Arc<Notify>,
    pub(crate) dropped: Arc<Notify>,
}

struct Probe(Events);

type Replies = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl health_server::Health for Probe {
    type WatchStream = Replies;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let correlation = correlation_id(&request);
        let caller = runtime::auth::caller(&request);
        match request.into_inner().service.as_str() {
            "wait" => {
                let _guard = NotifyOnDrop(Arc::clone(&self.0.dropped));
                self.0.waiting.notify_one();
                std::future::pending().await
            }
            "panic" => panic!("a secret detail"),
            "own out of range" => Err(Status::out_of_range("past the last page")),
            "tell correlation" => Err(Status::unknown(correlation)),
            "tell caller" => Err(Status::unknown(format!("{:?}", caller?))),
            _ => Ok(Response::new(HealthCheckResponse { status: 1 })),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Replies>, Status> {
        let replies: Replies = match request.into_inner().service.as_str() {
            "panic" => Box::pin(futures::stream::poll_fn(|_| panic!("a secret detail"))),
            _ => Box::pin(futures::stream::pending()),
        };
        Ok(Response::new(replies))
    }
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[derive(Clone)]
struct Renamed(HealthServer<Probe>);

impl NamedService for Renamed {
    const NAME: &'static str = PROBE;
}

impl Service<http::Request<Body>> for Renamed {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <HealthServer<Probe> as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path().replace(PROBE, "grpc.health.v1.Health");
        *request.uri_mut() = path.parse().unwrap();
        self.0.call(request)
    }
}

/// On a free port.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) health: Health,
    pub(crate) shutdown: Shutdown,
    pub(crate) events: Events,
    pub(crate) running: JoinHandle<Result<(), GrpcError>>,
}

impl Server {
    pub(crate) async fn start(configure: impl FnOnce(&mut GrpcConfig), shutdown: Shutdown) -> Self {
        let verifier = Verifier::new(store::Database::default(), Arc::new(SystemClock));
        Self::guarded(Guard::new(OPEN, verifier), configure, shutdown).await
    }

    pub(crate) async fn guarded(
        guard: Guard,
        configure: impl FnOnce(&mut GrpcConfig),
        shutdown: Shutdown,
    ) -> Self {
        Self::serve(guard, &[], configure, shutdown).await
    }

    /// With reflection for an additional descriptor set.
    pub(crate) async fn describing(descriptor_set: &'static [u8]) -> Self {
        let verifier = Verifier::new(store::Database::default(), Arc::new(SystemClock));
        let shutdown = Shutdown::new(std::time::Duration::from_secs(600));
        Self::serve(Guard::new(OPEN, verifier), descriptor_set, |_| {}, shutdown).await
    }

    async fn serve(
        guard: Guard,
        descriptor_set: &'static [u8],
        configure: impl FnOnce(&mut GrpcConfig),
        shutdown: Shutdown,
    ) -> Self {
        let mut config = GrpcConfig::on("127.0.0.1:0".parse().unwrap());
        configure(&mut config);
        let server = GrpcServer::bind(&config).await.unwrap();
        let addr = server.addr();
        let health = Health::new(&[PROBE]);
        let events = Events::default();
        let probe = HealthServer::new(Probe(events.clone()))
            .max_decoding_message_size(config.max_request_bytes)
            .max_encoding_message_size(config.max_response_bytes)
            .accept_compressed(CompressionEncoding::Gzip);
        let routes = Routes::new(Renamed(probe));
        let serving = server.serve(
            routes,
            guard,
            health.clone(),
            descriptor_set,
            shutdown.clone(),
        );
        #[expect(clippy::disallowed_methods, reason = "the test joins it")]
        let running = tokio::spawn(serving);
        Self {
            addr,
            health,
            shutdown,
            events,
            running,
        }
    }

    /// No test waits for the grace period.
    pub(crate) async fn with_defaults() -> Self {
        let shutdown = Shutdown::new(std::time::Duration::from_secs(600));
        Self::start(|_| {}, shutdown).await
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.addr)).unwrap();
        endpoint.connect().await.unwrap()
    }
}

pub(crate) async fn call(
    channel: Channel,
    request: Request<HealthCheckRequest>,
) -> Result<Response<HealthCheckResponse>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.v1.ProbeService/Check");
    client.unary(request, path, ProstCodec::default()).await
}

pub(crate) async fn open(
    channel: Channel,
    request: Request<HealthCheckRequest>,
) -> Result<Response<tonic::Streaming<HealthCheckResponse>>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.v1.ProbeService/Watch");
    client
        .server_streaming(request, path, ProstCodec::default())
        .await
}

pub(crate) async fn call_watch(channel: Channel, request: Request<HealthCheckRequest>) -> Status {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.v1.ProbeService/Watch");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let opened = client.server_streaming(request, path, codec).await;
    opened.err().unwrap()
}

pub(crate) fn ask(what: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest {
        service: what.to_owned(),
    })
}
