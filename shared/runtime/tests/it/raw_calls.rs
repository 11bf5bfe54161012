//! Calls with correct frames of HTTP/2 and wrong content.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Status;

pub(crate) struct Caller {
    requests: SendRequest<Bytes>,
    _connection: JoinSet<()>,
}

pub(crate) struct Open {
    pub(crate) body: SendStream<Bytes>,
    response: ResponseFuture,
}

impl Caller {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.unwrap();
        let (requests, connection) = h2::client::handshake(socket).await.unwrap();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let _ = connection.await;
        });
        Self {
            requests,
            _connection: running,
        }
    }

    pub(crate) async fn begin(&self, path: &str, headers: &[(&str, &str)]) -> Open {
        let mut request = http::Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut ready = self.requests.clone().ready().await.unwrap();
        let request = request.body(()).unwrap();
        let (response, body) = ready.send_request(request, false).unwrap();
        Open { body, response }
    }

    pub(crate) async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static [u8],
    ) -> Status {
        let mut open = self.begin(path, headers).await;
        open.body.send_data(Bytes::from_static(body), true).unwrap();
        open.status().await.unwrap()
    }
}

impl Open {
    pub(crate) async fn status(self) -> Result<Status, h2::Error> {
        let mut response = self.response.await?;
        if let Some(status) = Status::from_header_map(response.headers()) {
            return Ok(status);
        }
        while let Some(data) = response.body_mut().data().await {
            data?;
        }
        let trailers = response.body_mut().trailers().await?.unwrap();
        Ok(Status::from_header_map(&trailers).unwrap())
    }
}
