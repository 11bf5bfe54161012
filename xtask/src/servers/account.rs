//! The account of a server process. PostgreSQL refuses root, so root starts servers as an unprivileged account; other
//! users start them as themselves.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The first existing account of `names` if we are root. Otherwise none, because no switch is needed.
    pub(crate) fn for_servers(names: &[&str]) -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let account = names.iter().find_map(|name| parse(&passwd, name));
        let account = account.with_context(|| {
            let names = names.join(", ");
            format!("a server must not run as root; create one of these accounts: {names}")
        })?;
        Ok(Some(account))
    }

    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot change the owner of {}", path.display()))
    }

    pub(crate) fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

fn parse(passwd: &str, name: &str) -> Option<Account> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let mut fields =
        lines.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    Some(Account {
        uid: fields.nth(1)?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nnobody2:x:1:1::/:/bin/sh\n\
                      nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
        let expected = Account {
            uid: 65534,
            gid: 65533,
        };
        assert_eq!(parse(passwd, "nobody"), Some(expected));
        assert_eq!(parse(passwd, "postgres"), None);
    }
}
