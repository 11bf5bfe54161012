//! SQL names its columns. A prepared statement with a star fails on PostgreSQL (`0A000`) after the next release adds a
//! column, on every pooled connection that has prepared it.

use std::path::{Path, PathBuf};

/// All Rust files below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The first star that means columns: alone, after a comma, or after a table's name.
fn star(source: &str) -> Option<&str> {
    for keyword in ["SELECT ", "RETURNING "] {
        for (at, _) in source.match_indices(keyword) {
            let list = &source[at + keyword.len()..];
            // The list of columns ends with the statement's text, or at its tables.
            let end = list.find('"').unwrap_or(list.len());
            let end = list[..end].find("FROM").unwrap_or(end);
            let mut before = ',';
            for character in list[..end].chars().filter(|one| !one.is_whitespace()) {
                if character == '*' && matches!(before, ',' | '.') {
                    return Some(&source[at..at + keyword.len() + end]);
                }
                before = character;
            }
        }
    }
    None
}

#[test]
fn a_star_is_seen_wherever_it_stands_for_columns() {
    let is_refused = [
        "SELECT * FROM outbox",
        "SELECT  *, 1 AS one FROM outbox",
        "SELECT id,\n   * FROM outbox",
        "SELECT pending.*, now_ms FROM pending",
        "SELECT 1 FROM (SELECT o.* FROM outbox AS o)",
        "UPDATE inbox SET begun = 1 RETURNING *",
        "\"DELETE FROM inbox RETURNING inbox.*\"",
    ];
    for sql in is_refused {
        assert!(star(sql).is_some(), "{sql}");
    }
    let is_taken = [
        "SELECT count(*) FROM outbox",
        "SELECT price * number, id FROM line",
        "RETURNING id\", values * 2",
        "user.* and order.*",
    ];
    for sql in is_taken {
        assert_eq!(star(sql), None, "{sql}");
    }
}

#[test]
fn every_statement_names_its_columns() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for folder in ["services", "shared", "tests", "xtask"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 300, "only {} files", files.len());
    for file in files {
        // This file has stars as examples; SQLite's settings are not tables.
        if file.ends_with(file!()) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("(SELECT * FROM pragma_", "(");
        if let Some(found) = star(&text) {
            panic!("{}: name the columns instead of `{found}`", file.display());
        }
    }
}
