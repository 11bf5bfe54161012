//! Room for connections: so many in all, and of them so many of one address, so that no one takes the room of everyone else.

use std::net::IpAddr;

use super::closings::{Closings, Reason};
use crate::address::ClientAddress;
use crate::config::ClientConfig;
use crate::slots::{Full, Limits, Slot, Slots};

pub(super) struct Places {
    slots: Slots,
    closings: Closings,
    /// Whether the last one who came found no room.
    refusing: bool,
}

impl Places {
    pub(super) fn new(config: &ClientConfig, closings: Closings) -> Self {
        Self {
            slots: Slots::new(Limits {
                all: config.max_connections,
                of_address: config.max_connections_per_address,
                of_user: None,
            }),
            closings,
            refusing: false,
        }
    }

    /// One for a connection from `address`. The log says when there begins to be no room, and not of each connection that finds
    /// none.
    pub(super) fn take(&mut self, address: IpAddr) -> Option<Slot> {
        let taken = self.slots.take(ClientAddress::new(address), None);
        let refused = match &taken {
            Ok(_) => None,
            Err(Full::All) => {
                Some("no room for more connections; new ones are closed (GRPC_MAX_CONNECTIONS)")
            }
            Err(_) => Some(
                "no room for more connections of one address; new ones are closed (GRPC_MAX_CONNECTIONS_PER_ADDRESS)",
            ),
        };
        if let Some(reason) = refused.filter(|_| !self.refusing) {
            tracing::warn!(%address, "{reason}");
        }
        self.refusing = refused.is_some();
        if self.refusing {
            self.closings.count(Reason::NoRoom);
        }
        taken.ok()
    }
}
