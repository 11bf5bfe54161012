//! Installs servers on Debian and Ubuntu, as root, without starting the services of the packages.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::folder;
use crate::process;

const APT_GET: &str = "/usr/bin/apt-get";

/// Debian's tools run this before they start a service; exit code 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_TEXT: &str = "\
#!/bin/sh
# Put down by cargo xtask while it installs packages; it removes this file afterwards.
exit 101
";
const FORBIDDEN: i32 = 101;

/// A mirror may be slow. apt's own time-outs end a hanging one long before.
const LIMIT: Duration = Duration::from_secs(15 * 60);

pub(crate) fn is_possible() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    rustix::process::geteuid().is_root() && Path::new(APT_GET).is_file() && is_debian(&release)
}

/// Ctrl-C does not interrupt it: a half-installed package is worse than a wait.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    eprintln!(
        "xtask: installing {} with apt-get (their services are not started)",
        packages.join(" and ")
    );
    let _policy = Policy::forbid_starts(Path::new(POLICY))?;
    // A broken third-party source does not matter if the packages are found.
    let updated = apt_get(&["update"]);
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    match (apt_get(&arguments), updated) {
        (Ok(()), _) => Ok(()),
        (Err(error), Err(cause)) => bail!("{error:#}; before that, {cause:#}"),
        (Err(error), Ok(())) => Err(error),
    }
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(APT_GET);
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
        .args(["-o", "Acquire::Retries=3"])
        .args(["-o", "Acquire::http::Timeout=30"])
        .args(["-o", "Acquire::https::Timeout=30"])
        .args(arguments);
    let output = process::output(&mut command, LIMIT)?;
    if output.status.success() {
        return Ok(());
    }
    let said = format!("{}\n{}", output.stdout, output.stderr);
    let what = arguments.first().copied().unwrap_or_default();
    bail!("apt-get {what} failed:\n{}", folder::tail(&said, 12))
}

fn is_debian(os_release: &str) -> bool {
    let ids = os_release.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        matches!(key, "ID" | "ID_LIKE").then_some(value.trim_matches('"'))
    });
    ids.flat_map(str::split_whitespace)
        .any(|id| id == "debian" || id == "ubuntu")
}

/// A policy that forbids starts, removed on drop. An existing policy stays.
struct Policy {
    ours: Option<PathBuf>,
}

impl Policy {
    fn forbid_starts(path: &Path) -> Result<Self> {
        let ours = Some(path.to_owned());
        let mut options = OpenOptions::new();
        match options.write(true).create_new(true).mode(0o755).open(path) {
            Ok(mut file) => {
                let policy = Self { ours };
                file.write_all(POLICY_TEXT.as_bytes())?;
                Ok(policy)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                // Takes over the policy of a killed run, and removes it on drop.
                if fs::read_to_string(path).is_ok_and(|text| text == POLICY_TEXT) {
                    return Ok(Self { ours });
                }
                let mut ask = Command::new(path);
                ask.args(["rabbitmq-server", "start"]);
                let answer = process::output(&mut ask, Duration::from_secs(20))?;
                if answer.status.code() != Some(FORBIDDEN) {
                    bail!(
                        "{} allows packages to start their services; install the servers manually",
                        path.display()
                    );
                }
                Ok(Self { ours: None })
            }
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let Some(path) = &self.ours else { return };
        if let Err(error) = fs::remove_file(path) {
            eprintln!("xtask: warning: cannot remove {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn debian_and_what_is_like_it_are_known() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nVARIANT_ID=debian\n"));
    }

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
