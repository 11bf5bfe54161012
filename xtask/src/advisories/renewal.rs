//! Makes the copy from a checkout of the RustSec database: a line for each advisory that was not withdrawn.
//!
//! An advisory is a page that begins with its facts in TOML. Only facts are copied: no text.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

/// The content of the copy.
pub(super) fn copy_of(database: &Path, committed: SystemTime) -> Result<String> {
    let mut lines = Vec::new();
    for page in pages(database)? {
        let text = fs::read_to_string(&page)
            .with_context(|| format!("{} cannot be read", page.display()))?;
        let line = line(&text).with_context(|| format!("{} has no id or crate", page.display()))?;
        lines.extend(line);
    }
    ensure!(!lines.is_empty(), "{} has no advisory", database.display());
    lines.sort();
    let seconds = committed.duration_since(UNIX_EPOCH)?.as_secs();
    Ok(format!(
        "# From the RustSec database (https://github.com/RustSec/advisory-db), by `cargo xtask advisories --renew`; committed at {seconds}\n{}\n",
        lines.join("\n")
    ))
}

fn pages(database: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for folder in entries(&database.join("crates"))? {
        let files = entries(&folder)?.into_iter();
        pages.extend(files.filter(|file| file.extension().is_some_and(|end| end == "md")));
    }
    Ok(pages)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder);
    let entries = entries.with_context(|| format!("{} cannot be read", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// `None` for a withdrawn advisory, and for a notice, which says nothing of versions.
fn line(page: &str) -> Result<Option<String>> {
    let facts = page.split("```").nth(1).unwrap_or_default();
    let kind = text(facts, "informational").unwrap_or("vulnerability");
    if text(facts, "withdrawn").is_some() || kind == "notice" {
        return Ok(None);
    }
    let id = text(facts, "id").context("no id")?;
    let name = text(facts, "package").context("no package")?;
    let (patched, unaffected) = (list(facts, "patched"), list(facts, "unaffected"));
    Ok(Some(format!(
        "{id}\t{name}\t{kind}\t{patched}\t{unaffected}"
    )))
}

/// What follows `key =`, to the end of the facts.
fn value<'a>(facts: &'a str, key: &str) -> Option<&'a str> {
    let after = |line: &'a str| line.strip_prefix(key)?.trim_start().strip_prefix('=');
    facts.lines().find_map(after).map(|rest| {
        let start = rest.as_ptr().addr() - facts.as_ptr().addr();
        &facts[start..]
    })
}

fn text<'a>(facts: &'a str, key: &str) -> Option<&'a str> {
    value(facts, key)?.split('"').nth(1)
}

/// The strings of an array, which may have several lines.
fn list(facts: &str, key: &str) -> String {
    let array = value(facts, key).and_then(|rest| rest.split_once(']'));
    let array = array.map_or("", |(array, _)| array);
    let strings: Vec<&str> = array.split('"').skip(1).step_by(2).map(str::trim).collect();
    strings.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "```toml
[advisory]
id = \"RUSTSEC-2026-0258\"
package = \"h2\"
keywords = [\"http\"]

[versions]
patched = [
    \"^0.3.27\",
    \">= 0.4.16 \",
]
unaffected = [\"< 0.3, >= 0.2\"]
```

# patched = [\"nothing\"]
";

    #[test]
    fn an_advisory_is_a_line() -> Result<()> {
        let expected =
            "RUSTSEC-2026-0258\th2\tvulnerability\t^0.3.27;>= 0.4.16\t< 0.3, >= 0.2".to_owned();
        assert_eq!(line(PAGE)?, Some(expected));
        let unsound = PAGE.replace("keywords", "informational = \"unsound\"\nkeywords");
        assert!(line(&unsound)?.is_some_and(|line| line.contains("\tunsound\t")));
        Ok(())
    }

    #[test]
    fn a_withdrawn_advisory_and_a_notice_are_no_line() -> Result<()> {
        for key in ["withdrawn = \"2026-08-20\"", "informational = \"notice\""] {
            let page = PAGE.replace("keywords", &format!("{key}\nkeywords"));
            assert_eq!(line(&page)?, None, "{key}");
        }
        assert!(line("# a page without facts").is_err());
        Ok(())
    }
}
