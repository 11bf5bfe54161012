//! The destination of a signal, and its exporter: over gRPC, or over HTTP with protobuf bodies.

use std::time::Duration;

use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig,
    WithHttpConfig, WithTonicConfig,
};
use url::Url;

use super::certificates::{self, Tls};
use super::error::TelemetryError;
use super::http;

/// By OpenTelemetry's specification.
const TIME_OUT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// As the variables name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
            Self::Logs => "v1/logs",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Grpc,
    /// With a time-out, which the client enforces.
    Http(Duration),
}

#[derive(Debug)]
pub(super) struct Destination {
    signal: Signal,
    transport: Transport,
    endpoint: String,
    /// `None`: plaintext.
    tls: Option<Tls>,
}

impl Destination {
    /// The destination of `signal`, if there is one. `endpoint` is that of all signals.
    pub(super) fn find(
        signal: Signal,
        endpoint: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TelemetryError> {
        let name = signal.name();
        let disabled = variable("OTEL_SDK_DISABLED");
        if disabled.is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let own_name = format!("OTEL_EXPORTER_OTLP_{name}_ENDPOINT");
        let own = variable(&own_name);
        if own.is_none() && endpoint.is_none() {
            return Ok(None);
        }
        let exporter = format!("OTEL_{name}_EXPORTER");
        match variable(&exporter).as_deref() {
            Some("none") => return Ok(None),
            None | Some("otlp") => (),
            Some(given) => return Err(TelemetryError::setting(exporter, given, "otlp or none")),
        }
        let of_signal_or_all = |what: &str| {
            [
                format!("OTEL_EXPORTER_OTLP_{name}_{what}"),
                format!("OTEL_EXPORTER_OTLP_{what}"),
            ]
            .into_iter()
            .find_map(|name| variable(&name).map(|given| (name, given)))
        };
        let transport = match of_signal_or_all("PROTOCOL") {
            None => Transport::Grpc,
            Some((_, given)) if given == "grpc" => Transport::Grpc,
            Some((_, given)) if given == "http/protobuf" => {
                let given = of_signal_or_all("TIMEOUT").and_then(|(_, given)| given.parse().ok());
                Transport::Http(given.map_or(TIME_OUT, Duration::from_millis))
            }
            Some((name, given)) => {
                return Err(TelemetryError::setting(
                    name,
                    &given,
                    "grpc or http/protobuf",
                ));
            }
        };
        let of_all = || {
            let endpoint = endpoint.unwrap_or_default();
            match transport {
                Transport::Grpc => endpoint.to_owned(),
                Transport::Http(_) => {
                    format!("{}/{}", endpoint.trim_end_matches('/'), signal.path())
                }
            }
        };
        let endpoint = own.unwrap_or_else(of_all);
        let url = Url::parse(&endpoint).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            let expected = "a URL such as http://127.0.0.1:4317";
            return Err(TelemetryError::setting(own_name, &endpoint, expected));
        };
        let tls = certificates::tls(name, &url, &variable)?;
        Ok(Some(Self {
            signal,
            transport,
            endpoint,
            tls,
        }))
    }

    pub(super) fn spans(&self) -> Result<SpanExporter, TelemetryError> {
        let exporter = SpanExporter::builder();
        self.built(match self.transport {
            Transport::Grpc => self.over(exporter.with_tonic()).build(),
            Transport::Http(limit) => self.over_http(exporter.with_http(), limit)?.build(),
        })
    }

    pub(super) fn metrics(&self) -> Result<MetricExporter, TelemetryError> {
        let exporter = MetricExporter::builder();
        self.built(match self.transport {
            Transport::Grpc => self.over(exporter.with_tonic()).build(),
            Transport::Http(limit) => self.over_http(exporter.with_http(), limit)?.build(),
        })
    }

    pub(super) fn logs(&self) -> Result<LogExporter, TelemetryError> {
        let exporter = LogExporter::builder();
        self.built(match self.transport {
            Transport::Grpc => self.over(exporter.with_tonic()).build(),
            Transport::Http(limit) => self.over_http(exporter.with_http(), limit)?.build(),
        })
    }

    fn over<B: WithExportConfig + WithTonicConfig>(&self, exporter: B) -> B {
        let exporter = exporter.with_endpoint(&self.endpoint);
        match &self.tls {
            Some(tls) => exporter.with_tls_config(tls.for_grpc()),
            None => exporter,
        }
    }

    fn over_http<B: WithExportConfig + WithHttpConfig>(
        &self,
        exporter: B,
        time_out: Duration,
    ) -> Result<B, TelemetryError> {
        let client = http::client(self.tls.as_ref(), time_out).map_err(TelemetryError::Client)?;
        let exporter = exporter
            .with_endpoint(&self.endpoint)
            .with_protocol(Protocol::HttpBinary);
        Ok(exporter.with_shared_http_client(client))
    }

    fn built<T>(&self, exporter: Result<T, ExporterBuildError>) -> Result<T, TelemetryError> {
        exporter.map_err(|source| TelemetryError::Exporter {
            signal: self.signal.name(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTOR: Option<&str> = Some("http://collector:4317");

    fn traces(
        endpoint: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Option<(Transport, String)>, String> {
        let given = |name: &str| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let found = Destination::find(Signal::Traces, endpoint, given);
        found
            .map(|found| found.map(|to| (to.transport, to.endpoint)))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_endpoint_nothing_leaves_the_process() {
        assert_eq!(traces(None, &[]), Ok(None));
    }

    #[test]
    fn a_signal_goes_to_its_own_endpoint_or_to_that_of_all() {
        let to = |endpoint: &str| Ok(Some((Transport::Grpc, endpoint.to_owned())));
        assert_eq!(traces(COLLECTOR, &[]), to("http://collector:4317"));
        let own = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317")];
        assert_eq!(traces(COLLECTOR, &own), to("http://traces:4317"));
    }

    /// A signal's own endpoint is the whole address; the common one gets the signal's path.
    #[test]
    fn over_http_each_signal_has_its_path() {
        let http = |limit, endpoint: &str| Ok(Some((Transport::Http(limit), endpoint.to_owned())));
        let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        let all = traces(Some("http://collector:4318/"), &[protocol]);
        assert_eq!(all, http(TIME_OUT, "http://collector:4318/v1/traces"));
        let own = [
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/here"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
        ];
        let limit = Duration::from_millis(500);
        assert_eq!(traces(COLLECTOR, &own), http(limit, "http://traces/here"));
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").unwrap();
        let empty = empty.to_str().unwrap();
        let https = Some("https://collector:4317");
        for (endpoint, name, path) in [
            (https, "OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such.pem"),
            (https, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", empty),
            (https, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", empty),
            (https, "OTEL_EXPORTER_OTLP_CLIENT_KEY", empty),
            (COLLECTOR, "OTEL_EXPORTER_OTLP_CERTIFICATE", empty),
        ] {
            let error = traces(endpoint, &[(name, path)]).unwrap_err();
            assert!(error.contains(name) && error.contains(path), "{error}");
        }
    }

    #[test]
    fn a_signal_and_all_of_them_can_be_switched_off() {
        for off in [
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_SDK_DISABLED", "true"),
        ] {
            assert_eq!(traces(COLLECTOR, &[off]), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn what_is_not_built_in_is_refused_by_name() {
        for (name, given) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
        ] {
            let error = traces(COLLECTOR, &[(name, given)]).unwrap_err();
            assert!(error.contains(name) && error.contains(given), "{error}");
        }
    }
}
