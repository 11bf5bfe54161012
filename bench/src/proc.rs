//! CPU time and memory of processes and of the machine, from `/proc`.
//!
//! A process counts with all its descendants, also those that have ended and were waited for, because PostgreSQL has
//! one process per connection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use procfs_core::process::{SmapsRollup, Stat};
use procfs_core::{ExplicitSystemInfo, FromRead as _, FromReadSI as _, KernelStats};
use serde::Serialize;

/// The memory of a group of processes, in megabytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Memory {
    pub(crate) rss_mb: f64,
    /// Shared pages count once.
    pub(crate) pss_mb: f64,
}

/// How long the machine's cores have worked since its start, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cores {
    pub(crate) busy_ms: f64,
    pub(crate) steal_ms: f64,
}

/// A snapshot of all processes of the machine.
pub(crate) struct Processes {
    all: BTreeMap<i32, Stat>,
}

impl Processes {
    pub(crate) fn look() -> Result<Self> {
        let entries = std::fs::read_dir("/proc").context("the bench needs Linux and its /proc")?;
        let mut all = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // A process may end between the two reads.
            if let Ok(stat) = Stat::from_file(entry.path().join("stat")) {
                all.insert(pid, stat);
            }
        }
        Ok(Self { all })
    }

    /// The CPU time of `root` and its descendants, in milliseconds.
    pub(crate) fn cpu_ms(&self, root: i32) -> f64 {
        let ticks: u64 = self.tree(root).into_iter().map(|pid| self.ticks(pid)).sum();
        ms(ticks)
    }

    /// The CPU time of `pid` alone.
    pub(crate) fn own_cpu_ms(&self, pid: i32) -> f64 {
        let own = self.all.get(&pid).map(|stat| stat.utime + stat.stime);
        ms(own.unwrap_or_default())
    }

    /// The memory of `root` and its descendants.
    pub(crate) fn memory(&self, root: i32) -> Memory {
        let mut memory = Memory::default();
        for pid in self.tree(root) {
            let folder = format!("/proc/{pid}");
            let Ok(rollup) = SmapsRollup::from_file(Path::new(&folder).join("smaps_rollup")) else {
                continue;
            };
            for map in &rollup.memory_map_rollup.0 {
                memory.rss_mb += megabytes(map.extension.map.get("Rss"));
                memory.pss_mb += megabytes(map.extension.map.get("Pss"));
            }
        }
        memory
    }

    /// The process that started `pid`.
    pub(crate) fn parent(&self, pid: i32) -> Option<i32> {
        self.all.get(&pid).map(|stat| stat.ppid)
    }

    fn tree(&self, root: i32) -> BTreeSet<i32> {
        let mut tree = BTreeSet::from([root]);
        loop {
            let children = self
                .all
                .iter()
                .filter(|(_, stat)| tree.contains(&stat.ppid));
            let children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
            let before = tree.len();
            tree.extend(children);
            if tree.len() == before {
                return tree;
            }
        }
    }

    fn ticks(&self, pid: i32) -> u64 {
        let Some(stat) = self.all.get(&pid) else {
            return 0;
        };
        let ended = stat.cutime.saturating_add(stat.cstime);
        stat.utime + stat.stime + u64::try_from(ended).unwrap_or_default()
    }
}

impl Cores {
    pub(crate) fn look() -> Result<Self> {
        let info = ExplicitSystemInfo {
            boot_time_secs: 0,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            page_size: 4096,
            is_little_endian: cfg!(target_endian = "little"),
        };
        let total = KernelStats::from_file("/proc/stat", &info)
            .context("/proc/stat cannot be read")?
            .total;
        let interrupts = total.irq.unwrap_or_default() + total.softirq.unwrap_or_default();
        Ok(Self {
            busy_ms: ms(total.user + total.nice + total.system + interrupts),
            steal_ms: ms(total.steal.unwrap_or_default()),
        })
    }
}

fn ms(ticks: u64) -> f64 {
    ticks as f64 * 1000.0 / rustix::param::clock_ticks_per_second() as f64
}

fn megabytes(bytes: Option<&u64>) -> f64 {
    bytes.copied().unwrap_or_default() as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_parent() {
        let own = i32::try_from(std::process::id()).unwrap();
        let processes = Processes::look().unwrap();
        assert!(processes.memory(own).rss_mb > 0.0);
        assert!(processes.parent(own).is_some());
    }

    #[test]
    fn an_ended_child_still_counts() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = Processes::look().unwrap();
        let busy = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
        let status = std::process::Command::new("sh").args(["-c", busy]).status();
        assert!(status.unwrap().success());
        let after = Processes::look().unwrap();
        let tree = after.cpu_ms(own) - before.cpu_ms(own);
        let alone = after.own_cpu_ms(own) - before.own_cpu_ms(own);
        assert!(tree > alone, "{tree} ms with the child, {alone} ms without");
    }
}
