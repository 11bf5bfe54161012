//! Streams the changes of orders to watchers, each change once and in order, whichever replica made it.
//!
//! It polls the database, not the broker: one query finds new versions of all watched orders, after each commit of this
//! process and once a second for other replicas. Versions between the last sent one and the new one are derived
//! ([`Order::since`]). A stream produces a message only after the previous one was sent, so a slow client costs no
//! memory.

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

pub const SIGNAL: &str = "orders";
/// For changes of other replicas.
const POLL: Duration = Duration::from_secs(1);
/// Commits within this time share one query.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest duration of a stream. Then the client opens a new one, perhaps at another replica.
const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub struct Watchers {
    store: Store,
    slots: Slots,
    watched: Arc<Mutex<Watched>>,
    begun: Arc<Notify>,
}

/// The last known version of each watched order; `None` after the shutdown has begun.
type Watched = Option<HashMap<Uuid, watch::Sender<i64>>>;

impl Watchers {
    pub fn new(store: Store, limits: Limits) -> Self {
        Self {
            store,
            slots: Slots::new(limits),
            watched: Arc::new(Mutex::new(Some(HashMap::new()))),
            begun: Arc::default(),
        }
    }

    /// Streams the current order and its changes to this caller, until a final state or `deadline`.
    ///
    /// # Errors
    /// If the caller's address is not verified, the caller has no such order, or no slot is free. The stream fails at
    /// the deadline and when this process shuts down.
    pub async fn watch(
        &self,
        order_id: Uuid,
        caller: Caller,
        address: ClientAddress,
        deadline: Option<Instant>,
    ) -> Result<impl Stream<Item = Result<Order, Error>> + Send + use<>, Error> {
        // Unverified accounts cost nothing, so they must not use up the slots.
        if caller.is_unverified() {
            return Err(Error::EmailUnverified(caller.user_id));
        }
        let slot = self.slots.take(address, Some(caller.user_id))?;
        let owner = caller.owner();
        // Before the order is read, so that no change in between is missed.
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
            sent: None,
            to_send: VecDeque::from([order]),
            versions,
            begun: now,
            limit: left.min(LONGEST),
            _slot: slot,
        };
        Ok(stream::try_unfold(watching, Watching::next))
    }

    /// Notifies the watchers of new versions until `stop`, then ends their streams.
    pub async fn run(self, stop: CancellationToken) {
        let committed = self.store.signal(SIGNAL);
        while !stop.is_cancelled() {
            let watched = self.watched_ids();
            let looked = ::store::end_soon(&stop, self.look(&watched)).await;
            if let Some(Err(error)) = looked {
                tracing::debug!(%error, "cannot read the versions of watched orders, retrying");
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

    /// Also removes orders without watchers.
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

struct Watching {
    store: Store,
    order_id: Uuid,
    sent: Option<Order>,
    to_send: VecDeque<Order>,
    versions: watch::Receiver<i64>,
    begun: Instant,
    limit: Duration,
    _slot: Slot,
}

impl Watching {
    async fn next(mut self) -> Result<Option<(Order, Self)>, Error> {
        while self.to_send.is_empty() {
            let (sent, is_final) = self
                .sent
                .as_ref()
                .map_or((0, false), |sent| (sent.version, sent.state.is_final()));
            if is_final {
                return Ok(None);
            }
            tokio::select! {
                newer = self.versions.wait_for(|version| *version > sent) => {
                    newer.map_err(|_| Error::ShuttingDown)?;
                }
                () = tokio::time::sleep_until(self.begun + self.limit) => {
                    return Err(Error::WatchedLongEnough(self.limit));
                }
            }
            let order = store::find_order(self.store.connection(), self.order_id, None)
                .await?
                .ok_or(Error::OrderNotFound(self.order_id))?;
            self.to_send.extend(order.since(sent));
        }
        let order = self.to_send.pop_front();
        self.sent.clone_from(&order);
        Ok(order.map(|order| (order, self)))
    }
}
