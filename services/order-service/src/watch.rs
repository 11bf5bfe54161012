//! Watching orders: who watches one is told of each of its changes, once and in order, whichever replica has made it.
//!
//! The database is what is watched, not the broker: one query finds the new versions of all orders that are watched here,
//! after each commit of this process, and once a second for those of others. What lies between the last version that was
//! told and the new one is told as well ([`Order::since`]). A stream takes its next message only once the one before is
//! gone, so a slow client costs no memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, Stream};
use messaging::Store;
use runtime::ClientAddress;
use runtime::auth::Caller;
use runtime::slots::{Limits, Slot, Slots};
use sea_orm::DbErr;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Error;
use crate::order::Order;
use crate::store;

/// The signal that a committed change of an order raises.
pub const SIGNAL: &str = "orders";
/// How often to look for the changes of other replicas, while anything is watched.
const POLL: Duration = Duration::from_secs(1);
/// Commits that follow one another within this are looked at together.
const PAUSE: Duration = Duration::from_millis(10);
/// No stream lasts longer: who still wants it asks again, and may come to another replica.
const LONGEST: Duration = Duration::from_secs(3600);

/// All who watch orders in this process.
#[derive(Clone)]
pub struct Watchers {
    store: Store,
    slots: Slots,
    watched: Arc<Mutex<Watched>>,
    begun: Arc<Notify>,
}

/// The last known version of each order that somebody watches; `None` once nobody is told any more.
type Watched = Option<HashMap<Uuid, watch::Sender<i64>>>;

impl Watchers {
    /// Watched by as many at a time as `limits` says.
    pub fn new(store: Store, limits: Limits) -> Self {
        Self {
            store,
            slots: Slots::new(limits),
            watched: Arc::new(Mutex::new(Some(HashMap::new()))),
            begun: Arc::default(),
        }
    }

    /// The order as it is and as it becomes, for this caller at this address, until it is final, or until `deadline`.
    ///
    /// # Errors
    /// Where the caller's address is not verified, there is no such order that the caller may see, or no slot is left. The stream itself fails at the deadline, and where this
    /// process ends before.
    pub async fn watch(
        &self,
        order_id: Uuid,
        caller: Caller,
        address: ClientAddress,
        deadline: Option<Instant>,
    ) -> Result<impl Stream<Item = Result<Order, Error>> + Send + use<>, Error> {
        // Accounts that cost nothing must not fill the room for watchers.
        if caller.is_unverified() {
            return Err(Error::EmailUnverified(caller.user_id));
        }
        let slot = self.slots.take(address, Some(caller.user_id))?;
        let owner = caller.owner();
        // Before the order is read: what changes in between is noticed.
        let versions = self.subscribe(order_id).ok_or(Error::ShuttingDown)?;
        let db = self.store.connection();
        let order = store::find_order(db, order_id, owner)
            .await?
            .ok_or(Error::no_order(order_id, owner))?;
        let now = Instant::now();
        let left = deadline.map_or(LONGEST, |deadline| deadline - now);
        let watching = Watching {
            store: self.store.clone(),
            order_id,
            told: None,
            to_tell: VecDeque::from([order]),
            versions,
            begun: now,
            limit: left.min(LONGEST),
            _slot: slot,
        };
        Ok(stream::try_unfold(watching, Watching::next))
    }

    /// Tells the watchers of new versions until `stop`, and then that there is no more to come.
    pub async fn run(self, stop: CancellationToken) {
        let committed = self.store.signal(SIGNAL);
        while !stop.is_cancelled() {
            let watched = self.watched_ids();
            if let Err(error) = self.look(&watched).await {
                tracing::debug!(%error, "watched orders cannot be looked at, trying again");
            }
            let next = async {
                if watched.is_empty() {
                    return self.begun.notified().await;
                }
                tokio::select! {
                    () = self.begun.notified() => {}
                    () = committed.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
                tokio::time::sleep(PAUSE).await;
            };
            let _ = stop.run_until_cancelled(next).await;
        }
        *self.lock() = None;
    }

    async fn look(&self, watched: &[Uuid]) -> Result<(), DbErr> {
        if watched.is_empty() {
            return Ok(());
        }
        let versions = store::versions(self.store.connection(), watched.iter().copied()).await?;
        if let Some(watched) = &*self.lock() {
            for (order_id, version) in versions {
                if let Some(known) = watched.get(&order_id) {
                    known.send_if_modified(|known| std::mem::replace(known, version) != version);
                }
            }
        }
        Ok(())
    }

    fn subscribe(&self, order_id: Uuid) -> Option<watch::Receiver<i64>> {
        let mut watched = self.lock();
        let known = watched.as_mut()?.entry(order_id);
        let receiver = known.or_insert_with(|| watch::channel(0).0).subscribe();
        self.begun.notify_one();
        Some(receiver)
    }

    /// Forgets what nobody watches any more.
    fn watched_ids(&self) -> Vec<Uuid> {
        let mut watched = self.lock();
        let Some(watched) = watched.as_mut() else {
            return Vec::new();
        };
        watched.retain(|_, known| known.receiver_count() > 0);
        watched.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream.
struct Watching {
    store: Store,
    order_id: Uuid,
    /// What was told last.
    told: Option<Order>,
    to_tell: VecDeque<Order>,
    versions: watch::Receiver<i64>,
    begun: Instant,
    /// How long it may last.
    limit: Duration,
    _slot: Slot,
}

impl Watching {
    async fn next(mut self) -> Result<Option<(Order, Self)>, Error> {
        while self.to_tell.is_empty() {
            let (told, is_final) = self
                .told
                .as_ref()
                .map_or((0, false), |told| (told.version, told.state.is_final()));
            if is_final {
                return Ok(None);
            }
            tokio::select! {
                newer = self.versions.wait_for(|version| *version > told) => {
                    newer.map_err(|_| Error::ShuttingDown)?;
                }
                () = tokio::time::sleep_until(self.begun + self.limit) => {
                    return Err(Error::WatchedLongEnough(self.limit));
                }
            }
            let order = store::find_order(self.store.connection(), self.order_id, None)
                .await?
                .ok_or(Error::OrderNotFound(self.order_id))?;
            self.to_tell.extend(order.since(told));
        }
        let order = self.to_tell.pop_front();
        self.told.clone_from(&order);
        Ok(order.map(|order| (order, self)))
    }
}
