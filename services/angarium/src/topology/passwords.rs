//! The passwords of the broker's users: one file each, created if missing.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{self, SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};

/// # Errors
/// If the file cannot be read or created, or is empty.
pub(super) fn hash_of(folder: &Path, name: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    let password = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(folder, &path)?,
        read => read.with_context(|| format!("cannot read the password in {}", path.display()))?,
    };
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!(
            "{} is empty: write a password into it, or delete it to generate one",
            path.display()
        );
    }
    Ok(hash(random()?, password))
}

/// 192 random bits that need no escape in a URL.
fn make(folder: &Path, path: &Path) -> anyhow::Result<String> {
    let password = URL_SAFE_NO_PAD.encode(random::<24>()?);
    let keep = || {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{password}")?;
        file.sync_all()
    };
    keep().with_context(|| format!("cannot write the password to {}", path.display()))?;
    let _ = writeln!(
        std::io::stderr(),
        "{} was missing: generated a random password",
        path.display()
    );
    Ok(password)
}

/// RabbitMQ's `rabbit_password_hashing_sha256`: salt, and SHA-256 of salt and password, in base64.
fn hash(salt: [u8; 4], password: &str) -> String {
    let digest = digest::digest(&SHA256, &[&salt, password.as_bytes()].concat());
    STANDARD.encode([&salt, digest.as_ref()].concat())
}

fn random<const BYTES: usize>() -> anyhow::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .ok()
        .context("the system provides no random numbers")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_rabbitmqs_manual() {
        let salt = [0x90, 0x8D, 0xC6, 0x0A];
        assert_eq!(
            hash(salt, "test12"),
            "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
        );
    }
}
