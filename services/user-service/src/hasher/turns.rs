//! The next hash: a fixed number of slots, and a queue per priority.
//!
//! A returned slot goes to the first waiter of the highest priority. Guarantees: there are never more blocks of memory
//! than slots; a waiter that leaves is removed from its queue; a slot on its way to it is returned.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::algorithm::Memory;
use super::limits::{Limits, Priority};
use super::verdict::{HashError, failed};

#[derive(Clone)]
pub(super) struct Turns {
    shared: Arc<Shared>,
}

struct Shared {
    /// Waiters per priority.
    waiting: usize,
    blocks: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// The last returned block is reused first, so that few blocks are allocated.
    free: Vec<Memory>,
    /// By priority.
    queues: [VecDeque<oneshot::Sender<Slot>>; 3],
}

impl Turns {
    pub(super) fn new(limits: Limits) -> Self {
        let state = State {
            free: (0..limits.at_a_time).map(|_| Memory::new()).collect(),
            queues: Default::default(),
        };
        Self {
            shared: Arc::new(Shared {
                waiting: limits.waiting,
                blocks: AtomicUsize::new(0),
                state: Mutex::new(state),
            }),
        }
    }

    pub(super) async fn take(&self, priority: Priority) -> Result<Slot, HashError> {
        let turn = {
            let mut state = self.shared.lock();
            // With a free slot, there is no live waiter: a returned slot goes to a waiter first.
            if let Some(memory) = state.free.pop() {
                return Ok(self.shared.slot(memory));
            }
            let queue = &mut state.queues[rank(priority)];
            if queue.len() >= self.shared.waiting {
                queue.retain(|waiter| !waiter.is_closed());
            }
            if queue.len() >= self.shared.waiting {
                return Err(HashError::Busy);
            }
            let (waiter, turn) = oneshot::channel();
            queue.push_back(waiter);
            turn
        };
        turn.await.map_err(failed)
    }

    pub(super) fn blocks(&self) -> usize {
        self.shared.blocks.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(self: &Arc<Self>, memory: Memory) -> Slot {
        Slot {
            memory: Some(memory),
            shared: Arc::clone(self),
        }
    }

    /// To the next waiter, if there is one.
    fn give_back(self: &Arc<Self>, memory: Memory) {
        let mut memory = Some(memory);
        while let Some(held) = memory.take() {
            let mut state = self.lock();
            let Some(waiter) = state.queues.iter_mut().find_map(VecDeque::pop_front) else {
                state.free.push(held);
                return;
            };
            // Not under the lock: if the waiter has left, the slot is returned here.
            drop(state);
            if let Err(mut returned) = waiter.send(self.slot(held)) {
                memory = returned.memory.take();
            }
        }
    }
}

/// The right to hash, with its memory. Dropping it passes both on.
pub(super) struct Slot {
    /// `None` after it was passed on.
    memory: Option<Memory>,
    shared: Arc<Shared>,
}

impl Slot {
    pub(super) fn memory(&mut self) -> &mut Memory {
        let memory = self.memory.get_or_insert_default();
        if memory.is_empty() {
            self.shared.blocks.fetch_add(1, Ordering::Relaxed);
        }
        memory
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.shared.give_back(memory);
        }
    }
}

fn rank(priority: Priority) -> usize {
    match priority {
        Priority::Known => 0,
        Priority::Login => 1,
        Priority::Registration => 2,
    }
}
