//! The bytes of requests in memory, until the call has its answer, limited in total and per address.
//!
//! Without room, the oldest incomplete requests are dropped. A client that completes its requests is not affected, even
//! if others at its address do not.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::address::ClientAddress;

/// Approximate, besides headers and message.
const OF_EACH_CALL: usize = 2048;

/// No room for a request, or it was dropped for a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// Clones share the counters.
#[derive(Clone)]
pub(super) struct Arrivals {
    all: usize,
    of_address: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    bytes: usize,
    next: u64,
    /// Only addresses with an open request.
    by_address: HashMap<ClientAddress, OfAddress>,
}

#[derive(Default)]
struct OfAddress {
    bytes: usize,
    open: usize,
    /// Oldest first.
    incomplete: BTreeMap<u64, Incomplete>,
}

struct Incomplete {
    bytes: usize,
    gives_way: Arc<Notify>,
}

/// One request. Dropped with its answer, or when it is refused.
pub(super) struct Arrival {
    arrivals: Arrivals,
    address: ClientAddress,
    number: u64,
    gives_way: Arc<Notify>,
    /// A complete request is not dropped for others.
    complete: Option<usize>,
}

impl Arrivals {
    pub(super) fn new(all: usize, of_address: Option<usize>) -> Self {
        Self {
            all,
            of_address: of_address.unwrap_or(all).min(all),
            held: Arc::default(),
        }
    }

    /// `headers`: in bytes.
    pub(super) fn begin(&self, address: ClientAddress, headers: usize) -> Result<Arrival, NoRoom> {
        let gives_way = Arc::new(Notify::new());
        let mut held = self.lock();
        let number = held.next;
        held.next += 1;
        let of_address = held.by_address.entry(address).or_default();
        of_address.open += 1;
        let incomplete = Incomplete {
            bytes: 0,
            gives_way: Arc::clone(&gives_way),
        };
        of_address.incomplete.insert(number, incomplete);
        drop(held);
        let arrival = Arrival {
            arrivals: self.clone(),
            address,
            number,
            gives_way,
            complete: None,
        };
        arrival.charge(headers + OF_EACH_CALL)?;
        Ok(arrival)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    pub(super) fn charge(&self, bytes: usize) -> Result<(), NoRoom> {
        let mut held = self.arrivals.lock();
        while held.bytes_of(self.address) + bytes > self.arrivals.of_address {
            held.oldest_gives_way(self.address);
            held.has(self)?;
        }
        while held.bytes + bytes > self.arrivals.all {
            let largest = held.largest().ok_or(NoRoom)?;
            held.oldest_gives_way(largest);
            held.has(self)?;
        }
        held.bytes += bytes;
        let of_address = held.by_address.get_mut(&self.address).ok_or(NoRoom)?;
        of_address.bytes += bytes;
        let own = of_address.incomplete.get_mut(&self.number).ok_or(NoRoom)?;
        own.bytes += bytes;
        Ok(())
    }

    /// Returns when the request was dropped for another one.
    pub(super) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }

    /// From now on, the request keeps its room.
    pub(super) fn complete(&mut self) -> Result<(), NoRoom> {
        let mut held = self.arrivals.lock();
        let of_address = held.by_address.get_mut(&self.address).ok_or(NoRoom)?;
        let own = of_address.incomplete.remove(&self.number).ok_or(NoRoom)?;
        self.complete = Some(own.bytes);
        Ok(())
    }
}

impl Held {
    fn bytes_of(&self, address: ClientAddress) -> usize {
        self.by_address.get(&address).map_or(0, |of| of.bytes)
    }

    fn has(&self, arrival: &Arrival) -> Result<(), NoRoom> {
        let of_address = self.by_address.get(&arrival.address);
        let is_there = of_address.is_some_and(|of| of.incomplete.contains_key(&arrival.number));
        is_there.then_some(()).ok_or(NoRoom)
    }

    fn largest(&self) -> Option<ClientAddress> {
        let addresses = self.by_address.iter();
        addresses
            .filter(|(_, of)| !of.incomplete.is_empty())
            .max_by_key(|(_, of)| of.bytes)
            .map(|(address, _)| *address)
    }

