//! Installs packages on Debian and Ubuntu, as root, without starting the services of the packages.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::output;

const APT_GET: &str = "/usr/bin/apt-get";

/// Debian's tools run this before they start a service; exit code 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_TEXT: &str = "\
#!/bin/sh
# Put down by cargo xtask while it installs packages; it removes this file afterwards.
exit 101
";

/// Whether this is root on a system with apt.
pub fn is_possible() -> bool {
    rustix::process::geteuid().is_root() && Path::new(APT_GET).is_file()
}

/// Announces the packages and installs them. Ctrl-C does not interrupt it: a half-installed package is worse than a wait.
///
/// # Errors
/// If a package cannot be installed, with what apt-get said.
pub fn install(packages: &[&str]) -> Result<()> {
    eprintln!(
        "installing {} with apt-get (their services are not started)",
        packages.join(" and ")
    );
    let _policy = Policy::forbid_starts(Path::new(POLICY))?;
    // A broken third-party source does not matter if the packages are found.
    let updated = apt_get(&["update"]);
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    match (apt_get(&arguments), updated) {
        (Ok(_), _) => Ok(()),
        (Err(error), Err(cause)) => bail!("{error:#}; before that, {cause:#}"),
        (Err(error), Ok(_)) => Err(error),
    }
}

fn apt_get(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(APT_GET);
    command
        .process_group(0)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
        .args(["-o", "Acquire::Retries=3"])
        .args(["-o", "Acquire::http::Timeout=30"])
        .args(["-o", "Acquire::https::Timeout=30"])
        .args(arguments);
    output(&mut command)
}

/// Our policy, removed on drop.
struct Policy<'a> {
    path: &'a Path,
}

impl<'a> Policy<'a> {
    /// A policy of others is an error, unless it forbids starts too. One of a killed run is taken over.
    fn forbid_starts(path: &'a Path) -> Result<Option<Self>> {
        let mut options = OpenOptions::new();
        match options.write(true).create_new(true).mode(0o755).open(path) {
            Ok(mut file) => {
                let policy = Self { path };
                file.write_all(POLICY_TEXT.as_bytes())?;
                Ok(Some(policy))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::read_to_string(path).is_ok_and(|text| text == POLICY_TEXT) {
                    return Ok(Some(Self { path }));
                }
                let asked = Command::new(path)
                    .args(["rabbitmq-server", "start"])
                    .status()?;
                if asked.code() != Some(101) {
                    let path = path.display();
                    bail!(
                        "{path} lets packages start their services; install the packages by hand"
                    );
                }
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(self.path) {
            eprintln!("warning: cannot remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_policy_of_ours_is_gone_afterwards() -> Result<()> {
        let home = tempfile::tempdir()?;
        let path = home.path().join("policy-rc.d");
        drop(Policy::forbid_starts(&path)?);
        assert!(!path.exists());

        fs::write(&path, POLICY_TEXT)?;
        drop(Policy::forbid_starts(&path)?);
        assert!(!path.exists(), "one of a killed run");
        Ok(())
    }

    #[test]
    fn a_policy_of_others_stays_and_is_asked() -> Result<()> {
        let home = tempfile::tempdir()?;
        for (code, allowed) in [(101, true), (0, false)] {
            let path = home.path().join(format!("policy-{code}"));
            fs::write(&path, format!("#!/bin/sh\nexit {code}\n"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            assert_eq!(Policy::forbid_starts(&path).is_ok(), allowed);
            assert!(path.exists());
        }
        Ok(())
    }
}
