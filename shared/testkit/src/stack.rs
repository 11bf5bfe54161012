//! The two ways in which the whole system runs.

use crate::{BrokerKind, StoreKind};

/// Which store and which broker, together. For tests of a whole flow: those of one side vary that side alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// PostgreSQL and RabbitMQ.
    Servers,
    /// SQLite files and the embedded transport.
    Embedded,
}

impl Stack {
    /// Its store.
    pub fn store(self) -> StoreKind {
        match self {
            Self::Servers => StoreKind::Postgres,
            Self::Embedded => StoreKind::Sqlite,
        }
    }

    /// Its broker.
    pub fn broker(self) -> BrokerKind {
        match self {
            Self::Servers => BrokerKind::RabbitMq,
            Self::Embedded => BrokerKind::Embedded,
        }
    }
}
