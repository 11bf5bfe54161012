//! The example clients, which `ANGARIUM_TEST_CLIENTS` prepares once per test program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::environment;

/// The prepared example clients.
#[derive(Debug)]
pub struct Examples {
    /// The folder of the Python client, with its packages in `.venv`.
    pub python: PathBuf,
    /// The folder of the TypeScript client, compiled to `dist`.
    pub typescript: PathBuf,
    /// The folder of the Go client, generated; `None` without Go.
    pub go: Option<PathBuf>,
    /// The folder of the Java client, with classes and libraries in `target`; `None` without Java.
    pub java: Option<PathBuf>,
    /// The program `buf`.
    pub buf: PathBuf,
    /// The published descriptor set.
    pub descriptors: PathBuf,
}

impl Examples {
    /// Waits until they are ready; the first time this may download packages.
    ///
    /// # Panics
    /// If they cannot be prepared. The command has printed the reason.
    pub fn ready() -> &'static Self {
        static READY: OnceLock<Examples> = OnceLock::new();
        READY.get_or_init(make_ready)
    }

    /// The example's Python interpreter, in its folder.
    pub fn python(&self) -> Command {
        let mut command = Command::new(self.python.join(".venv/bin/python"));
        command
            .current_dir(&self.python)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn make_ready() -> Examples {
    let line = environment::clients()
        .expect("set ANGARIUM_TEST_CLIENTS to `cargo xtask clients`, or run `cargo xtask test`");
    let (program, arguments) = line.split_first().expect("a command line is not empty");
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("ANGARIUM_TEST_CLIENTS cannot be run: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the example clients could not be prepared; see the output above"
    );
    let optional = |name: &str| {
        let mut places = said.lines().filter_map(|line| line.split_once(' '));
        let (_, place) = places.find(|(named, _)| *named == name)?;
        Some(Path::new(place).to_owned())
    };
    let place = |name: &str| {
        optional(name).unwrap_or_else(|| panic!("ANGARIUM_TEST_CLIENTS names no {name}"))
    };
    Examples {
        python: place("python"),
        typescript: place("typescript"),
        go: optional("go"),
        java: optional("java"),
        buf: place("buf"),
        descriptors: place("descriptors"),
    }
}
