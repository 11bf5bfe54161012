//! Plain language: few words that hide the subject of a sentence, and short names of tests.

use std::path::{Path, PathBuf};

use crate::tidy::{root, sources};

/// Sentences with these words are often inverted or vague.
const VAGUE: &str = "told tells whoever whatever somebody nobody anybody whose";
const FOLDERS: [&str; 10] = [
    "bench", "deploy", "docs", "examples", "fuzz", "proto", "services", "shared", "tests", "xtask",
];
/// Files that tools download or generate.
const GENERATED: [&str; 6] = ["target", "node_modules", ".venv", "gen", "dist", "secrets"];
/// A few are the right word, such as the Unix account `nobody`.
const MOST_LINES: usize = 60;
const LONGEST_NAME: usize = 60;

/// All text files below `folder`.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_ours = path
            .file_name()
            .is_some_and(|name| !GENERATED.iter().any(|generated| name == *generated));
        if path.is_dir() && is_ours {
            found.extend(texts(&path));
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
    found
}

/// Whether one of the words is in the line, in any case.
fn is_vague(line: &str) -> bool {
    line.split(|character: char| !character.is_alphanumeric() && character != '_')
        .any(|word| {
            VAGUE
                .split(' ')
                .any(|vague| vague.eq_ignore_ascii_case(word))
        })
}

#[test]
fn vague_words_are_found_as_whole_words_in_any_case() {
    for line in ["Whoever calls", "it (nobody)", "// told."] {
        assert!(is_vague(line), "{line}");
    }
    for line in ["untold", "nobody_else", "a plain line"] {
        assert!(!is_vague(line), "{line}");
    }
}

#[test]
fn few_lines_have_a_vague_word() {
    let documents = std::fs::read_dir(root()).unwrap();
    let documents = documents
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()));
    let files = FOLDERS
        .iter()
        .flat_map(|folder| texts(&root().join(folder)));
    let lines: Vec<String> = files
        .chain(documents)
        .flat_map(|(path, text)| {
            let named = |line: &str| format!("{}: {line}", path.display());
            let vague = text.lines().filter(|line| is_vague(line));
            vague.map(named).collect::<Vec<_>>()
        })
        .collect();
    assert!(
        lines.len() <= MOST_LINES,
        "{} lines have one of the words {VAGUE}; name the subject instead:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn names_of_tests_are_short() {
    for folder in ["bench", "services", "shared", "tests", "xtask"] {
        for file in sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let names = text
                .lines()
                .filter_map(|line| line.trim().split_once("fn "))
                .filter(|(before, _)| ["", "async ", "pub(crate) "].contains(before))
                .filter_map(|(_, rest)| rest.split(['(', '<']).next());
            for name in names {
                let place = file.display();
                assert!(
                    name.len() <= LONGEST_NAME,
                    "{place}: {name} has more than {LONGEST_NAME} characters"
                );
            }
        }
    }
}
