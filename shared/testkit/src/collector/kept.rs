//! What a [`Collector`](super::Collector) has received, and its OTLP services.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsService;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Attributes as text, by name.
pub type Attributes = BTreeMap<String, String>;

#[derive(Default)]
pub(super) struct Kept {
    pub(super) resources: Mutex<Vec<Attributes>>,
    pub(super) spans: Mutex<Vec<Span>>,
    pub(super) metrics: Mutex<Vec<Metric>>,
    pub(super) logs: Mutex<Vec<LogRecord>>,
    pub(super) refusals: Mutex<Vec<Full>>,
}

/// How a full collector refuses an export.
#[derive(Clone, Copy, Debug)]
pub enum Full {
    /// With the time of a retry.
    UntilLater(Duration),
    /// Without a retry.
    ForGood,
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let refusal = lock(&self.refusals).pop();
        if let Some(full) = refusal {
            let mut details = ErrorDetails::new();
            if let Full::UntilLater(wait) = full {
                details.set_retry_info(Some(wait));
            }
            let (code, message) = (Code::ResourceExhausted, "no room");
            return Err(Status::with_error_details(code, message, details));
        }
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            lock(&self.resources).push(attributes(&resource.attributes));
            let spans = of_resource.scope_spans.into_iter();
            lock(&self.spans).extend(spans.flat_map(|scope| scope.spans));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_metrics {
            let metrics = of_resource.scope_metrics.into_iter();
            lock(&self.metrics).extend(metrics.flat_map(|scope| scope.metrics));
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Kept {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_logs {
            let logs = of_resource.scope_logs.into_iter();
            lock(&self.logs).extend(logs.flat_map(|scope| scope.log_records));
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

pub(super) fn attributes(given: &[KeyValue]) -> Attributes {
    let of_one = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().map(text).unwrap_or_default();
        (attribute.key.clone(), value)
    };
    given.iter().map(of_one).collect()
}

pub(super) fn text(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
