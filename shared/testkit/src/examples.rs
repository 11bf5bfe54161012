//! The example clients and buf. `ANGARIUM_TEST_CLIENTS` prepares each when a test of the program first asks for it; the
//! first time this may download packages.
//!
//! Every function panics if the preparation fails. The command has printed the reason.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::environment;

/// The program `buf` with what it needs.
#[derive(Debug)]
pub struct Buf {
    /// The program.
    pub program: PathBuf,
    /// The published descriptor set.
    pub descriptors: PathBuf,
}

/// The program `buf`, and the descriptor set.
pub fn buf() -> &'static Buf {
    static READY: OnceLock<Buf> = OnceLock::new();
    READY.get_or_init(|| {
        let said = prepare("buf");
        Buf {
            program: place(&said, "buf").expect("a line with buf"),
            descriptors: place(&said, "descriptors").expect("a line with the descriptors"),
        }
    })
}

/// The Python client's interpreter, in its folder.
pub fn python() -> Command {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    let folder = READY.get_or_init(|| one("python").expect("a line with python"));
    let mut command = Command::new(folder.join(".venv/bin/python"));
    command
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The folder of the TypeScript client, compiled to `dist`.
pub fn typescript() -> &'static Path {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    READY.get_or_init(|| one("typescript").expect("a line with typescript"))
}

/// The folder of the Go client, generated; `None` without Go.
pub fn go() -> Option<&'static Path> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    READY.get_or_init(|| one("go")).as_deref()
}

/// The folder of the Java client, with classes and libraries in `target`; `None` without Java.
pub fn java() -> Option<&'static Path> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    READY.get_or_init(|| one("java")).as_deref()
}

fn one(name: &str) -> Option<PathBuf> {
    place(&prepare(name), name)
}

fn prepare(name: &str) -> String {
    let line = environment::clients()
        .expect("set ANGARIUM_TEST_CLIENTS to `cargo xtask clients`, or run `cargo xtask test`");
    let (program, arguments) = line.split_first().expect("a command line is not empty");
    let output = Command::new(program)
        .args(arguments)
        .arg(name)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("ANGARIUM_TEST_CLIENTS cannot be run: {error}"));
    assert!(
        output.status.success(),
        "{name} could not be prepared; see the output above"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn place(said: &str, name: &str) -> Option<PathBuf> {
    let mut places = said.lines().filter_map(|line| line.split_once(' '));
    let (_, place) = places.find(|(named, _)| *named == name)?;
    Some(Path::new(place).to_owned())
}
