//! Room for connections: so many in all, and of them so many of one address, so that nobody takes the room of everybody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rates::network;
use crate::config::ClientConfig;

pub(super) struct Places {
    most: usize,
    of_address: usize,
    taken: Arc<Mutex<Taken>>,
    /// Whether the last one who came found no room.
    refusing: bool,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Who has none is not in it.
    by_address: HashMap<IpAddr, usize>,
}

/// Held by a connection, and given back when dropped.
pub(super) struct Place {
    address: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self {
            most: config.max_connections,
            of_address: config.max_connections_per_address.unwrap_or(usize::MAX),
            taken: Arc::default(),
            refusing: false,
        }
    }

    /// One for a connection from `address`. Tells the log when there begins to be no room, and not of each connection that
    /// finds none.
    pub(super) fn take(&mut self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let refused = self.try_take(address).err();
        if let Some(reason) = refused.filter(|_| !self.refusing) {
            tracing::warn!(%address, "{reason}");
        }
        self.refusing = refused.is_some();
        refused.is_none().then(|| Place {
            address,
            taken: Arc::clone(&self.taken),
        })
    }

    fn try_take(&self, address: IpAddr) -> Result<(), &'static str> {
        let mut taken = lock(&self.taken);
        if taken.all >= self.most {
            return Err("no room for more connections; new ones are closed (GRPC_MAX_CONNECTIONS)");
        }
        let own = taken.by_address.get(&address).copied().unwrap_or(0);
        if own >= self.of_address {
            return Err(
                "no room for more connections of one address; new ones are closed (GRPC_MAX_CONNECTIONS_PER_ADDRESS)",
            );
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        let left = taken.by_address.get(&self.address).map_or(0, |own| own - 1);
        if left == 0 {
            taken.by_address.remove(&self.address);
        } else {
            taken.by_address.insert(self.address, left);
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(most: usize, of_address: Option<usize>) -> Places {
        Places::new(&ClientConfig {
            max_connections: most,
            max_connections_per_address: of_address,
            ..ClientConfig::default()
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_some_all_have_more_and_who_leaves_makes_room() {
        let mut places = places(3, Some(2));
        let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
        let held = [places.take(here).unwrap(), places.take(here).unwrap()];
        assert!(places.take(here).is_none());
        let third = places.take(there).unwrap();
        assert!(places.take(there).is_none(), "all are taken");
        drop(held);
        assert!(places.take(here).is_some());
        drop(third);
        let taken = lock(&places.taken);
        assert!(taken.all == 0 && taken.by_address.is_empty());
    }

    #[test]
    fn a_network_of_version_6_counts_as_one_address() {
        let mut places = places(3, Some(1));
        let _held = places.take(address("2001:db8::1")).unwrap();
        assert!(places.take(address("2001:db8::2")).is_none());
        assert!(places.take(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn without_a_limit_one_address_may_have_all() {
        let mut places = places(3, None);
        let held: Vec<_> = (0..4)
            .map_while(|_| places.take(address("192.0.2.1")))
            .collect();
        assert_eq!(held.len(), 3);
    }
}
