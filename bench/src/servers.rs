//! The PostgreSQL and the RabbitMQ of a run, with durable settings.
//!
//! They end with this process, also if it is killed.

use anyhow::{Context as _, Result, anyhow};
use sea_orm::sqlx::{self, PgPool};
use testkit::{OwnServer, ServerKind};

use crate::proc::Processes;

pub(crate) struct Servers {
    pub(crate) postgres: OwnServer,
    pub(crate) rabbitmq: OwnServer,
    /// The parent of the processes that serve connections.
    pub(crate) postmaster: i32,
    /// The Erlang VM.
    pub(crate) beam: i32,
    /// Both products with their versions.
    pub(crate) versions: String,
}

impl Servers {
    /// Starts both at the same time.
    pub(crate) async fn start() -> Result<Self> {
        let (postgres, rabbitmq) = tokio::join!(
            OwnServer::start(ServerKind::Postgres),
            OwnServer::start(ServerKind::RabbitMq)
        );
        let hint = "the bench needs installed PostgreSQL and RabbitMQ";
        let postgres = postgres.map_err(|reason| anyhow!("{hint}: {reason}"))?;
        let rabbitmq = rabbitmq.map_err(|reason| anyhow!("{hint}: {reason}"))?;

        let pool = PgPool::connect(postgres.url().as_str()).await?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&pool)
            .await?;
        let version: String = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&pool)
            .await?;
        let postmaster = Processes::look()?.parent(backend);
        let postmaster = postmaster.context("PostgreSQL does not run on this machine")?;
        pool.close().await;

        let ctl = rabbitmq.operator();
        let said = ctl.run(&["eval", "os:getpid()."]).await;
        let beam = said.trim().trim_matches('"').parse();
        let beam = beam.with_context(|| format!("rabbitmqctl printed no process id: {said}"))?;
        let broker = ctl.run(&["eval", "rabbit_misc:version()."]).await;
        let broker = broker.trim().trim_matches('"');
        Ok(Self {
            postmaster,
            beam,
            versions: format!("PostgreSQL {version}, RabbitMQ {broker}"),
            postgres,
            rabbitmq,
        })
    }
}
