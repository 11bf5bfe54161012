//! The static description of a service, for deployments, operators' commands and tests: readable without a database or
//! broker.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use messaging::{Participant, Subscriptions};
use runtime::auth::Rules;
use sea_orm_migration::MigratorTrait;
use store::{Database, DatabaseConfig, DatabaseError};

/// The static description of a service.
#[derive(Clone, Copy)]
pub struct Definition {
    /// The name in logs, events, connections and schemas: `order-service`.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// The full name of its gRPC service, for health and reflection.
    pub grpc_service: &'static str,
    /// The default port.
    pub default_port: u16,
    /// The exchanges that it publishes to. With [`Keys::Announced`], `key_events` is one of them.
    pub exchanges: &'static [&'static str],
    /// The events that it handles. With [`Keys::Announced`], [`published`](crate::keys::published) handles one of them.
    pub subscriptions: fn() -> Subscriptions,
    /// Who may call which method.
    pub rules: Rules,
    /// The source of the keys that verify tokens.
    pub keys: Keys,
    /// The descriptor set, for reflection.
    pub descriptor_set: &'static [u8],
    /// Its migrations.
    pub schema: Schema,
}

/// The source of the keys that verify tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The service issues the tokens: each key is in its own table before it signs.
    Issued,
    /// An event announces them. The service requests it while it has no key.
    Announced,
}

impl Definition {
    /// Its exchanges, queue and bindings.
    pub fn participant(&self) -> Participant {
        Participant {
            service: self.name,
            exchanges: self.exchanges,
            subscriptions: Some((self.subscriptions)()),
        }
    }

    /// The name of its queue, and of its consumer.
    pub fn queue(&self) -> String {
        (self.subscriptions)().queue().name
    }

    /// Applies the missing migrations, and prints them on stdout.
    ///
    /// # Errors
    /// If the database cannot be reached or migrated.
    pub async fn migrate(&self, database: &DatabaseConfig) -> anyhow::Result<()> {
        let applied = (self.schema.migrate)(database, self.name).await?;
        runtime::run::report_migrations(self.name, &applied)
    }
}

/// The migrations of a service.
#[derive(Clone, Copy)]
pub struct Schema {
    pub(crate) ready: Ready,
    migrate: Migrate,
}

type Ready =
    for<'a> fn(&'a Database, &'a DatabaseConfig) -> BoxFuture<'a, Result<(), DatabaseError>>;
type Migrate =
    for<'a> fn(&'a DatabaseConfig, &'a str) -> BoxFuture<'a, Result<Vec<String>, DatabaseError>>;

impl Schema {
    /// The schema that these migrations build.
    pub const fn of<M: MigratorTrait + 'static>() -> Self {
        Self {
            ready: |db, config| store::ready_schema::<M>(db, config).boxed(),
            migrate: |config, name| store::migrate_at::<M>(config, name).boxed(),
        }
    }
}
