//! Which programs, and at which versions. docs/clients.md lists them too; a test compares the two.

pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) source: Source,
    /// Build tags.
    pub(crate) tags: &'static str,
    /// Seconds to build, not minutes: it is a part of every test run.
    pub(crate) is_quick: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// A package for `go install`.
    Package(&'static str),
    /// A package of a module that replaces others, which `go install` refuses.
    InModule(&'static str),
    /// A folder of this repository.
    Folder(&'static str),
    /// The collector, of the parts in this file.
    Collector(&'static str),
}

pub(crate) const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder";

/// Prometheus without the clients of all clouds, which are most of it.
const WITHOUT_DISCOVERY: &str = "remove_all_sd";

pub(crate) const ALL: &[Tool] = &[
    Tool {
        name: "grpcurl",
        version: "1.9.4",
        source: Source::Package("github.com/fullstorydev/grpcurl/cmd/grpcurl"),
        tags: "",
        is_quick: true,
    },
    Tool {
        name: "grpc-health-probe",
        version: "0.4.63",
        source: Source::Package("github.com/grpc-ecosystem/grpc-health-probe"),
        tags: "",
        is_quick: true,
    },
    Tool {
        name: "kubelet",
        version: "0.0.0",
        source: Source::Folder("tests/kubelet"),
        tags: "",
        is_quick: true,
    },
    Tool {
        name: "ghz",
        version: "0.121.0",
        source: Source::Package("github.com/bojand/ghz/cmd/ghz"),
        tags: "",
        is_quick: false,
    },
    Tool {
        name: "otel-collector",
        version: "0.165.0",
        source: Source::Collector("deploy/otel-collector/builder.yaml"),
        tags: "",
        is_quick: false,
    },
    Tool {
        name: "promtool",
        version: "0.316.0",
        source: Source::Package("github.com/prometheus/prometheus/cmd/promtool"),
        tags: WITHOUT_DISCOVERY,
        is_quick: false,
    },
    Tool {
        name: "prometheus",
        version: "0.316.0",
        source: Source::Package("github.com/prometheus/prometheus/cmd/prometheus"),
        tags: WITHOUT_DISCOVERY,
        is_quick: false,
    },
    Tool {
        name: "jaeger",
        // The module's version; the program calls itself 2.13.0.
        version: "1.76.0",
        source: Source::InModule("github.com/jaegertracing/jaeger/cmd/jaeger"),
        tags: "",
        is_quick: false,
    },
];
