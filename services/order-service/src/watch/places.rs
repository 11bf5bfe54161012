//! Limits the watchers of this process, and of one user, so that one user cannot take all places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::error::Error;

#[derive(Clone)]
pub(super) struct Places {
    most: usize,
    of_caller: usize,
    taken: Arc<Mutex<Taken>>,
}

/// The number of places per user. Users without a place are not in it.
type Taken = HashMap<Uuid, usize>;

/// A place of one watcher. Dropping it frees the place.
pub(super) struct Place {
    user_id: Uuid,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(super) fn new(most: usize, of_caller: usize) -> Self {
        Self {
            most,
            of_caller,
            taken: Arc::default(),
        }
    }

    /// Takes a place for this user.
    ///
    /// # Errors
    /// If the user has reached the limit, or all places are taken.
    pub(super) fn take(&self, user_id: Uuid) -> Result<Place, Error> {
        let mut taken = lock(&self.taken);
        let own = taken.get(&user_id).copied().unwrap_or(0);
        if own >= self.of_caller {
            let most = self.of_caller;
            return Err(Error::TooManyOfCaller { user_id, most });
        }
        if taken.values().sum::<usize>() >= self.most {
            return Err(Error::TooManyWatchers);
        }
        taken.insert(user_id, own + 1);
        Ok(Place {
            user_id,
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        let left = taken.get(&self.user_id).map_or(0, |own| own - 1);
        if left == 0 {
            taken.remove(&self.user_id);
        } else {
            taken.insert(self.user_id, left);
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_process_have_limits_and_leaving_frees_a_place() {
        let places = Places::new(3, 2);
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let held = [places.take(ada).unwrap(), places.take(ada).unwrap()];
        assert!(matches!(
            places.take(ada),
            Err(Error::TooManyOfCaller { user_id, most: 2 }) if user_id == ada
        ));
        let bobs = places.take(bob).unwrap();
        assert!(matches!(places.take(bob), Err(Error::TooManyWatchers)));
        drop(held);
        assert!(places.take(bob).is_ok());
        drop(bobs);
        assert!(lock(&places.taken).is_empty(), "no user is remembered");
    }
}
