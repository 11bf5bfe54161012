//! `angarium order-service`: one service alone, as in a container.

use angarium::registry::SERVICES;

use crate::process::{command, run};

#[test]
fn the_name_of_a_service_runs_it_alone() {
    for service in SERVICES.iter().map(|service| service.definition.name) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alone.db");
        let output = run(command(folder.path())
            .args([service, "migrate"])
            .env("DATABASE_URL", format!("sqlite://{}", file.display()))
            .env("AMQP_URL", "amqp://127.0.0.1"));
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let applied = format!("{service}: applied m2026");
        assert!(said.starts_with(&applied), "{said}");
        assert_eq!(said.lines().count(), 1, "other services: {said}");
    }
}

#[test]
fn the_help_names_each_service_and_each_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let help = |args: &[&str]| {
        let output = run(command(folder.path()).args(args).arg("--help"));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&[]);
    for service in SERVICES.iter().map(|service| service.definition.name) {
        assert!(all.contains(&format!("`{service}`")), "{all}");
        let own = help(&[service]);
        let usage = format!("Usage: angarium {service} [OPTIONS]");
        assert!(own.contains(&usage), "{own}");
    }
}
