//! Limits a number in total, per address and per user, so that no caller takes the room of the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::address::ClientAddress;

/// How many have room at a time. `None`: no limit of its own.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub all: usize,
    /// Of one address.
    pub of_address: Option<usize>,
    /// Of one user.
    pub of_user: Option<usize>,
}

/// The room. Clones share it.
#[derive(Clone, Debug)]
pub struct Slots {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
}

/// Only those with a slot are in the maps.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<ClientAddress, usize>,
    by_user: HashMap<Uuid, usize>,
}

/// Given back when dropped.
#[derive(Debug)]
pub struct Slot {
    address: ClientAddress,
    user_id: Option<Uuid>,
    taken: Arc<Mutex<Taken>>,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// The limit of the address is reached.
    Address(ClientAddress, usize),
    /// The limit of the user is reached.
    User(Uuid, usize),
}

impl Slots {
    /// All of them free.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Arc::default(),
        }
    }

    /// A slot for this user, at this address.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(&self, address: ClientAddress, user_id: Option<Uuid>) -> Result<Slot, Full> {
        let mut taken = lock(&self.taken);
        let (of_address, of_user) = (self.limits.of_address, self.limits.of_user);
        if let (Some(user_id), Some(most)) = (user_id, of_user)
            && taken.by_user.get(&user_id).is_some_and(|own| *own >= most)
        {
            return Err(Full::User(user_id, most));
        }
        if let Some(most) = of_address
            && taken.by_address.get(&address).copied().unwrap_or(0) >= most
        {
            return Err(Full::Address(address, most));
        }
        if taken.all >= self.limits.all {
            return Err(Full::All);
        }
        taken.all += 1;
        *taken.by_address.entry(address).or_default() += 1;
        if let Some(user_id) = user_id {
            *taken.by_user.entry(user_id).or_default() += 1;
        }
        Ok(Slot {
            address,
            user_id,
            taken: Arc::clone(&self.taken),
        })
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        lock(&self.taken).all
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        give_back(&mut taken.by_address, self.address);
        if let Some(user_id) = self.user_id {
            give_back(&mut taken.by_user, user_id);
        }
    }
}

fn give_back<K: Eq + Hash>(taken: &mut HashMap<K, usize>, key: K) {
    let left = taken.get(&key).map_or(0, |own| own - 1);
    if left == 0 {
        taken.remove(&key);
    } else {
        taken.insert(key, left);
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> ClientAddress {
        ClientAddress::new([192, 0, 2, last].into())
    }

    fn slots(all: usize, of_address: Option<usize>, of_user: Option<usize>) -> Slots {
        Slots::new(Limits {
            all,
            of_address,
            of_user,
        })
    }

    #[test]
    fn one_address_has_some_all_have_more_and_who_leaves_makes_room() {
        let slots = slots(3, Some(2), None);
        let held = [
            slots.take(at(1), None).unwrap(),
            slots.take(at(1), None).unwrap(),
        ];
        assert_eq!(
            slots.take(at(1), None).unwrap_err(),
            Full::Address(at(1), 2)
        );
        let third = slots.take(at(2), None).unwrap();
        assert_eq!(slots.take(at(2), None).unwrap_err(), Full::All);
        drop(held);
        assert!(slots.take(at(1), None).is_ok());
        drop(third);
        let taken = lock(&slots.taken);
        assert!(taken.all == 0 && taken.by_address.is_empty());
    }

    #[test]
    fn one_user_has_some_at_whatever_address() {
        let slots = slots(8, Some(8), Some(2));
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let held = [
            slots.take(at(1), Some(ada)).unwrap(),
            slots.take(at(2), Some(ada)).unwrap(),
        ];
        assert_eq!(
            slots.take(at(3), Some(ada)).unwrap_err(),
            Full::User(ada, 2)
        );
        assert!(slots.take(at(1), Some(bob)).is_ok());
        assert!(slots.take(at(1), None).is_ok());
        drop(held);
        assert!(
            lock(&slots.taken).by_user.is_empty(),
            "no one is remembered"
        );
    }

    #[test]
    fn many_users_at_one_address_have_its_share() {
        let slots = slots(8, Some(3), Some(2));
        let held: Vec<Slot> = (0..8)
            .map_while(|user| slots.take(at(1), Some(Uuid::from_u128(user))).ok())
            .collect();
        assert_eq!(held.len(), 3);
        assert!(slots.take(at(2), Some(Uuid::from_u128(1))).is_ok());
    }

    #[test]
    fn without_a_limit_one_address_may_have_all() {
        let slots = slots(3, None, None);
        let held: Vec<Slot> = (0..4).map_while(|_| slots.take(at(1), None).ok()).collect();
        assert_eq!(held.len(), 3);
    }
}
