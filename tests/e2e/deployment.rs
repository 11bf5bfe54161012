//! Checks the files docker-compose.yml and Dockerfile. `cargo xtask compose-test` checks real containers.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use angarium::registry::{Registered, SERVICES};
use runtime::config::LifecycleConfig;
use serde_json::Value;

/// These containers do one task and exit.
const ERRANDS: [&str; 2] = ["operator", "topology"];

/// Its image has no program for a health check.
const UNASKED: &str = "otel-collector";

/// The time that a process may need beyond SHUTDOWN_GRACE, including the last telemetry export.
const END: Duration = Duration::from_secs(10);

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap()
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap()
}

/// The containers by name, with the common settings merged in.
pub(crate) fn containers() -> BTreeMap<String, Value> {
    serde_json::from_value(compose()["services"].clone()).unwrap()
}

pub(crate) fn strings(value: &Value) -> Vec<&str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|one| one.as_str().unwrap()).collect()
}

pub(crate) fn environment(container: &Value) -> BTreeMap<String, String> {
    let given = container.get("environment").cloned();
    serde_json::from_value(given.unwrap_or(Value::Object(serde_json::Map::new()))).unwrap()
}

/// The names of the files in `/run/secrets`.
pub(crate) fn secrets(container: &Value) -> BTreeSet<String> {
    let given = container["secrets"].as_array().cloned().unwrap_or_default();
    let name = |secret: Value| match secret {
        Value::String(name) => name,
        long => long["source"].as_str().unwrap().to_owned(),
    };
    given.into_iter().map(name).collect()
}

fn seconds(value: &Value) -> Duration {
    let text = value.as_str().unwrap();
    Duration::from_secs(text.strip_suffix('s').unwrap().parse().unwrap())
}

/// The maximum number of replicas in docs/operations.md.
const REPLICAS: u32 = 8;
/// Besides the pool: one for the relay, one for LISTEN.
const OWN_CONNECTIONS: u32 = 2;
/// For people, health checks, backups, and those that PostgreSQL reserves.
const OTHERS: u32 = 20;

#[test]
fn all_replicas_fit_on_the_connections_of_postgresql() {
    let containers = containers();
    let mut needed = OTHERS;
    for Registered { definition, .. } in SERVICES {
        let service = definition.name;
        let environment = environment(&containers[service]);
        let pool: u32 = environment["DATABASE_POOL_MAX"].parse().unwrap();
        needed += REPLICAS * (pool + OWN_CONNECTIONS);
    }
    let postgres = &containers["postgres"];
    let command = strings(&postgres["command"]).join(" ");
    let (_, most) = command.split_once("max_connections=").unwrap();
    let most: u32 = most.parse().unwrap();
    assert!(
        needed <= most,
        "docker-compose.yml: max_connections of postgres is {most}, and the services need {needed}; raise its pids_limit too"
    );
    let processes = postgres["pids_limit"].as_u64().unwrap();
    assert!(processes >= u64::from(most) + 50, "each is a process");
}

