//! The three programs, with the configuration of `deploy/`. Only ports and times differ from production: scrapes and
//! rules come each second, and no alert waits minutes.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::Value;
use tempfile::TempDir;
use testkit::{Tools, eventually};

use super::http;
use super::queries::read;

/// They end when dropped.
pub(super) struct Programs {
    running: Vec<Child>,
    ports: Ports,
    _home: TempDir,
}

struct Ports {
    collector: Taking,
    prometheus: u16,
    jaeger: Taking,
    traces: u16,
    traces_over_grpc: u16,
}

/// The collector, and Jaeger.
struct Taking {
    grpc: u16,
    http: u16,
    metrics: u16,
    health: u16,
}

impl Programs {
    /// `None` if one of them is not built.
    pub(super) async fn start() -> Option<Self> {
        let tools = Tools::ready();
        let (mut collector, mut prometheus) = (
            tools.program("otel-collector")?,
            tools.program("prometheus")?,
        );
        let (mut jaeger, promtool) = (tools.program("jaeger")?, tools.program("promtool")?);
        let home = TempDir::new().unwrap();
        let ports = Ports::free();
        let folder = home.path();
        fs::write(folder.join("collector.yaml"), ports.of_collector()).unwrap();
        fs::write(folder.join("jaeger.yaml"), ports.of_jaeger()).unwrap();
        fs::write(folder.join("prometheus.yml"), ports.of_prometheus()).unwrap();
        for name in ["alerts.yml", "alerts_test.yml"] {
            let text = read(&format!("deploy/prometheus/{name}"));
            fs::write(folder.join(name), text).unwrap();
        }
        promtool_agrees(&promtool, folder);
        let hasty = hasty(&read("deploy/prometheus/alerts.yml"));
        fs::write(folder.join("alerts.yml"), hasty).unwrap();

        collector.args(["--config", "collector.yaml"]);
        prometheus
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=series"])
            .arg(format!(
                "--web.listen-address=127.0.0.1:{}",
                ports.prometheus
            ));
        jaeger.args(["--config", "jaeger.yaml"]);
        let mut running = Vec::new();
        for (name, program) in [
            ("collector", &mut collector),
            ("prometheus", &mut prometheus),
            ("jaeger", &mut jaeger),
        ] {
            let log = File::create(folder.join(name)).unwrap();
            program.current_dir(folder).stdout(log.try_clone().unwrap());
            running.push(program.stderr(log).spawn().unwrap());
        }
        let programs = Self {
            running,
            ports,
            _home: home,
        };
        programs.are_ready().await;
        Some(programs)
    }

    async fn are_ready(&self) {
        let ports = &self.ports;
        for (port, path) in [
            (ports.collector.health, "/"),
            (ports.prometheus, "/api/v1/status/buildinfo"),
            (ports.jaeger.health, "/status"),
            (ports.traces, "/api/services"),
        ] {
            eventually("a program is ready", async || http::get(port, path, &[])).await;
        }
    }

