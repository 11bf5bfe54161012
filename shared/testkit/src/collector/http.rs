//! OTLP over HTTP: a POST with the message of the gRPC call.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsService;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use prost::Message;

use super::kept::Kept;

pub(super) fn routes(kept: Arc<Kept>) -> Router {
    Router::new()
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(metrics))
        .route("/v1/logs", post(logs))
        .with_state(kept)
}

async fn traces(State(kept): State<Arc<Kept>>, body: Bytes) -> Result<Response, StatusCode> {
    answer(TraceService::export(&*kept, request(body)?).await)
}

async fn metrics(State(kept): State<Arc<Kept>>, body: Bytes) -> Result<Response, StatusCode> {
    answer(MetricsService::export(&*kept, request(body)?).await)
}

async fn logs(State(kept): State<Arc<Kept>>, body: Bytes) -> Result<Response, StatusCode> {
    answer(LogsService::export(&*kept, request(body)?).await)
}

fn request<M: Message + Default>(body: Bytes) -> Result<tonic::Request<M>, StatusCode> {
    let message = M::decode(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(tonic::Request::new(message))
}

/// Only a test refuses an export.
fn answer<M: Message>(
    exported: Result<tonic::Response<M>, tonic::Status>,
) -> Result<Response, StatusCode> {
    let answer = exported.map_err(|_| StatusCode::TOO_MANY_REQUESTS)?;
    let body = answer.into_inner().encode_to_vec();
    Ok(([(CONTENT_TYPE, "application/x-protobuf")], body).into_response())
}
