//! One service with several replicas on one database, and a channel that distributes calls over the serving ones.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use scenarios::program::{self, Program};
use testkit::{Database, StoreKind};
use tokio::sync::mpsc::Sender;
use tonic::transport::channel::Change;
use tonic::transport::{Channel, Endpoint};

/// How many changes of replicas the channel may queue.
const CHANGES: usize = 16;

/// The programs of one commit.
pub(crate) struct Release {
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
}

pub(crate) struct Service {
    name: &'static str,
    environment: Vec<(&'static str, String)>,
    replicas: Vec<Replica>,
    channel: Channel,
    changes: Sender<Change<SocketAddr, Endpoint>>,
    // Dropped after the programs that use it.
    _database: Database,
}

struct Replica {
    program: Program,
    address: SocketAddr,
}

impl Service {
    /// Starts the replicas. They serve later, because each service waits for events of the others.
    pub(crate) async fn start(
        name: &'static str,
        release: &Release,
        replicas: usize,
        environment: &[(&'static str, String)],
    ) -> Result<Self> {
        let database = Database::create(StoreKind::Postgres).await;
        let mut environment = environment.to_vec();
        environment.push(("DATABASE_URL", database.url().to_owned()));
        let (channel, changes) = Channel::balance_channel(CHANGES);
        let mut service = Self {
            name,
            environment,
            replicas: Vec::new(),
            channel,
            changes,
            _database: database,
        };
        for _ in 0..replicas {
            let replica = service.start_replica(release)?;
            service.replicas.push(replica);
        }
        Ok(service)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Waits until all replicas serve, and sends them calls.
    pub(crate) async fn serving(&mut self) -> Result<()> {
        for replica in &mut self.replicas {
            replica.program.serving(replica.address).await?;
            let endpoint = Endpoint::from_shared(format!("http://{}", replica.address))?;
            self.changes
                .send(Change::Insert(replica.address, endpoint))
                .await?;
        }
        Ok(())
    }

    /// Starts a replica of `release`, and stops the old one in its place after the new one serves.
    pub(crate) async fn replace(&mut self, place: usize, release: &Release) -> Result<()> {
        let mut next = self.start_replica(release)?;
        next.program.serving(next.address).await?;
        let endpoint = Endpoint::from_shared(format!("http://{}", next.address))?;
        self.changes
            .send(Change::Insert(next.address, endpoint))
            .await?;
        let place = self.replicas.get_mut(place).context("no such replica")?;
        let last = std::mem::replace(place, next);
        self.changes.send(Change::Remove(last.address)).await?;
        last.program.stop().await
    }

    /// Shuts down all replicas.
    pub(crate) async fn stop(self) -> Result<()> {
        for replica in self.replicas {
            replica.program.stop().await?;
        }
        Ok(())
    }

    fn start_replica(&self, release: &Release) -> Result<Replica> {
        let [address] = program::free_addresses()?;
        let mut environment = self.environment.clone();
        environment.push(("GRPC_LISTEN", address.to_string()));
        let file = release.folder.join(self.name);
        let program = Program::start(self.name, &file, &[""; 0], &environment)?;
        Ok(Replica { program, address })
    }
}