    pub(super) fn over_grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.collector.grpc)
    }

    pub(super) fn over_http(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.collector.http)
    }

    /// Without a collector.
    pub(super) fn to_jaeger(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.jaeger.grpc)
    }

    pub(super) fn metrics_of_jaeger(&self) -> Result<String, String> {
        http::text(self.ports.jaeger.metrics, "/metrics", &[])
    }

    fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let port = self.ports.prometheus;
        let answer = http::get(port, "/api/v1/query", &[("query", query)])?;
        let found = answer["data"]["result"].as_array();
        found.cloned().ok_or_else(|| answer.to_string())
    }

    pub(super) async fn has_series(&self, selector: &str) {
        eventually(selector, async || match self.query(selector) {
            Ok(found) if found.is_empty() => Err("no series".to_owned()),
            answer => answer,
        })
        .await;
    }

    pub(super) fn evaluates(&self, queries: &[String]) {
        for query in queries {
            if let Err(error) = self.query(query) {
                panic!("{query}: {error}");
            }
        }
    }

    /// Without an error.
    pub(super) async fn evaluates_its_rules(&self) {
        eventually("each rule is evaluated", async || {
            let answer = http::get(self.ports.prometheus, "/api/v1/rules", &[])?;
            let groups = answer["data"]["groups"].as_array().unwrap().clone();
            let rules: Vec<&Value> = groups
                .iter()
                .flat_map(|group| group["rules"].as_array().unwrap())
                .collect();
            let are_good = rules.iter().all(|rule| rule["health"] == "ok");
            if are_good && rules.len() > 15 {
                Ok(())
            } else {
                Err(answer.to_string())
            }
        })
        .await;
    }

    pub(super) async fn has_alert(&self, name: &str, fires: bool) {
        let query = format!(r#"ALERTS{{alertname="{name}", alertstate="firing"}}"#);
        eventually(&format!("{name} fires: {fires}"), async || {
            let firing = self.query(&query)?;
            if firing.is_empty() == fires {
                Err(format!("{firing:?}"))
            } else {
                Ok(())
            }
        })
        .await;
    }

    pub(super) async fn shows_one_trace(&self, user_id: &str, spans: usize) {
        let port = self.ports.traces;
        let tags = format!(r#"{{"aggregate.id":"{user_id}"}}"#);
        eventually("one trace with all spans", async || {
            let query = [
                ("service", "angarium"),
                ("tags", tags.as_str()),
                ("limit", "20"),
            ];
            let found = http::get(port, "/api/traces", &query)?;
            let traces = found["data"].as_array().unwrap();
            let registrations: Vec<usize> = traces
                .iter()
                .map(|trace| trace["spans"].as_array().unwrap())
                .filter(|spans| {
                    let mut names = spans.iter().map(|span| &span["operationName"]);
                    names.any(|name| name == "angarium.user.v1.UserService/CreateUser")
                })
                .map(Vec::len)
                .collect();
            if registrations == [spans] {
                Ok(())
            } else {
                Err(format!("{registrations:?}"))
            }
        })
        .await;
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for program in &mut self.running {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

impl Ports {
    fn free() -> Self {
        // All are held until all are chosen.
        let held: Vec<TcpListener> = (0..11)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let mut ports = held.iter().map(|port| port.local_addr().unwrap().port());
        let mut next = || ports.next().unwrap();
        let mut taking = || Taking {
            grpc: next(),
            http: next(),
            metrics: next(),
            health: next(),
        };
        Self {
            collector: taking(),
            jaeger: taking(),
            prometheus: next(),
            traces: next(),
            traces_over_grpc: next(),
        }
    }

    fn of_collector(&self) -> String {
        self.collector
            .in_place(&read("deploy/otel-collector/config.yaml"))
            .replace("jaeger:4317", &local(self.jaeger.grpc))
    }

    fn of_jaeger(&self) -> String {
        self.jaeger
            .in_place(&read("deploy/jaeger/config.yaml"))
            .replace("0.0.0.0:16686", &local(self.traces))
            .replace("0.0.0.0:16685", &local(self.traces_over_grpc))
    }

    fn of_prometheus(&self) -> String {
        read("deploy/prometheus/prometheus.yml")
            .replace("otel-collector:8889", &local(self.collector.metrics))
            .replace("rabbitmq:15692", "127.0.0.1:1")
            .replace("interval: 15s", "interval: 1s")
    }
}

impl Taking {
    fn in_place(&self, config: &str) -> String {
        // Its own metrics would need another port.
        let quiet = "\nservice:\n  telemetry: {metrics: {level: none}}\n";
        config
            .replace("\nservice:\n", quiet)
            .replace("0.0.0.0:4317", &local(self.grpc))
            .replace("0.0.0.0:4318", &local(self.http))
            .replace("0.0.0.0:8889", &local(self.metrics))
            .replace("0.0.0.0:13133", &local(self.health))
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// As the comments of the files say.
fn promtool_agrees(promtool: &Command, folder: &Path) {
    let program = promtool.get_program();
    for arguments in [
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let output = Command::new(program)
            .current_dir(folder)
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}

/// After two seconds.
fn hasty(alerts: &str) -> String {
    let lines = alerts
        .lines()
        .map(|line| match line.trim_start().starts_with("for: ") {
            true => "        for: 2s",
            false => line,
        });
    lines.collect::<Vec<_>>().join("\n")
}
