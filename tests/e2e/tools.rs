//! The page for clients names each program of others with the version that the tests run.

use crate::tidy::read;

#[test]
fn the_page_names_each_tool_with_its_version() {
    let list = read("tests/tools/src/list.rs");
    let page = read("docs/clients.md");
    let (_, table) = page.split_once("## What it is tested with").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    let mut tools = 0;
    for tool in list.split("Tool {").skip(2) {
        let value = |field: &str| {
            let (_, rest) = tool.split_once(&format!("{field}: \"")).unwrap();
            rest.split('"').next().unwrap()
        };
        let (name, version) = (value("name"), value("version"));
        // Ours has no version.
        if version == "0.0.0" {
            continue;
        }
        let named = rows.iter().find(|row| row.contains(&format!("`{name}`")));
        let row = named.unwrap_or_else(|| panic!("docs/clients.md does not name {name}"));
        assert!(row.contains(version), "{name} is {version}: {row}");
        assert!(row.contains("`cargo xtask "), "no command: {row}");
        tools += 1;
    }
    assert!(tools >= 7, "only {tools} tools");
}
