//! A registered service is in the containers, the gateway, the databases, the secrets and the documents. A failure names
//! the file that lacks it. The image needs no list: its program has all registered services.

use angarium::registry::{Registered, SERVICES};
use service::Definition;

use crate::deployment::{containers, environment, read, secrets, strings};

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
            format!("default_backend {name}\n"),
            format!("backend {name}\n"),
            format!("server-template replica 8 {name}:{default_port}\n"),
        ] {
            assert_named("deploy/gateway/haproxy.cfg", &line, definition);
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
