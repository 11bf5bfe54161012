//! The profiles of docker-compose.yml that show traces and metrics, and the programs that take the places of their images.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::deployment::{containers, environment, read, strings};
use crate::tools;

const PROFILES: [&str; 2] = ["light", "observability"];
const PROGRAMS: &str = "deploy/programs.yml";

fn of_profile(profile: &str) -> BTreeMap<String, Value> {
    let mut containers = containers();
    containers.retain(|_, container| strings(&container["profiles"]).contains(&profile));
    containers
}

/// All replacements by container.
fn programs() -> BTreeMap<String, Value> {
    let file: Value = serde_saphyr::from_str(&read(PROGRAMS)).unwrap();
    serde_json::from_value(file["services"].clone()).unwrap()
}

#[test]
fn one_container_of_each_profile_takes_the_telemetry() {
    let exports = &environment(&containers()["user-service"])["OTEL_EXPORTER_OTLP_ENDPOINT"];
    assert_eq!(exports, "${COMPOSE_PROFILES:+http://otlp:4317}");
    for profile in PROFILES {
        let mut taking = of_profile(profile);
        taking.retain(|_, container| {
            strings(&container["networks"]["telemetry"]["aliases"]).contains(&"otlp")
        });
        let names: Vec<&String> = taking.keys().collect();
        assert_eq!(names.len(), 1, "{profile}: {names:?}");
        let files = strings(&taking[names[0]]["volumes"]);
        let (file, _) = files[0].trim_start_matches("./").split_once(':').unwrap();
        let config: Value = serde_saphyr::from_str(&read(file)).unwrap();
        let listens = &config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"];
        assert_eq!(listens, "0.0.0.0:4317", "{file}");
        for signal in ["traces", "metrics", "logs"] {
            let pipeline = &config["service"]["pipelines"][signal];
            assert_eq!(strings(&pipeline["receivers"]), ["otlp"], "{file}");
        }
    }
}

#[test]
fn the_light_profile_is_one_small_container() {
    let light = of_profile("light");
    let names: Vec<&String> = light.keys().collect();
    assert_eq!(names, ["viewer"]);
    assert_eq!(light["viewer"]["mem_limit"], "512m");
    assert!(light["viewer"]["cpus"].as_f64().unwrap() <= 0.5);
}

#[test]
fn each_image_of_the_profiles_has_a_program_in_its_place() {
    let programs = programs();
    let versions = tools::versions();
    for profile in PROFILES {
        for (name, container) in of_profile(profile) {
            let image = container["image"].as_str().unwrap();
            // Go alone cannot build it.
            if image.starts_with("grafana/") {
                assert_eq!(strings(&programs[&name]["profiles"]), ["grafana"]);
                continue;
            }
            let built = programs.get(&name).and_then(|program| {
                let inline = &program["build"]["dockerfile_inline"];
                inline.as_str()
            });
            let built = built.unwrap_or_else(|| panic!("{PROGRAMS} lacks {name}"));
            let is_there = versions
                .iter()
                .any(|(tool, version)| built.contains(&format!("COPY {tool}-{version}/{tool} ")));
            assert!(is_there, "{name}: no tool at its version: {built}");
        }
    }
}
