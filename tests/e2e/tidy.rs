//! The rules of the repository that no linter checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use angarium::registry::SERVICES;

use crate::observability::anchors;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|service| service.definition.name)
}

/// All Rust files below `folder`.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The names of the folders in `place`.
pub(crate) fn folders(place: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join(place)).unwrap();
    let folders = entries
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir());
    let names = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
    names.collect()
}

#[test]
fn shared_crates_depend_only_on_their_allowed_neighbours() {
    let allowed = [
        ("event", &[][..]),
        ("contracts", &["event"]),
        ("mail-codes", &["runtime"]),
        ("messaging", &["event", "store"]),
        ("runtime", &["store"]),
        ("service", &["contracts", "messaging", "runtime", "store"]),
        ("store", &[]),
        (
            "testbench",
            &[
                "event",
                "messaging",
                "runtime",
                "service",
                "store",
                "testkit",
            ],
        ),
        ("testkit", &["event", "messaging", "runtime", "store"]),
    ];
    let (shared, others) = (folders("shared"), folders("services"));
    let named: BTreeSet<&str> = allowed.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = shared.iter().map(String::as_str).collect();
    assert_eq!(named, there, "what may each of shared/ depend on?");
    let ours = shared.iter().chain(&others).map(String::as_str);
    for (name, may) in allowed {
        let manifest = read(format!("shared/{name}/Cargo.toml"));
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
        let dependencies = dependencies.split("\n[").next().unwrap();
        for other in ours.clone().filter(|other| !may.contains(other)) {
            let knows = dependencies.lines().any(|line| {
                line.starts_with(&format!("{other}.")) || line.starts_with(&format!("{other} "))
            });
            assert!(!knows, "shared/{name} depends on {other}");
        }
    }
    for service in services() {
        let manifest = read(format!("services/{service}/Cargo.toml"));
        for other in services() {
            assert!(
                other == service || !manifest.contains(&format!("\n{other} = ")),
                "{service} depends on {other}"
            );
        }
    }
}

#[test]
fn lapin_is_known_to_messaging_tests_and_bench_only() {
    let packages = ["shared", "services"].map(|place| {
        let named = move |name| format!("{place}/{name}");
        folders(place).into_iter().map(named)
    });
    let may = ["shared/messaging", "shared/testkit"];
    for package in packages.into_iter().flatten() {
        let knows = read(format!("{package}/Cargo.toml")).contains("lapin");
        assert!(!knows || may.contains(&package.as_str()), "{package}");
    }
}

/// RabbitMQ's delivery limit does not count messages that a client returns with `basic.nack`. A delivery that must wait
/// is a row instead.
#[test]
fn nothing_is_ever_handed_back_to_the_broker() {
    for source in sources(&root().join("shared/messaging/src")) {
        let text = std::fs::read_to_string(&source).unwrap();
        for call in ["basic_nack", "basic_reject", "basic_recover"] {
            assert!(!text.contains(call), "{}: {call}", source.display());
        }
    }
}

