//! `cargo xtask clients`: prepares the example clients as their READMEs describe, for the tests that run them.
//!
//! They are copied below the target folder, and generated from the published descriptor set or from the proto
//! files. Packages from PyPI and npm are downloaded once, and again after their lock files change; Go and Maven have
//! their own caches. A missing Python or Node.js is installed if possible, otherwise it is an error. Without Go or
//! Java, that example is skipped with a message.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use processes::workspace;

use crate::{buf, language, layout, must, take_turns};

/// Downloaded or built, so not replaced by a copy.
const BUILT: &[&str] = &[".venv", "gen", "node_modules", "dist", "target"];

#[derive(clap::Args)]
pub(crate) struct Clients {
    /// What to prepare; by default everything
    #[arg(value_enum)]
    names: Vec<Name>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Name {
    Python,
    Typescript,
    Go,
    Java,
    /// The program, and the descriptor set that it needs
    Buf,
}

/// Prints one line each: `python FOLDER`, `typescript FOLDER`, `buf PROGRAM`, `descriptors FILE`, and if they are
/// installed `go FOLDER`, `java FOLDER`.
pub(crate) fn run(clients: &Clients) -> Result<()> {
    // The same layout as in the repository, so that the commands of the READMEs work here.
    let home = workspace::state().join("clients");
    let descriptors = home.join("target/angarium.binpb");
    share(&home, &descriptors)?;
    let names = match clients.names.as_slice() {
        [] => Name::value_variants(),
        names => names,
    };
    let mut stdout = std::io::stdout().lock();
    for name in names {
        if let Some(place) = name.prepare(&home)? {
            writeln!(stdout, "{} {}", name.word(), place.display())?;
        }
    }
    writeln!(stdout, "descriptors {}", descriptors.display())?;
    Ok(())
}

/// What several clients need. A file that has not changed is left alone: another run may be reading it.
fn share(home: &Path, descriptors: &Path) -> Result<()> {
    fs::create_dir_all(home.join("examples"))?;
    let _turn = take_turns(home)?;
    write_descriptors(descriptors).context("the descriptor set cannot be written")?;
    let root = workspace::root();
    for folder in ["proto", "third_party/proto"] {
        layout::copy(&root.join(folder), &home.join(folder), &[])?;
    }
    let cases = "examples/cases.json";
    layout::copy_file(&root.join(cases), &home.join(cases))
}

impl Name {
    /// `None` if a language is missing without which the tests go on.
    fn prepare(self, home: &Path) -> Result<Option<PathBuf>> {
        match self {
            Self::Python => language::PYTHON.find_or_install()?,
            Self::Typescript => language::NODE.find_or_install()?,
            Self::Go if !language::GO.is_here() => return Ok(self.skipped(&language::GO)),
            Self::Java if !language::JAVA.is_here() => return Ok(self.skipped(&language::JAVA)),
            Self::Go | Self::Java => (),
            Self::Buf => return buf::find().map(Some),
        }
        let folder = home.join("examples").join(self.word());
        fs::create_dir_all(&folder)?;
        let _turn = take_turns(&folder)?;
        let source = workspace::root().join("examples").join(self.word());
        layout::copy(&source, &folder, BUILT)?;
        let built = match self {
            Self::Python => build_python(&folder),
            Self::Typescript => build_typescript(&folder),
            Self::Go => build_go(&folder),
            Self::Java => build_java(&folder),
            Self::Buf => Ok(()),
        };
        built.with_context(|| format!("examples/{} cannot be prepared", self.word()))?;
        Ok(Some(folder))
    }

    fn skipped(self, language: &language::Language) -> Option<PathBuf> {
        eprintln!(
            "examples/{} is skipped: {}",
            self.word(),
            language.missing()
        );
        None
    }

    fn word(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Typescript => "typescript",
            Self::Go => "go",
            Self::Java => "java",
            Self::Buf => "buf",
        }
    }
}

fn write_descriptors(file: &Path) -> Result<()> {
    let mut published = workspace::cargo();
    published.args(["run", "--quiet", "--package", "contracts"]);
    published.args(["--example", "published", "--", "descriptors"]);
    let published = published.stderr(Stdio::inherit()).output()?;
    ensure!(
        published.status.success(),
        "the example `published` of contracts ended with {}",
        published.status
    );
    layout::write(file, &published.stdout)
}

fn build_python(folder: &Path) -> Result<()> {
    let python = folder.join(".venv/bin/python");
    layout::once(
        &folder.join(".venv"),
        &[
            folder.join("requirements.txt"),
            folder.join("requirements-dev.txt"),
        ],
        || {
            eprintln!("downloading the packages of examples/python into the target folder");
            let mut create = Command::new("python3");
            must(create.args(["-m", "venv", ".venv"]).current_dir(folder))?;
            let mut install = Command::new(&python);
            install.args(["-m", "pip", "install", "--quiet", "--no-input"]);
            install.args(["--disable-pip-version-check", "-r", "requirements-dev.txt"]);
            must(install.current_dir(folder))
        },
    )?;
    let mut generate = Command::new(&python);
    must(generate.arg("generate.py").current_dir(folder))
}

fn build_typescript(folder: &Path) -> Result<()> {
    layout::once(
        &folder.join("node_modules"),
        &[folder.join("package-lock.json")],
        || {
            eprintln!("downloading the packages of examples/typescript into the target folder");
            let mut install = Command::new("npm");
            install.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
            must(install.current_dir(folder))
        },
    )?;
    for script in ["generate", "build"] {
        let mut run = Command::new("npm");
        run.args(["run", "--silent", script]);
        must(run.current_dir(folder))?;
    }
    Ok(())
}

fn build_go(folder: &Path) -> Result<()> {
    let steps: [&[&str]; 2] = [&["run", "./generate"], &["vet", "./..."]];
    for arguments in steps {
        must(Command::new("go").args(arguments).current_dir(folder))?;
    }
    Ok(())
}

/// Maven's build also generates the code.
fn build_java(folder: &Path) -> Result<()> {
    let arguments = ["--quiet", "--batch-mode", "-DskipTests", "package"];
    must(Command::new("mvn").args(arguments).current_dir(folder))
}
