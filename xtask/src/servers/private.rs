//! A private server: its folder and its process groups, ended in order when dropped.

use std::process::Command;

use anyhow::{Result, bail};

use super::folder::Folder;
use super::ledger::Ledger;
use crate::process::Group;

pub(crate) struct Private {
    groups: Vec<Group>,
    // Dropped, and with it removed, after the processes that write into it.
    folder: Folder,
}

impl Private {
    pub(crate) fn new(folder: Folder) -> Self {
        let groups = Vec::new();
        Self { groups, folder }
    }

    pub(crate) fn spawn(&mut self, command: &mut Command, ledger: &Ledger) -> Result<()> {
        let group = Group::spawn(command)?;
        ledger.process(&group)?;
        self.groups.push(group);
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<()> {
        for group in &self.groups {
            if group.has_ended()? {
                bail!("{} has ended by itself", group.name());
            }
        }
        Ok(())
    }

    pub(crate) fn log_tail(&self) -> String {
        self.folder.log_tail()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.groups.iter_mut().rev().for_each(Group::quit);
    }
}
