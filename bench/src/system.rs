//! A measured system: its address, its effects, and its processes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use testkit::{Database, VirtualHost};

use crate::effects::Databases;
use crate::place_order::Target;
use crate::proc::{Memory, Processes};
use crate::servers::Servers;
use crate::sink::Sink;
use scenarios::program::Program;

/// Time limit for the remaining work after a load.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(300);

/// The names of the parts that are not programs of the system.
pub(crate) const POSTGRES: &str = "PostgreSQL";
pub(crate) const BROKER: &str = "broker";
pub(crate) const GENERATOR: &str = "load generator";

/// A running system with its own databases and virtual host.
pub(crate) struct System {
    pub(crate) target: Target,
    pub(crate) databases: Databases,
    pub(crate) programs: Vec<Program>,
    /// Accepts the mails of a system that sends them.
    pub(crate) sink: Option<Sink>,
    /// Dropped after the programs that use them.
    pub(crate) places: Places,
}

/// Databases and a virtual host, removed after the system has ended.
pub(crate) struct Places {
    pub(crate) databases: Vec<Database>,
    pub(crate) virtual_host: VirtualHost,
}

/// The CPU time of every part, in milliseconds.
pub(crate) type Cpu = BTreeMap<String, f64>;

impl System {
    pub(crate) fn cpu(&self, servers: &Servers) -> Result<Cpu> {
        let processes = Processes::look()?;
        let own = i32::try_from(std::process::id())?;
        let mut cpu: Cpu = self
            .parts(servers)
            .map(|(name, pid)| (name.to_owned(), processes.cpu_ms(pid)))
            .collect();
        cpu.insert(GENERATOR.to_owned(), processes.own_cpu_ms(own));
        Ok(cpu)
    }

    pub(crate) fn memory(&self, servers: &Servers) -> Result<BTreeMap<String, Memory>> {
        let processes = Processes::look()?;
        let parts = self.parts(servers);
        Ok(parts
            .map(|(name, pid)| (name.to_owned(), processes.memory(pid)))
            .collect())
    }

    fn parts(&self, servers: &Servers) -> impl Iterator<Item = (&'static str, i32)> {
        let servers = [(POSTGRES, servers.postmaster), (BROKER, servers.beam)];
        let programs = self
            .programs
            .iter()
            .map(|program| (program.name, program.pid()));
        programs.chain(servers)
    }

    pub(crate) fn check(&mut self) -> Result<()> {
        self.programs.iter_mut().try_for_each(Program::check)
    }

    /// Stops its programs in order, and removes its data.
    pub(crate) async fn stop(self) -> Result<()> {
        self.databases.orders.close().await;
        self.databases.mails.close().await;
        for program in self.programs {
            program.stop().await?;
        }
        drop(self.places);
        Ok(())
    }
}

/// The CPU time of each part between two readings.
pub(crate) fn used(before: &Cpu, after: &Cpu) -> Cpu {
    after
        .iter()
        .map(|(name, ms)| {
            let earlier = before.get(name).copied().unwrap_or_default();
            (name.clone(), (ms - earlier).max(0.0))
        })
        .collect()
}
