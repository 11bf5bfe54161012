//! `cargo xtask images`: the images of others that `docker-compose.yml` runs and the `Dockerfile` builds on.
//!
//! A tag can be moved; a digest cannot. `pin` asks the registries for the digest of each tag and writes it beside the
//! tag, so that a later build and a later start get the same bytes. It needs Docker and the registries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use processes::workspace;

const FILES: [&str; 2] = ["docker-compose.yml", "Dockerfile"];

#[derive(clap::Subcommand)]
pub(crate) enum Images {
    /// Print each image; exit with 1 if one has no digest
    List,
    /// Write the present digest of each tag into docker-compose.yml and Dockerfile
    Pin,
}

pub(crate) fn run(task: &Images) -> Result<ExitCode> {
    let mut unpinned = 0;
    for path in FILES {
        let file = workspace::root().join(path);
        let text = fs::read_to_string(&file).with_context(|| format!("{path} cannot be read"))?;
        let mut digests = BTreeMap::new();
        for image in images(&text) {
            let (tag, digest) = image.split_once('@').unwrap_or((image, ""));
            if matches!(task, Images::Pin) {
                let new = digest_of(tag)?;
                println!("{tag}@{new}");
                digests.insert(image, format!("{tag}@{new}"));
            } else {
                println!("{image}");
                unpinned += usize::from(digest.is_empty());
            }
        }
        if !digests.is_empty() {
            fs::write(&file, pinned(&text, &digests))
                .with_context(|| format!("{path} cannot be written"))?;
        }
    }
    if unpinned > 0 {
        eprintln!("xtask: {unpinned} images have no digest; `cargo xtask images pin` writes them");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The images of others in a Compose file or a Dockerfile.
fn images(text: &str) -> BTreeSet<&str> {
    let mut stages = BTreeSet::new();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let Some(image) = image_in(line) else {
            continue;
        };
        if !stages.contains(image) {
            found.insert(image);
        }
        stages.extend(line.split_once(" AS ").map(|(_, stage)| stage.trim()));
    }
    found
}

fn image_in(line: &str) -> Option<&str> {
    let named = line.trim_start();
    let image = named
        .strip_prefix("image: ")
        .or_else(|| named.strip_prefix("FROM "))?;
    image.split_whitespace().next()
}

/// The text with other names of its images.
fn pinned(text: &str, names: &BTreeMap<&str, String>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let name = image_in(line).and_then(|image| Some((image, names.get(image)?)));
        lines.push(match name {
            Some((image, name)) => line.replacen(image, name, 1),
            None => line.to_owned(),
        });
    }
    lines.join("\n") + "\n"
}

fn digest_of(image: &str) -> Result<String> {
    let mut inspect = Command::new("docker");
    inspect.args(["buildx", "imagetools", "inspect", "--format"]);
    inspect.args(["{{.Manifest.Digest}}", image]);
    let digest = processes::output(&mut inspect)?;
    let digest = digest.trim();
    ensure!(
        digest.starts_with("sha256:"),
        "{image} has the unusable digest {digest:?}"
    );
    Ok(digest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERFILE: &str = "FROM rust:1-slim AS build\nFROM debian:trixie@sha256:00 AS runtime\nFROM runtime AS service\n";

    #[test]
    fn a_stage_is_no_image_of_others() {
        let found: Vec<&str> = images(DOCKERFILE).into_iter().collect();
        assert_eq!(found, ["debian:trixie@sha256:00", "rust:1-slim"]);
        let compose = "services:\n  a:\n    image: postgres:18\n  b:\n    build: .\n";
        assert!(images(compose).iter().eq(&["postgres:18"]));
    }

    #[test]
    fn a_digest_is_written_beside_the_tag_and_replaced() {
        let names = [
            ("rust:1-slim", "rust:1-slim@sha256:11"),
            ("debian:trixie@sha256:00", "debian:trixie@sha256:22"),
        ];
        let names = names.map(|(image, name)| (image, name.to_owned()));
        let text = pinned(DOCKERFILE, &BTreeMap::from(names));
        assert!(
            text.starts_with("FROM rust:1-slim@sha256:11 AS build\n"),
            "{text}"
        );
        assert!(
            text.contains("FROM debian:trixie@sha256:22 AS runtime\n"),
            "{text}"
        );
        assert!(text.ends_with("FROM runtime AS service\n"), "{text}");
    }
}
