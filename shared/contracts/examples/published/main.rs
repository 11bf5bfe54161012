//! Writes and checks what the contracts publish: `cargo xtask contracts`, `cargo xtask descriptors`.
//!
//! `docs` writes the event catalogue, the AsyncAPI document and the service config. `release` stores the descriptor set
//! and bytes of each event, which every later release must read. `check` compares all of it with the proto files.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "its output is what a command-line tool is for"
)]

mod asyncapi;
mod catalogue;
mod comments;
mod descriptors;
mod golden;
mod service_config;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use contracts::FILE_DESCRIPTOR_SET;
use prost_reflect::DescriptorPool;

const CATALOGUE: &str = "docs/events.md";
const ASYNCAPI: &str = "docs/asyncapi.json";
const SERVICE_CONFIG: &str = "proto/service_config.json";
const RELEASED: &str = "shared/contracts/released";

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write docs/events.md, docs/asyncapi.json and proto/service_config.json
    Docs,
    /// Store today's contracts; later releases must not break them
    Release,
    /// Fail if a document is outdated or a stored event is read differently
    Check,
    /// Write the descriptor set to standard output
    Descriptors,
}

fn main() -> Result<()> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    match Cli::parse().command {
        Command::Docs => {
            for (path, text) in documents(&pool)? {
                write(&root().join(path), text.as_bytes())?;
                println!("wrote {path}");
            }
            Ok(())
        }
        Command::Release => release(&pool),
        Command::Check => check(&pool),
        Command::Descriptors => Ok(io::stdout().write_all(&descriptors::write()?)?),
    }
}

fn documents(pool: &DescriptorPool) -> Result<[(&'static str, String); 3]> {
    Ok([
        (CATALOGUE, catalogue::write(pool)?),
        (ASYNCAPI, asyncapi::write(pool)?),
        (SERVICE_CONFIG, service_config::write(pool)),
    ])
}

fn release(pool: &DescriptorPool) -> Result<()> {
    let folder = root().join(RELEASED);
    write(&folder.join("descriptors.binpb"), FILE_DESCRIPTOR_SET)?;
    for kept in golden::keep(pool, &folder.join("events"))? {
        println!("kept {kept}");
    }
    Ok(())
}

fn check(pool: &DescriptorPool) -> Result<()> {
    for (path, text) in documents(pool)? {
        let there = fs::read_to_string(root().join(path)).unwrap_or_default();
        ensure!(
            there == text,
            "{path} is not current: run `cargo xtask contracts docs`"
        );
    }
    let kept = golden::check(pool, &root().join(RELEASED).join("events"))?;
    println!("the documents are current; all {kept} stored events are read unchanged");
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
