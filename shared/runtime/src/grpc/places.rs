//! Limits connections, in total and per address, so that no client takes all of them.

use std::net::IpAddr;

use super::closings::{Closings, Reason};
use crate::address::ClientAddress;
use crate::config::ClientConfig;
use crate::slots::{Full, Limits, Slot, Slots};

pub(super) struct Places {
    slots: Slots,
    closings: Closings,
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

    /// Logs when connections begin to be refused, not each one.
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