    fn oldest_gives_way(&mut self, address: ClientAddress) {
        let Some(of_address) = self.by_address.get_mut(&address) else {
            return;
        };
        if let Some((_, oldest)) = of_address.incomplete.pop_first() {
            of_address.bytes -= oldest.bytes;
            self.bytes -= oldest.bytes;
            oldest.gives_way.notify_one();
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut held = self.arrivals.lock();
        let Some(of_address) = held.by_address.get_mut(&self.address) else {
            return;
        };
        let incomplete = of_address.incomplete.remove(&self.number);
        let bytes = incomplete.map_or(self.complete.unwrap_or(0), |own| own.bytes);
        of_address.bytes -= bytes;
        of_address.open -= 1;
        if of_address.open == 0 {
            held.by_address.remove(&self.address);
        }
        held.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const KIB: usize = 1024;

    fn at(last: u8) -> ClientAddress {
        ClientAddress::new([192, 0, 2, last].into())
    }

    fn gave_way(arrival: &Arrival) -> bool {
        arrival.gives_way().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_incomplete_request_of_the_address_gives_way() {
        let arrivals = Arrivals::new(100 * KIB, Some(10 * KIB));
        let first = arrivals.begin(at(1), 0).unwrap();
        first.charge(4 * KIB).unwrap();
        let elsewhere = arrivals.begin(at(2), 0).unwrap();
        let second = arrivals.begin(at(1), 0).unwrap();
        assert!(!gave_way(&first));
        let third = arrivals.begin(at(1), KIB).unwrap();
        assert!(gave_way(&first));
        assert_eq!(first.charge(1), Err(NoRoom));
        assert!(!gave_way(&second) && !gave_way(&third) && !gave_way(&elsewhere));
    }

    #[test]
    fn what_is_complete_keeps_its_room_until_it_is_answered() {
        let arrivals = Arrivals::new(100 * KIB, Some(8 * KIB));
        let mut complete = arrivals.begin(at(1), 0).unwrap();
        complete.charge(4 * KIB).unwrap();
        complete.complete().unwrap();
        assert!(arrivals.begin(at(1), KIB).is_err());
        assert!(arrivals.begin(at(2), KIB).is_ok());
        drop(complete);
        assert!(arrivals.begin(at(1), KIB).is_ok());
    }

    #[test]
    fn in_all_the_address_with_the_most_bytes_gives_way() {
        let arrivals = Arrivals::new(20 * KIB, None);
        let large = arrivals.begin(at(1), 0).unwrap();
        large.charge(12 * KIB).unwrap();
        let small = arrivals.begin(at(2), 0).unwrap();
        let new = arrivals.begin(at(3), 4 * KIB).unwrap();
        assert!(gave_way(&large));
        assert!(!gave_way(&small) && !gave_way(&new));
    }

    #[test]
    fn a_request_that_is_too_large_for_its_address_gives_way_itself() {
        let arrivals = Arrivals::new(100 * KIB, Some(10 * KIB));
        let only = arrivals.begin(at(1), 0).unwrap();
        assert_eq!(only.charge(9 * KIB), Err(NoRoom));
        drop(only);
        let held = arrivals.lock();
        assert!(held.bytes == 0 && held.by_address.is_empty());
    }

    #[test]
    fn whatever_ends_how_nothing_is_left() {
        let arrivals = Arrivals::new(20 * KIB, Some(10 * KIB));
        let mut open = Vec::new();
        for turn in 0..1000_usize {
            let address = at(u8::try_from(turn % 3).unwrap());
            if let Ok(mut arrival) = arrivals.begin(address, turn % 700) {
                if turn % 5 == 0 {
                    let _ = arrival.complete();
                }
                open.push(arrival);
            }
            if turn % 7 == 0 && !open.is_empty() {
                open.remove(turn % open.len());
            }
            assert!(arrivals.lock().bytes <= 20 * KIB);
        }
        open.clear();
        let held = arrivals.lock();
        assert!(held.bytes == 0 && held.by_address.is_empty());
    }
}
