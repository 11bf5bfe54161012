//! The copy of the advisory database: what it says about the locked crates.
//!
//! A line is an advisory: id, crate, kind, the patched and the unaffected versions. The first line says when the
//! database was committed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use semver::{Version, VersionReq};

pub(super) struct Copy {
    pub(super) committed: SystemTime,
    pub(super) advisories: Vec<Advisory>,
}

pub(super) struct Advisory {
    pub(super) id: String,
    pub(super) name: String,
    /// `vulnerability`, `unsound` or `unmaintained`.
    pub(super) kind: String,
    pub(super) patched: Vec<VersionReq>,
    pub(super) unaffected: Vec<VersionReq>,
}

impl Copy {
    pub(super) fn read(text: &str) -> Result<Self> {
        let (head, lines) = text.split_once('\n').context("the copy is empty")?;
        let seconds = head
            .rsplit_once("committed at ")
            .map(|(_, seconds)| seconds);
        let seconds: u64 = seconds
            .and_then(|seconds| seconds.trim().parse().ok())
            .with_context(|| format!("the copy does not say when it was committed: {head}"))?;
        let advisories = lines.lines().map(|line| {
            Advisory::read(line).with_context(|| format!("the copy has an invalid line: {line}"))
        });
        Ok(Self {
            committed: UNIX_EPOCH + Duration::from_secs(seconds),
            advisories: advisories.collect::<Result<_>>()?,
        })
    }

    /// A sentence for each crate with an advisory.
    pub(super) fn affecting(&self, locked: &[(String, Version)]) -> Vec<String> {
        let mut found = Vec::new();
        for advisory in &self.advisories {
            for (name, version) in locked {
                if advisory.affects(name, version) {
                    let Advisory { id, kind, .. } = advisory;
                    found.push(format!(
                        "{name} {version}: {id} ({kind}); https://rustsec.org/advisories/{id} says which versions are patched"
                    ));
                }
            }
        }
        found
    }
}

impl Advisory {
    fn read(line: &str) -> Result<Self> {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().context("a cell is missing");
        let (id, name, kind) = (cell()?.to_owned(), cell()?.to_owned(), cell()?.to_owned());
        Ok(Self {
            id,
            name,
            kind,
            patched: requirements(cell()?)?,
            unaffected: requirements(cell()?)?,
        })
    }

    fn affects(&self, name: &str, version: &Version) -> bool {
        let mut not_affected = self.patched.iter().chain(&self.unaffected);
        self.name == name && !not_affected.any(|good| good.matches(version))
    }
}

/// Versions are separated by `;`, because one requirement has commas.
fn requirements(cell: &str) -> Result<Vec<VersionReq>> {
    let given = cell
        .split(';')
        .filter(|requirement| !requirement.is_empty());
    let parsed = given.map(|requirement| {
        VersionReq::parse(requirement).with_context(|| format!("{requirement:?} is no requirement"))
    });
    parsed.collect()
}

/// The crates of a lock file.
pub(super) fn locked(lock: &str) -> Result<Vec<(String, Version)>> {
    let mut found = Vec::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            let value = line.and_then(|value| value.strip_prefix(" = \"")?.strip_suffix('"'));
            value.with_context(|| format!("the lock file has a package without {key}: {package}"))
        };
        let version = value("version")?;
        let version =
            Version::parse(version).with_context(|| format!("{version} is no version"))?;
        found.push((value("name")?.to_owned(), version));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"h2\"\nversion = \"0.4.15\"\n\n[[package]]\nname = \"http\"\nversion = \"1.4.0\"\n";

    fn affecting(line: &str) -> Result<Vec<String>> {
        let copy = Copy::read(&format!("# committed at 1787293720\n{line}\n"))?;
        Ok(copy.affecting(&locked(LOCK)?))
    }

    #[test]
    fn a_crate_has_an_advisory_unless_it_is_patched_or_unaffected() -> Result<()> {
        for (versions, affected) in [
            (">=0.4.16\t", true),
            (">=0.4.15\t", false),
            ("^0.3.27;>=0.4.15\t", false),
            ("\t", true),
            ("\t<0.4", true),
            ("\t>=0.4.10, <0.4.16", false),
        ] {
            let found = affecting(&format!("RUSTSEC-2026-0258\th2\tvulnerability\t{versions}"))?;
            assert_eq!(!found.is_empty(), affected, "{versions}: {found:?}");
        }
        assert!(affecting("RUSTSEC-2026-0258\th3\tvulnerability\t\t")?.is_empty());
        Ok(())
    }

    #[test]
    fn an_unreadable_copy_is_an_error() {
        assert!(Copy::read("").is_err());
        assert!(Copy::read("# of some day\n").is_err());
        assert!(affecting("RUSTSEC-2026-0258\th2").is_err());
        assert!(affecting("RUSTSEC-2026-0258\th2\tvulnerability\tnewest\t").is_err());
    }
}
