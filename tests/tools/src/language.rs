//! Checks Python, Node.js, Go and Java for version and completeness, and installs the first two if possible.

use std::process::Command;

use anyhow::{Result, bail};
use processes::{apt, output};

pub(crate) struct Language {
    name: &'static str,
    /// All of these succeed if the language is usable.
    checks: &'static [&'static [&'static str]],
    packages: &'static [&'static str],
    how_else: &'static str,
}

pub(crate) const PYTHON: Language = Language {
    name: "Python 3.11 or later, with venv,",
    checks: &[&[
        "python3",
        "-c",
        "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))",
    ]],
    packages: &["python3", "python3-venv"],
    how_else: "https://www.python.org/downloads/",
};

pub(crate) const NODE: Language = Language {
    name: "Node.js 20 or later, with npm,",
    checks: &[
        &[
            "node",
            "-e",
            "process.exit(process.versions.node.split('.')[0] < 20 ? 1 : 0)",
        ],
        &["npm", "--version"],
    ],
    packages: &["nodejs", "npm"],
    how_else: "https://nodejs.org/en/download",
};

/// Distributions have older versions, so it is not installed.
pub(crate) const GO: Language = Language {
    name: "Go 1.26 or later",
    checks: &[&[
        "sh",
        "-c",
        "go env GOVERSION | grep -Eq '^go1\\.(2[6-9]|[3-9][0-9])'",
    ]],
    packages: &[],
    how_else: "https://go.dev/dl/",
};

pub(crate) const JAVA: Language = Language {
    name: "Java 17 or later, with its compiler and Maven,",
    checks: &[
        &[
            "sh",
            "-c",
            "javac -version 2>&1 | grep -Eq '^javac (1[7-9]|[2-9][0-9])'",
        ],
        &["mvn", "--version"],
    ],
    packages: &[],
    how_else: "https://adoptium.net/ and https://maven.apache.org/download.cgi",
};

impl Language {
    /// One line about a missing language.
    pub(crate) fn missing(&self) -> String {
        format!("{} is not installed ({})", self.name, self.how_else)
    }

    pub(crate) fn find_or_install(&self) -> Result<()> {
        if self.is_here() {
            return Ok(());
        }
        let mut tried = String::new();
        if apt::is_possible() {
            match apt::install(self.packages) {
                Ok(()) if self.is_here() => return Ok(()),
                Ok(()) => tried = " (the distribution's version is too old)".to_owned(),
                Err(error) => tried = format!(" (it could not be installed: {error:#})"),
            }
        }
        bail!(
            "the example clients need {}, which is not installed{tried}. Install it, from the packages {} of \
             your distribution or from {}, so that `{}` succeeds",
            self.name,
            self.packages.join(" and "),
            self.how_else,
            self.checks[0].join(" "),
        );
    }

    pub(crate) fn is_here(&self) -> bool {
        self.checks.iter().all(|check| {
            let mut command = Command::new(check[0]);
            output(command.args(&check[1..])).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_here_where_all_its_checks_succeed() {
        let language = |checks| Language {
            name: "",
            checks,
            packages: &[],
            how_else: "",
        };
        assert!(language(&[&["true"], &["true"]]).is_here());
        assert!(!language(&[&["true"], &["false"]]).is_here());
        assert!(!language(&[&["no-such-program-of-any-name"]]).is_here());
    }
}
