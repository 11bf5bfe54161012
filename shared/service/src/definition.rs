//! What a service is, apart from what it does: all that a deployment, an operator's command or a test has to know of it.
//!
//! It needs no database and no broker, so that the topology, the rules of access and the settings can be read from it.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use messaging::{Participant, Subscriptions};
use runtime::auth::Rules;
use sea_orm_migration::MigratorTrait;
use store::{Database, DatabaseConfig, DatabaseError};

/// What a service is.
#[derive(Clone, Copy)]
pub struct Definition {
    /// What it is called in logs, events, connections and schemas: `order-service`.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// The full name of its gRPC service, as health and reflection have it.
    pub grpc_service: &'static str,
    /// The port unless another one is given.
    pub default_port: u16,
    /// The exchanges that its events go to. With [`Keys::Announced`], `key_events` is one of them.
    pub exchanges: &'static [&'static str],
    /// What it reacts to. With [`Keys::Announced`], [`published`](crate::keys::published) is one of its handlers.
    pub subscriptions: fn() -> Subscriptions,
    /// Who may call what.
    pub rules: Rules,
    /// Where the keys come from by which it verifies tokens.
    pub keys: Keys,
    /// The contracts, for reflection.
    pub descriptor_set: &'static [u8],
    /// Its tables.
    pub schema: Schema,
}

/// Where the keys come from by which a service verifies tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The service issues the tokens: each key is in its table before it signs.
    Issued,
    /// They are announced by an event, which the service requests while it has none.
    Announced,
}

impl Definition {
    /// Its part in the system's events.
    pub fn participant(&self) -> Participant {
        Participant {
            service: self.name,
            exchanges: self.exchanges,
            subscriptions: Some((self.subscriptions)()),
        }
    }

    /// The name of its queue, which is its name as a consumer as well.
    pub fn queue(&self) -> String {
        (self.subscriptions)().queue().name
    }

    /// Applies the migrations that are missing, and reports them on stdout.
    ///
    /// # Errors
    /// Where the database cannot be reached or migrated.
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
    /// The migrations of `M`.
    pub const fn of<M: MigratorTrait + 'static>() -> Self {
        Self {
            ready: |db, config| store::ready_schema::<M>(db, config).boxed(),
            migrate: |config, name| store::migrate_at::<M>(config, name).boxed(),
        }
    }
}
