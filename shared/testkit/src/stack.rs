//! The two ways to run the whole system.

use crate::{BrokerKind, StoreKind};

/// A store and a broker together, for tests of a whole flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// PostgreSQL and RabbitMQ.
    Servers,
    /// SQLite files and the embedded transport.
    Embedded,
}

impl Stack {
    /// The database of this stack.
    pub fn store(self) -> StoreKind {
        match self {
            Self::Servers => StoreKind::Postgres,
            Self::Embedded => StoreKind::Sqlite,
        }
    }

    /// The broker of this stack.
    pub fn broker(self) -> BrokerKind {
        match self {
            Self::Servers => BrokerKind::RabbitMq,
            Self::Embedded => BrokerKind::Embedded,
        }
    }
}
