//! A registered service is in the images, the containers, the gateway, the databases, the secrets and the documents. A
//! failure names the file that lacks it.

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
fn every_registered_service_has_an_image() {
    for Registered { definition, .. } in SERVICES {
        let Definition {
            name, default_port, ..
        } = definition;
        for line in [
            format!("--package {name}"),
            format!("target/release/{name} "),
            format!("FROM runtime AS {name}\n"),
            format!("ENV GRPC_LISTEN=0.0.0.0:{default_port}\nEXPOSE {default_port}\n"),
            format!("CMD [\"/usr/local/bin/{name}\", \"healthcheck\"]"),
            format!("ENTRYPOINT [\"/usr/local/bin/{name}\"]"),
        ] {
            assert_named("Dockerfile", &line, definition);
        }
    }
}

#[test]
fn every_registered_service_has_a_container_database_and_broker() {
    let containers = containers();
    // The script creates a database for each such secret.
    assert!(read("deploy/postgres/databases.sh").contains("/postgres-*-service; do"));
    for Registered { definition, .. } in SERVICES {
        let name = definition.name;
        let lacks = || panic!("docker-compose.yml lacks {name}");
        let container = containers.get(name).unwrap_or_else(lacks);
        assert_eq!(container["build"]["target"], name);
        let program = format!("/usr/local/bin/{name}");
        let check = strings(&container["healthcheck"]["test"]);
        assert_eq!(check, ["CMD", program.as_str(), "healthcheck"]);
        let environment = environment(container);
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
