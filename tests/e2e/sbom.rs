//! The list of what an image is made of: every crate of the program once, each with its licence.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tidy::root;

fn list(program: &str) -> String {
    let output = Command::new(root().join("deploy/sbom.sh"))
        .arg(program)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_program_lists_its_crates_with_their_licences() {
    let list = list("order-service");
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
    for other in ["testkit", "user-service", "rstest"] {
        assert!(!names.contains(other), "{other} is in the list");
    }
    let contained = list.matches(" CONTAINS ").count();
    assert_eq!(contained, ids.len() - 1, "all but the program itself");
}

#[test]
fn each_image_has_the_list_of_its_program() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let programs = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY --from=build /programs/"))
        .filter_map(|line| line.strip_suffix(" /usr/local/bin/"));
    let mut count = 0;
    for program in programs {
        let copy = format!("COPY --from=build /programs/{program}.spdx /usr/share/doc/angarium/");
        assert!(dockerfile.contains(&copy), "no list of {program}");
        count += 1;
    }
    assert_eq!(count, 2, "the gateway has the program for its health check");
}
