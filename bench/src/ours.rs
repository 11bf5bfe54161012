//! The three services as separate programs with default settings, and users with tokens.
//!
//! Only addresses are set: databases, broker, mail server and listeners. Telemetry is off, because no collector is set;
//! the log goes to a file.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use scenarios::{Caller, Mailbox};
use sea_orm::sqlx::PgPool;
use sea_orm::sqlx::postgres::PgPoolOptions;
use testkit::{Database, VirtualHost};

use crate::effects::{Databases, Queries};
use crate::place_order::Target;
use crate::servers::Servers;
use crate::sink::{Manner, Sink};
use crate::system::{Places, System};
use scenarios::program::{self, Program};

/// The name and the value of an environment variable.
pub(crate) type Setting = (String, String);

pub(crate) const SERVICES: [&str; 3] = ["user-service", "order-service", "notification-service"];

const QUERIES: Queries = Queries {
    count: "SELECT count(*) FROM notification WHERE kind = 'order_placed' AND correlation_id LIKE $1",
    rows: "SELECT notification_id, order_id, (extract(epoch FROM bench_at) * 1000000)::bigint
           FROM notification WHERE kind = 'order_placed' AND correlation_id LIKE $1",
    unsent: Some(
        "SELECT (SELECT count(*) FROM notification
                 WHERE kind = 'order_placed' AND state <> 'sent' AND correlation_id LIKE $1)
              + (SELECT count(*) FROM angarium_outbox WHERE held_until IS NULL)",
    ),
    last_sent: Some("SELECT max(sent_at_ms) * 1000 FROM notification WHERE correlation_id LIKE $1"),
};

/// Starts the services, registers users, and waits until each of them can order.
pub(crate) async fn start(servers: &Servers, users: usize, set: &[Setting]) -> Result<System> {
    let sink = Sink::start(Manner::Takes).await?;
    let virtual_host =
        VirtualHost::create(servers.rabbitmq.operator(), servers.rabbitmq.url()).await;
    let addresses: [SocketAddr; 3] = program::free_addresses()?;
    let mut databases = Vec::new();
    let mut programs = Vec::new();
    for (name, address) in SERVICES.into_iter().zip(addresses) {
        let database = Database::create_on(servers.postgres.url()).await;
        let url = database.url().to_owned();
        databases.push(database);
        let amqp = virtual_host.url().to_string();
        let environment = environment(address, url, amqp, sink.url(), set);
        let program = Program::start(name, &program::beside(name)?, &[""; 0], &environment)?;
        programs.push(program);
    }
    for (program, address) in programs.iter_mut().zip(addresses) {
        program.serving(address).await?;
    }

    let stores = Databases {
        orders: pool(databases[1].url()).await?,
        mails: pool(databases[2].url()).await?,
        queries: QUERIES,
    };
    stores.add_clocks("orders", "notification").await?;
    let tokens = tokens(addresses, users).await?;
    Ok(System {
        target: Target::at(addresses[1], tokens)?,
        databases: stores,
        programs,
        sink: Some(sink),
        places: Places {
            databases,
            virtual_host,
        },
    })
}

/// The settings of one service.
pub(crate) fn environment(
    listen: SocketAddr,
    database_url: String,
    amqp_url: String,
    smtp_url: String,
    set: &[Setting],
) -> Vec<(&str, String)> {
    let addresses = [
        ("GRPC_LISTEN", listen.to_string()),
        ("DATABASE_URL", database_url),
        ("AMQP_URL", amqp_url),
        ("SMTP_URL", smtp_url),
    ];
    let set = set
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()));
    addresses.into_iter().chain(set).collect()
}

/// Registers users, logs them in, and places one order for each. After that, the order service knows them and the key
/// of their tokens.
pub(crate) async fn tokens(addresses: [SocketAddr; 3], users: usize) -> Result<Vec<String>> {
    let [user, order, notification] = addresses;
    // The bench reads no mails.
    let mailbox = Mailbox::Folder("unused".into());
    let caller = Caller::new(user, order, notification, mailbox)?;
    let mut tokens = Vec::new();
    for number in 0..users {
        let email = format!("bench-{number}@example.com");
        caller
            .register(&email, "Ada Lovelace")
            .await
            .context("registering a user")?;
        let session = caller.log_in(&email, scenarios::caller::PASSWORD).await;
        let token = session.context("logging in")?.access_token;
        caller.place(&token, "TEA-1").await.context("ordering")?;
        tokens.push(token);
    }
    Ok(tokens)
}

/// A few connections for the queries of the bench.
pub(crate) async fn pool(url: &str) -> Result<PgPool> {
    let options = PgPoolOptions::new().max_connections(2);
    Ok(options.connect(url).await?)
}
