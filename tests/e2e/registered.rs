//! A registered service is in the containers, the gateway, the databases, the secrets and the documents. A failure names
//! the file that lacks it. The image needs no list: its program has all registered services.

use angarium::registry::{Registered, SERVICES};
use service::Definition;

use crate::deployment::{containers, environment, read, secrets, strings};

const GATEWAY: &str = "deploy/gateway/haproxy.cfg";

/// Asserts that `file` has a line with this text for the service.
fn assert_named(file: &str, line: &str, definition: &Definition) {
    assert!(
        read(file).contains(line),
        "{file} lacks {}: there is no `{line}`",
        definition.name
    );
}

#[test]
fn every_registered_service_has_a_container_database_and_broker() {
    let containers = containers();
    // The script creates a database for each such secret.
    assert!(read("deploy/postgres/databases.sh").contains("/postgres-*-service; do"));
    for Registered { definition, .. } in SERVICES {
        let Definition {
            name, default_port, ..
        } = *definition;
        let lacks = || panic!("docker-compose.yml lacks {name}");
        let container = containers.get(name).unwrap_or_else(lacks);
        assert_eq!(container["build"]["target"], "angarium");
        let program = "/usr/local/bin/angarium";
        assert_eq!(strings(&container["entrypoint"]), [program, name]);
        let check = strings(&container["healthcheck"]["test"]);
        assert_eq!(check, ["CMD", program, name, "healthcheck"]);
        let environment = environment(container);
        let listens = format!("0.0.0.0:{default_port}");
        assert_eq!(environment["GRPC_LISTEN"], listens, "{name}");
        for (variable, secret) in [
            ("DATABASE_URL_FILE", "database-url"),
            ("AMQP_URL_FILE", "amqp-url"),
        ] {
            let expected = format!("/run/secrets/{name}-{secret}");
            assert_eq!(environment[variable], expected, "{name}");
        }
        let networks = strings(&container["networks"]);
        for network in ["services", "data", "broker", "telemetry"] {
            let is_in = networks.contains(&network);
            assert!(is_in, "{name} is not in the network {network}");
        }
        let awaited = &containers["gateway"]["depends_on"];
        assert!(awaited[name].is_object(), "the gateway needs {name}");
        for (other, secret) in [
            ("postgres", format!("postgres-{name}")),
            ("topology", format!("rabbitmq-{name}")),
            ("operator", format!("{name}-database-url")),
        ] {
            let has = secrets(&containers[other]);
            assert!(has.contains(&secret), "{other} lacks the secret {secret}");
        }
        // The export reads the passwords from the files of this folder.
        let mounted = format!("{{source: rabbitmq-{name}, target: /run/secrets/rabbitmq/{name}}}");
        assert_named("docker-compose.yml", &mounted, definition);
    }
}

#[test]
fn every_registered_service_has_a_port_on_the_host() {
    for Registered { definition, .. } in SERVICES {
        let port = definition.default_port;
        let variable = definition.name.to_uppercase().replace('-', "_") + "_PORT";
        let published = format!("- 127.0.0.1:${{{variable}:-{port}}}:{port}\n");
        assert_named("docker-compose.yml", &published, definition);
        let setting = format!("\n#{variable}={port}\n");
        assert_named(".env.example", &setting, definition);
    }
}

#[test]
fn every_registered_service_is_behind_the_gateway() {
    for Registered { definition, .. } in SERVICES {
        let Definition {
            name, default_port, ..
        } = definition;
        for line in [
            format!("bind :{default_port} proto h2\n"),
            format!("backend {name}\n"),
            format!("server-template replica 8 {name}:{default_port}\n"),
        ] {
            assert_named(GATEWAY, &line, definition);
        }
        let gateway = read(GATEWAY);
        let binds = format!("bind :{default_port} proto h2\n");
        let mut sections = gateway.split("\n\n");
        let frontend = sections.find(|section| section.contains(&binds));
        let frontend = frontend.unwrap_or_default();
        // Without the first, clients can forge their address; without the others, one client takes all of the gateway.
        for line in [
            "http-request set-header x-forwarded-for %[src]",
            "tcp-request connection track-sc0 src table clients",
            "tcp-request connection reject if",
            "http-request deny deny_status 429 if",
            &format!("default_backend {name}"),
        ] {
            assert!(frontend.contains(line), "{name}: {GATEWAY} lacks `{line}`");
        }
    }
}

#[test]
fn every_registered_service_is_on_the_map() {
    for Registered { definition, .. } in SERVICES {
        let name = definition.name;
        assert_named("ARCHITECTURE.md", &format!("services/{name} "), definition);
    }
}
