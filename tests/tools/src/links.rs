//! Checks the links of the built site: each file and each anchor that a page names must be there.
//!
//! Links to other sites are not followed. A link to a folder is one into the repository: its files are copied beside the pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use percent_encoding::percent_decode_str;

/// Pages that mdBook puts together from the others.
const MADE: [&str; 3] = ["404.html", "print.html", "toc.html"];

pub(crate) fn check(site: &Path) -> Result<()> {
    let mut pages = BTreeMap::new();
    read(site, &mut pages)?;
    ensure!(!pages.is_empty(), "{} has no page", site.display());
    let mut broken = BTreeSet::new();
    for (page, text) in &pages {
        for link in links(text) {
            if !leads_somewhere(page, &link, &pages) {
                broken.insert(format!("{}: {link}", page.display()));
            }
        }
    }
    let list: Vec<String> = broken.into_iter().collect();
    ensure!(list.is_empty(), "broken links:\n{}", list.join("\n"));
    Ok(())
}

fn read(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let entries = fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            read(&path, pages)?;
        } else if path.extension().is_some_and(|it| it == "html")
            && !MADE.iter().any(|it| name == *it)
        {
            let text = fs::read_to_string(&path)?;
            pages.insert(path, text);
        }
    }
    Ok(())
}

/// The values of `href` and `src`, without those to other sites.
fn links(page: &str) -> BTreeSet<String> {
    let values = [" href=\"", " src=\""].into_iter().flat_map(|attribute| {
        let parts = page.split(attribute).skip(1);
        parts.filter_map(|part| part.split_once('"').map(|(value, _)| value))
    });
    let own = values.filter(|value| !value.is_empty() && *value != "#");
    own.filter(|value| {
        !value.starts_with("//")
            && !value
                .split(['/', '#'])
                .next()
                .unwrap_or_default()
                .contains(':')
    })
    .map(|value| percent_decode_str(value).decode_utf8_lossy().into_owned())
    .collect()
}

fn leads_somewhere(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        page.to_owned()
    } else {
        normal(&page.with_file_name("").join(file))
    };
    let is_anchor = |text: &String| text.contains(&format!(" id=\"{anchor}\""));
    match pages.get(&target) {
        Some(text) => anchor.is_empty() || is_anchor(text),
        None => target.exists(),
    }
}

/// Without `..`, so that it is the name of a page.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_and_a_missing_anchor_are_found() -> Result<()> {
        let site = tempfile::tempdir()?;
        let page = |name: &str, text: &str| fs::write(site.path().join(name), text);
        fs::create_dir(site.path().join("docs"))?;
        page(
            "index.html",
            r##"<a href="docs/a.html#part"> <a href="https://example.com/x"> <a href="#">"##,
        )?;
        page(
            "docs/a.html",
            r##"<h2 id="part"> <a href="../index.html"> <a href="#part">"##,
        )?;
        check(site.path())?;
        page(
            "docs/a.html",
            r##"<a href="b.html"> <a href="../index.html#gone">"##,
        )?;
        let error = check(site.path()).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        for broken in ["docs/a.html#part", "b.html", "../index.html#gone"] {
            assert!(error.contains(broken), "{broken} is not in {error}");
        }
        Ok(())
    }
}