#[test]
fn every_container_has_no_rights_nothing_to_write_on_and_limits() {
    let containers = containers();
    assert!(containers.len() > 10, "{containers:?}");
    for (name, container) in &containers {
        assert_eq!(container["read_only"], true, "{name}");
        assert_eq!(strings(&container["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            strings(&container["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        for more in ["cap_add", "privileged", "devices", "pid", "ipc"] {
            assert!(container.get(more).is_none(), "{name} has {more}");
        }
        let user = container["user"].as_str().unwrap_or("root");
        assert!(!user.starts_with("0") && user != "root", "{name} is root");
        assert!(container["pids_limit"].as_u64().unwrap() > 0, "{name}");
        assert!(container["mem_limit"].is_string(), "{name}");
        assert!(container["cpus"].as_f64().unwrap() > 0.0, "{name}");
        assert!(
            container["logging"]["options"]["max-size"].is_string(),
            "{name}"
        );
    }
}

#[test]
fn every_container_that_stays_is_asked_how_it_is_and_waited_for() {
    let containers = containers();
    for (name, container) in &containers {
        if ERRANDS.contains(&name.as_str()) {
            assert_eq!(container["restart"], "no", "{name}");
            continue;
        }
        assert_eq!(container["restart"], "unless-stopped", "{name}");
        let check = strings(&container["healthcheck"]["test"]);
        assert_eq!(check.first() == Some(&"CMD"), name != UNASKED, "{name}");
        let empty = serde_json::Map::new();
        let needs = container["depends_on"].as_object().unwrap_or(&empty);
        for (other, how) in needs {
            let expected = if ERRANDS.contains(&other.as_str()) {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            assert_eq!(how["condition"], expected, "{name} needs {other}");
        }
    }
}

#[test]
fn a_service_has_the_time_to_end_in_order() {
    let needed = LifecycleConfig::default().shutdown_grace + END;
    for (name, container) in containers() {
        if name.ends_with("-service") {
            assert!(seconds(&container["stop_grace_period"]) > needed, "{name}");
            assert!(
                !environment(&container).contains_key("SHUTDOWN_GRACE"),
                "{name}"
            );
        }
    }
}

#[test]
fn only_grpc_and_web_pages_are_published_on_loopback() {
    let mut published = BTreeMap::new();
    for (name, container) in containers() {
        let mut ports = Vec::new();
        for port in strings(&container["ports"]) {
            let inside = port.rsplit_once(':').unwrap().1;
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
            ports.push(inside.to_owned());
        }
        if !ports.is_empty() {
            published.insert(name, ports.join(" "));
        }
    }
    let ports = SERVICES
        .iter()
        .map(|service| service.definition.default_port.to_string());
    let ports = ports.collect::<Vec<String>>().join(" ");
    let expected = [
        ("gateway", ports.as_str()),
        ("grafana", "3000"),
        ("mail-page", "1080"),
        ("viewer", "16686 8889"),
    ];
    let expected = expected.map(|(name, ports)| (name.to_owned(), ports.to_owned()));
    assert_eq!(published, BTreeMap::from(expected));
    let networks: BTreeMap<String, Value> =
        serde_json::from_value(compose()["networks"].clone()).unwrap();
    for (name, network) in networks {
        let leads_outside = network["internal"] != true;
        assert_eq!(leads_outside, name == "edge", "the network {name}");
    }
}

#[test]
fn secrets_are_only_in_files_that_one_command_creates() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("secrets");
    let make = || {
        let made = Command::new(file("deploy/make-secrets.sh"))
            .arg(&folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let files = std::fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap());
        files
            .map(|file| {
                let name = file.file_name().into_string().unwrap();
                (name, std::fs::read_to_string(file.path()).unwrap())
            })
            .collect::<BTreeMap<String, String>>()
    };
    let made = make();
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "other users can open the folder");
    assert_eq!(make(), made, "existing secrets were replaced");
    let different: BTreeSet<&String> = made.values().collect();
    assert_eq!(different.len(), made.len(), "two secrets are the same");

    let named: BTreeMap<String, Value> =
        serde_json::from_value(compose()["secrets"].clone()).unwrap();
    for (name, secret) in &named {
        let expected = format!("${{SECRETS_FOLDER:-./deploy/secrets}}/{name}");
        assert_eq!(secret["file"], expected.as_str());
    }
    assert!(named.keys().eq(made.keys()), "{named:?}");
    let mut used = BTreeSet::new();
    for (name, container) in containers() {
        let own = secrets(&container);
        for (variable, value) in environment(&container) {
            let secret = ["PASSWORD", "SECRET", "URL", "KEY"];
            let is_secret = secret.iter().any(|word| variable.contains(word));
            if let Some(file) = value.strip_prefix("/run/secrets/") {
                assert!(own.contains(file), "{name} has no {file}");
            } else {
                assert!(!is_secret, "{name}: {variable} is not a file's");
            }
        }
        used.extend(own);
    }
    assert!(used.iter().eq(made.keys()), "{used:?}");
    assert!(
        read(".gitignore")
            .lines()
            .any(|line| line == "/deploy/secrets")
    );
    let build = read(".dockerignore");
    let sent = build.lines().filter(|line| line.starts_with("!deploy"));
    assert_eq!(
        sent.collect::<Vec<_>>(),
        ["!deploy/gateway", "!deploy/licenses.sh", "!deploy/sbom.sh"],
        "the build context"
    );
}

/// Without a limit one client takes every place of a replica.
#[test]
fn the_gateway_limits_each_client() {
    let gateway = read("deploy/gateway/haproxy.cfg");
    let frontends: Vec<&str> = gateway
        .split("\n\n")
        .filter(|section| section.contains("frontend "))
        .collect();
    assert_eq!(frontends.len(), SERVICES.len());
    for frontend in frontends {
        for limit in [
            "tcp-request connection track-sc0 src table clients",
            "tcp-request connection reject if { sc0_conn_cur gt ",
            "http-request deny deny_status 429 if { sc0_http_req_rate gt ",
        ] {
            assert!(frontend.contains(limit), "{limit} is not in {frontend}");
        }
    }
    let refusal = read("deploy/gateway/too-often.http");
    assert!(refusal.contains("grpc-status: 8\r\n"), "{refusal}");
}

/// Mails hold codes.
#[test]
fn the_page_of_the_mails_needs_a_password() {
    let containers = containers();
    assert!(containers["maildev"].get("ports").is_none());
    let page = &containers["mail-page"];
    let started = strings(&page["entrypoint"]).join(" ");
    assert!(started.contains("/run/secrets/mail-page"), "{started}");
    let config = read("deploy/gateway/mails.cfg");
    assert!(
        config.contains("http-request auth realm mails unless is_known or asks_for_health"),
        "{config}"
    );
}

#[test]
fn the_broker_gets_its_users_from_the_definitions_alone() {
    let settings = read("deploy/rabbitmq/rabbitmq.conf");
    let path = settings
        .lines()
        .find_map(|line| line.strip_prefix("definitions.local.path = "));
    let containers = containers();
    let (broker, topology) = (&containers["rabbitmq"], &containers["topology"]);
    let folder = Path::new(path.unwrap())
        .parent()
        .unwrap()
        .display()
        .to_string();
    let mounted = format!("definitions:{folder}:ro");
    assert!(
        strings(&broker["volumes"]).contains(&mounted.as_str()),
        "{mounted}"
    );
    let written = strings(&topology["command"]);
    assert!(
        written.starts_with(&["topology", "export", "--passwords"]),
        "{written:?}"
    );
    // With definitions, the broker creates no default user, and the settings must not name one.
    assert!(!settings.contains("default_user") && !settings.contains("default_pass"));
    let asked: Vec<String> = environment(broker).into_keys().collect();
    assert!(asked.is_empty(), "{asked:?}");
}

#[test]
fn every_variable_of_a_service_is_one_of_its_settings() {
    let all = containers();
    for service in SERVICES {
        known_to(&(service.settings)(), &all[service.definition.name]);
    }
}

fn known_to(command: &clap::Command, container: &Value) {
    let settings: BTreeSet<&str> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str())
        .collect();
    let given = environment(container);
    assert_eq!(given["MODE"], "production");
    for variable in given.keys().filter(|name| !name.starts_with("OTEL_")) {
        let setting = variable.strip_suffix("_FILE").unwrap_or(variable);
        assert!(settings.contains(setting), "{variable} is no setting");
    }
}

#[test]
fn the_images_run_without_root_and_have_the_workspace_version() {
    let dockerfile = read("Dockerfile");
    let cargo = read("Cargo.toml");
    let version = cargo
        .lines()
        .find_map(|line| line.strip_prefix("version = "))
        .unwrap();
    assert!(dockerfile.contains(&format!("org.opencontainers.image.version={version}")));
    let users: Vec<&str> = dockerfile
        .lines()
        .filter(|line| line.starts_with("USER"))
        .collect();
    assert_eq!(
        users, ["USER 65532:65532"; 2],
        "of the program and of the gateway"
    );
    assert!(dockerfile.contains("--locked"));
    for line in dockerfile
        .lines()
        .filter(|line| line.starts_with("HEALTHCHECK"))
    {
        assert!(line.contains(" CMD [\"/usr/local/bin/"), "{line}");
    }
}