/// Abort points, deliberate mistakes and a clock that can be set are in the crate `switches`; an overlay adds their calls to a copy
/// of the sources. The product has no feature and no variable for them.
#[test]
fn the_product_has_no_switch_of_the_fault_runs() {
    let traces = [
        "switches",
        "faults::",
        "\"faults\"",
        "ANGARIUM_BROKEN",
        "ANGARIUM_CLOCK",
        "ANGARIUM_CRASH_AT",
        "process::abort",
        "cfg!(",
    ];
    let mut checked = 0;
    for place in ["shared", "services"] {
        for package in folders(place) {
            let folder = root().join(place).join(package);
            let mut files = sources(&folder.join("src"));
            files.push(folder.join("Cargo.toml"));
            for file in files {
                let text = std::fs::read_to_string(&file).unwrap();
                for trace in traces {
                    assert!(!text.contains(trace), "{}: {trace}", file.display());
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "only {checked} files were found");
}

#[test]
fn every_module_says_what_it_is_for() {
    for folder in ["bench", "services", "shared", "tests", "xtask"] {
        for file in sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(
                text.starts_with("//!"),
                "{} does not begin with its purpose (`//!`)",
                file.display()
            );
        }
    }
}

#[test]
fn no_file_of_the_product_is_longer_than_400_lines() {
    for folder in ["bench", "services", "shared"] {
        for file in sources(&root().join(folder))
            .into_iter()
            .filter(|file| !file.iter().any(|part| part == "tests"))
        {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            assert!(
                lines <= 400,
                "{} has {lines} lines: split it into its two subjects",
                file.display()
            );
        }
    }
}

/// It has the settings of the service; what all services need is in the test bench.
#[test]
fn the_fixture_of_each_service_has_at_most_120_lines() {
    for service in services() {
        let fixture = read(format!("services/{service}/tests/it/fixture.rs"));
        let lines = fixture.lines().count();
        assert!(lines <= 120, "{service}: fixture.rs has {lines} lines");
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "book/SUMMARY.md",
        "docs/adr/0001-rows-instead-of-ttl-queues.md",
        "docs/adr/0002-sqlite-and-the-embedded-transport.md",
        "docs/adr/0003-our-own-reconnect-loop.md",
        "docs/adr/0004-no-repository-traits.md",
        "docs/adr/0005-native-schema.md",
        "docs/adr/0006-checkpoints.md",
        "docs/adr/README.md",
        "docs/benchmarks.md",
        "docs/clients.md",
        "docs/conventions.md",
        "docs/fault-runs.md",
        "docs/operations.md",
        "docs/telemetry.md",
        "examples/go/README.md",
        "examples/java/README.md",
        "examples/python/README.md",
        "examples/typescript/README.md",
        "shared/messaging/README.md",
    ] {
        let text = read(document);
        let folder = root().join(document).parent().unwrap().to_owned();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .filter(|target| !target.starts_with("http"))
        {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match path {
                "" => root().join(document),
                path => folder.join(path),
            };
            assert!(
                file.exists(),
                "{document} links to {target}, which does not exist"
            );
            assert!(
                anchor.is_empty() || anchors(&read(&file)).contains(anchor),
                "{document} links to {target}, which has no such section"
            );
        }
    }
}

#[test]
fn every_test_that_the_checklists_name_exists() {
    for (document, heading, at_least) in [
        ("SECURITY.md", "## The checklist", 60),
        ("docs/conventions.md", "## What must hold", 40),
    ] {
        let checklist = read(document);
        let (_, checklist) = checklist.split_once(heading).unwrap();
        let named = checklist.split('`').skip(1).step_by(2);
        let named: Vec<&str> = named.filter(|test| test.contains("::")).collect();
        for test in &named {
            let (package, test) = test.split_once(": ").unwrap();
            let folders = ["tests", "shared", "services"].map(|place| format!("{place}/{package}"));
            let folder = folders.iter().find(|folder| root().join(folder).exists());
            let folder =
                folder.unwrap_or_else(|| panic!("{document}: there is no package {package}"));
            let (module, name) = test.rsplit_once("::").unwrap();
            let files = ["tests/it/", "src/", ""]
                .map(|place| format!("{folder}/{place}{}.rs", module.replace("::", "/")));
            let function = format!("fn {name}(");
            let is_there = files
                .iter()
                .any(|file| root().join(file).exists() && read(file).contains(&function));
            assert!(is_there, "{document}: {package}: {test} is not a test");
        }
        let named = named.len();
        assert!(named >= at_least, "{document} names only {named} tests");
    }
}

#[test]
fn every_situation_that_others_met_names_its_test() {
    let page = read("docs/conventions.md");
    let (_, table) = page.split_once("## Situations that others met").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| X-"));
    let mut before = String::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        assert!(
            cells.len() == 4 && cells[3].contains("::"),
            "nothing shows: {row}"
        );
        assert!(before.as_str() < cells[0], "twice, or out of order: {row}");
        before = cells[0].to_owned();
    }
    assert!(before.as_str() >= "| X-26", "the last is {before}");
}

/// Values from callers reach a database only as bound values. Other SQL exists only in the files below, without values
/// from outside.
#[test]
fn sql_is_written_out_and_its_values_are_bound() {
    let plain = [
        "services/user-service/src/store/signing_keys.rs",
        "shared/store/src/database.rs",
        "shared/store/src/ddl.rs",
        "shared/store/src/migrate/step.rs",
        "shared/store/src/postgres.rs",
        "shared/store/src/transaction.rs",
        "shared/messaging/src/transaction.rs",
        "shared/messaging/src/transport/embedded/queue_file/declared.rs",
    ];
    let ways_around = [
        "execute_unprepared(",
        "Statement::from_string(",
        "AssertSqlSafe(",
    ];
    let mut seen = Vec::new();
    let files = ["services", "shared"].map(|folder| sources(&root().join(folder)));
    for file in files.concat() {
        let file = file
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        let of_tests = ["shared/testbench/", "shared/testkit/"];
        if !file.contains("/src/") || of_tests.iter().any(|one| file.starts_with(one)) {
            continue;
        }
        let source = read(&file);
        if file.contains("/migrations/") || !ways_around.iter().any(|way| source.contains(way)) {
            continue;
        }
        assert!(
            plain.contains(&file.as_str()),
            "{file} executes SQL without bound values"
        );
        seen.push(file);
    }
    assert_eq!(
        seen.len(),
        plain.len(),
        "remove the others, only {seen:?} still do"
    );
}

#[test]
fn every_test_that_the_failure_table_names_exists() {
    let table = read("shared/messaging/README.md");
    let (_, table) = table.split_once("## What happens when").unwrap();
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        assert!(shown_by.contains("::"), "nothing shows: {row}");
    }
    for test in table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|test| test.contains("::"))
    {
        let (tests, test) = match test.split_once(": ") {
            Some(("e2e", test)) => ("tests/e2e".to_owned(), test),
            Some((package, test)) => {
                let mut folders = ["shared", "services", "tests"]
                    .map(|place| format!("{place}/{package}/tests/it"))
                    .into_iter();
                let folder = folders.find(|folder| root().join(folder).exists());
                (folder.unwrap_or_else(|| panic!("no {package}")), test)
            }
            None => ("shared/messaging/tests/it".to_owned(), test),
        };
        let (module, name) = test.rsplit_once("::").unwrap();
        let source = read(format!("{tests}/{}.rs", module.replace("::", "/")));
        assert!(
            source.contains(&format!("fn {name}(")),
            "{test} is not a test"
        );
    }
}

/// A command that begins elsewhere could ignore the call's request id.
#[test]
fn commands_begin_in_the_chassis_alone() {
    for service in services() {
        for file in sources(&root().join("services").join(service).join("src")) {
            let text = std::fs::read_to_string(&file).unwrap();
            for call in ["begin_command(", "idempotency::claim", "idempotency::keep"] {
                assert!(!text.contains(call), "{}: {call}", file.display());
            }
        }
    }
}
