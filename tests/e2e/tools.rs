//! The page for clients names each program of others with the version that the tests run.

use crate::tidy::read;

/// The name and the version of each tool in the list of xtask. Ours has no version.
pub(crate) fn versions() -> Vec<(String, String)> {
    let list = read("tests/tools/src/list.rs");
    let mut versions = Vec::new();
    for tool in list.split("Tool {").skip(2) {
        let value = |field: &str| {
            let (_, rest) = tool.split_once(&format!("{field}: \"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        versions.push((value("name"), value("version")));
    }
    versions.retain(|(_, version)| version != "0.0.0");
    assert!(versions.len() >= 7, "only {versions:?}");
    versions
}

#[test]
fn the_page_names_each_tool_with_its_version() {
    let page = read("docs/clients.md");
    let (_, table) = page.split_once("## What it is tested with").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    for (name, version) in versions() {
        let named = rows.iter().find(|row| row.contains(&format!("`{name}`")));
        let row = named.unwrap_or_else(|| panic!("docs/clients.md does not name {name}"));
        assert!(row.contains(&version), "{name} is {version}: {row}");
        assert!(row.contains("`cargo xtask "), "no command: {row}");
    }
}

#[test]
fn the_page_names_the_version_of_each_client() {
    let page = read("docs/clients.md");
    let java = "examples/java/pom.xml";
    let python = "examples/python/requirements.txt";
    let typescript = "examples/typescript/package.json";
    for (row, file, before) in [
        ("`tonic`", "rust-toolchain.toml", "channel = \""),
        ("`tonic`", "Cargo.lock", "name = \"tonic\"\nversion = \""),
        ("grpc`", "examples/go/go.mod", "google.golang.org/grpc v"),
        ("amqp091", "examples/go/go.mod", "amqp091-go v"),
        ("`io.grpc`", java, "<grpc.version>"),
        ("`io.grpc`", java, "<protobuf.version>"),
        ("`grpcio`", python, "grpcio=="),
        ("`grpcio`", python, "\nprotobuf=="),
        ("`aio-pika`", python, "aio-pika=="),
        ("connect`", typescript, "\"@connectrpc/connect\": \""),
        ("connect`", typescript, "\"@bufbuild/protobuf\": \""),
        ("`buf`", "tests/tools/src/buf.rs", "VERSION: &str = \""),
        (
            "kubelet",
            "tests/kubelet/go.mod",
            "google.golang.org/grpc v",
        ),
    ] {
        let text = read(file);
        let (_, rest) = text
            .split_once(before)
            .unwrap_or_else(|| panic!("{file} has no {before}"));
        let is_number = |character: char| character.is_ascii_digit() || character == '.';
        let version = rest.split(|character| !is_number(character)).next();
        let version = version.unwrap();
        let (_, table) = page.split_once("## What it is tested with").unwrap();
        let mut rows = table.lines().filter(|line| line.starts_with("| "));
        let found = rows.any(|line| line.contains(row) && line.contains(version));
        assert!(found, "docs/clients.md: {row} is {version}, in {file}");
    }
}
