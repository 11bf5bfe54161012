//! The lists of what an image is made of: every crate of the program once, each with its licence, and the texts of the licences.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tidy::root;

fn list(script: &str, program: &str) -> String {
    let output = Command::new(root().join("deploy").join(script))
        .arg(program)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_program_lists_its_crates_with_their_licences() {
    let list = list("sbom.sh", "order-service");
    assert!(list.starts_with("SPDXVersion: SPDX-2.3\n"), "{list}");
    let mut names = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for package in list.split("\n\n").skip(1) {
        let value = |tag: &str| {
            let found = package.lines().find_map(|line| line.strip_prefix(tag));
            found.unwrap_or_else(|| panic!("no {tag} in {package}"))
        };
        names.insert(value("PackageName: "));
        let id = value("SPDXID: ");
        assert!(ids.insert(id), "{id} is there twice");
        assert_ne!(
            value("PackageLicenseDeclared: "),
            "NOASSERTION",
            "{package}"
        );
    }
    for expected in ["order-service", "messaging", "tonic", "sea-orm", "lapin"] {
        assert!(names.contains(expected), "{expected} is not in the list");
    }
    // Of tests and of other services is nothing in it.
    for other in ["testbench", "testkit", "user-service", "rstest"] {
        assert!(!names.contains(other), "{other} is in the list");
    }
    let contained = list.matches(" CONTAINS ").count();
    assert_eq!(contained, ids.len() - 1, "all but the program itself");
}

/// A licence asks that its text goes with each copy.
#[test]
fn a_program_has_the_texts_of_the_licences_of_its_crates() {
    let (crates, texts) = (
        list("sbom.sh", "order-service"),
        list("licenses.sh", "order-service"),
    );
    for package in crates.split("\n\n").skip(1) {
        // Ours have no place to download them from.
        if !package.contains("https://crates.io/") {
            continue;
        }
        let value = |tag: &str| package.lines().find_map(|line| line.strip_prefix(tag));
        let (name, version) = (value("PackageName: "), value("PackageVersion: "));
        let named = format!("\n{} {} (", name.unwrap(), version.unwrap());
        assert!(texts.contains(&named), "no licence of{named}");
    }
    for text in [
        "Permission is hereby granted, free of charge",
        "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    ] {
        assert!(texts.contains(text), "{text}");
    }
    let (without, _) = texts.split_once("Without a text of their own").unwrap();
    assert!(without.lines().count() < 40, "{without}");
}

#[test]
fn no_list_is_made_of_a_program_that_does_not_exist() {
    for script in ["sbom.sh", "licenses.sh"] {
        let mut command = Command::new(root().join("deploy").join(script));
        let output = command.arg("no-such-service").output().unwrap();
        assert!(!output.status.success(), "{script}: {output:?}");
    }
}

#[test]
fn each_image_has_the_lists_of_its_program() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let programs = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY --from=build /programs/"))
        .filter_map(|line| line.strip_suffix(" /usr/local/bin/"));
    let mut count = 0;
    for program in programs {
        let copy = format!(
            "COPY --from=build /programs/{program}.spdx /programs/{program}.licenses /usr/share/doc/angarium/"
        );
        assert!(dockerfile.contains(&copy), "no lists of {program}");
        count += 1;
    }
    assert_eq!(count, 2, "the gateway has the program for its health check");
}
