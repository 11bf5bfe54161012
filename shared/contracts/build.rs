//! Generates the crate from proto/ without protoc: it compiles the files, checks their options, and writes into OUT_DIR
//! the messages, clients and servers, the implementations of our traits, the redacting `Debug` and the descriptor set.

#![forbid(unsafe_code)]

#[path = "build/checks.rs"]
mod checks;
#[path = "build/event_checks.rs"]
mod event_checks;
#[path = "build/events.rs"]
mod events;
#[path = "build/options.rs"]
mod options;
#[path = "build/packages.rs"]
mod packages;
#[path = "build/redaction.rs"]
mod redaction;
#[path = "build/rules.rs"]
mod rules;
#[path = "build/rust.rs"]
mod rust;
#[path = "build/servers.rs"]
mod servers;
#[path = "build/validation.rs"]
mod validation;

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, anyhow};

const OURS: &str = "../../proto";
const THIRD_PARTY: &str = "../../third_party/proto";

fn main() {
    println!("cargo::rerun-if-changed={OURS}");
    println!("cargo::rerun-if-changed={THIRD_PARTY}");
    if let Err(error) = generate() {
        // Cargo shows only lines of this form; a failing exit would print all of the script's output.
        for line in format!("{error:#}").lines() {
            println!("cargo::error={line}");
        }
    }
}

fn generate() -> Result<()> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);

    // Only the debug form of the compiler's error has file, line and column.
    let compiler = compile(&proto_files(Path::new(OURS))?).map_err(|error| anyhow!("{error:?}"))?;
    let pool = compiler.descriptor_pool();
    let events = events::read(&pool).map_err(|mistakes| anyhow!(mistakes.join("\n")))?;
    let redacted = redaction::read(&pool).map_err(|mistakes| anyhow!(mistakes.join("\n")))?;
    let validated = validation::read(&pool).map_err(|mistakes| anyhow!(mistakes.join("\n")))?;

    let mut generator = tonic_prost_build::configure();
    for message in &redacted {
        generator = generator.skip_debug([format!(".{}", message.full_name())]);
    }
    let mut prost = prost_build::Config::new();
    prost.enable_type_names();
    generator.compile_fds_with_config(compiler.file_descriptor_set(), prost)?;

    fs::write(out_dir.join("events.rs"), events::to_rust(&events))?;
    fs::write(out_dir.join("packages.rs"), packages::generated(&pool))?;
    fs::write(out_dir.join("shown.rs"), packages::shown(&pool))?;
    fs::write(out_dir.join("redaction.rs"), redaction::to_rust(&redacted))?;
    fs::write(out_dir.join("servers.rs"), servers::to_rust(&pool))?;
    fs::write(
        out_dir.join("validation.rs"),
        validation::to_rust(&validated),
    )?;
    // The compiler's own encoding: prost-types would drop our options.
    fs::write(
        out_dir.join("descriptors.binpb"),
        compiler.encode_file_descriptor_set(),
    )?;
    Ok(())
}

fn compile(files: &[PathBuf]) -> Result<protox::Compiler, protox::Error> {
    let mut compiler = protox::Compiler::new([OURS, THIRD_PARTY])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files)?;
    Ok(compiler)
}

/// All files below `folder`, sorted, so that the same files give the same code.
fn proto_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(proto_files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
