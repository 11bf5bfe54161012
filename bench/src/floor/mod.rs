//! The bare floor: the same work without everything around it, for comparison.
//!
//! gRPC; one statement per command (order, lines, outbox); a relay that publishes up to 500 events at a time with
//! confirms; a consumer that handles up to 100 at a time (inbox and mail row in one statement, one multiple ack). No
//! tokens, validation, retries, reconnects, telemetry or mails: the difference to the floor is their price.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use sea_orm::sqlx::postgres::PgPoolOptions;
use testkit::{Database, VirtualHost};
use tokio::sync::Notify;
use url::Url;

use crate::effects::{Databases, Queries};
use crate::ours;
use crate::place_order::Target;
use crate::servers::Servers;
use crate::system::{Places, System};
use scenarios::program::{self, Program};

pub(crate) mod broker;
mod commands;
pub(crate) mod consumer;
pub(crate) mod relay;
pub(crate) mod schema;

/// For commands, relay and consumer together.
const CONNECTIONS: u32 = 20;

const QUERIES: Queries = Queries {
    count: "SELECT count(*) FROM mail WHERE correlation_id LIKE $1",
    rows: "SELECT event_id::text, substring(body FROM 7 FOR 36), (extract(epoch FROM bench_at) * 1000000)::bigint
           FROM mail WHERE correlation_id LIKE $1",
    unsent: None,
    last_sent: None,
};

#[derive(clap::Args)]
pub(crate) struct Settings {
    #[arg(long, env = "GRPC_LISTEN")]
    listen: SocketAddr,
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Url,
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    amqp_url: Url,
}

/// Starts the floor as a separate program.
pub(crate) async fn start(servers: &Servers) -> Result<System> {
    let virtual_host =
        VirtualHost::create(servers.rabbitmq.operator(), servers.rabbitmq.url()).await;
    let database = Database::create_on(servers.postgres.url()).await;
    let pool = ours::pool(database.url()).await?;
    schema::create(&pool).await?;
    let [address] = program::free_addresses()?;
    let environment = [
        ("GRPC_LISTEN", address.to_string()),
        ("DATABASE_URL", database.url().to_owned()),
        ("AMQP_URL", virtual_host.url().to_string()),
    ];
    let program = program::this_program()?;
    let mut program = Program::start("floor", &program, &["floor"], &environment)?;
    program.serving(address).await?;
    let databases = Databases {
        orders: pool.clone(),
        mails: pool,
        queries: QUERIES,
    };
    databases.add_clocks("orders", "mail").await?;
    Ok(System {
        target: Target::at(address, Vec::new())?,
        databases,
        programs: vec![program],
        sink: None,
        places: Places {
            databases: vec![database],
            virtual_host,
        },
    })
}

/// Serves as the floor, until a signal.
pub(crate) async fn serve(settings: &Settings) -> Result<ExitCode> {
    let options = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(false);
    let pool = options.connect(settings.database_url.as_str()).await?;
    let woken = Arc::new(Notify::new());
    let relay = broker::connect(&settings.amqp_url).await?;
    let consumer = broker::connect(&settings.amqp_url).await?;
    broker::declare(&relay.channel, broker::QUEUE).await?;
    tokio::select! {
        ended = commands::serve(settings.listen, pool.clone(), Arc::clone(&woken)) => ended.context("gRPC")?,
        ended = relay::run(&pool, &relay.channel, &woken) => ended.context("the relay")?,
        ended = consumer::run(&pool, &consumer.channel) => ended.context("the consumer")?,
    }
    Ok(ExitCode::SUCCESS)
}
