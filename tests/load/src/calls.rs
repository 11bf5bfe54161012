//! When calls are made: by callers that wait for their answers, or at a fixed rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// When calls are made, and when they end. Each caller takes its calls from its own [`Calls`].
#[derive(Clone, Debug)]
pub struct Load {
    taken: Arc<AtomicU64>,
    pace: Pace,
    end: End,
}

/// The calls of one caller.
#[derive(Debug)]
pub struct Calls {
    load: Load,
    ticks: Option<Interval>,
}

/// The next call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Starts at 0. No two callers of a load get the same number.
    pub number: u64,
    /// Its latency counts from here.
    pub since: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    /// After the answer to the previous call.
    Closed,
    /// After the answer, but at most one per period. If a call is late, the following calls are late too.
    Steady(Duration),
    /// One per period, whether or not earlier ones are answered.
    Open(Duration),
}

#[derive(Clone, Debug)]
enum End {
    Calls(u64),
    Time(Instant),
    Stop(CancellationToken),
}

impl Load {
    /// A caller calls again after each answer.
    pub fn closed() -> Self {
        Self::new(Pace::Closed)
    }

    /// As [`closed`](Self::closed), but a caller makes at most one call per `period`.
    pub fn steady(period: Duration) -> Self {
        Self::new(Pace::Steady(period))
    }

    /// One call per `period` from a single caller, which must not wait for answers. The latency of a call counts from its
    /// scheduled time, so a slow system cannot hide its queue by slowing down the load (no coordinated omission).
    pub fn open(period: Duration) -> Self {
        Self::new(Pace::Open(period))
    }

    /// Ends after this number of calls of all callers.
    #[must_use]
    pub fn calls(self, number: u64) -> Self {
        let end = End::Calls(number);
        Self { end, ..self }
    }

    /// Ends after this time, counted from now.
    #[must_use]
    pub fn lasting(self, duration: Duration) -> Self {
        let end = End::Time(Instant::now() + duration);
        Self { end, ..self }
    }

    /// Ends when `stop` is cancelled.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        let end = End::Stop(stop);
        Self { end, ..self }
    }

    /// The calls of one more caller.
    pub fn caller(&self) -> Calls {
        let ticks = match self.pace {
            Pace::Closed => None,
            Pace::Steady(period) => Some((period, MissedTickBehavior::Delay)),
            Pace::Open(period) => Some((period, MissedTickBehavior::Burst)),
        };
        let ticks = ticks.map(|(period, behavior)| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(behavior);
            ticks
        });
        Calls {
            load: self.clone(),
            ticks,
        }
    }

    fn new(pace: Pace) -> Self {
        Self {
            taken: Arc::default(),
            pace,
            end: End::Stop(CancellationToken::new()),
        }
    }
}

impl Calls {
    /// Waits until the next call is due. `None` after the end.
    pub async fn next(&mut self) -> Option<Call> {
        let since = match (&mut self.ticks, &self.load.end) {
            (None, _) => Instant::now(),
            (Some(ticks), End::Stop(stop)) => {
                stop.run_until_cancelled(ticks.tick()).await?.into_std()
            }
            (Some(ticks), End::Time(end)) => {
                let tick = tokio::time::timeout_at((*end).into(), ticks.tick()).await;
                tick.ok()?.into_std()
            }
            (Some(ticks), End::Calls(_)) => ticks.tick().await.into_std(),
        };
        // Checked after the wait, because the load may have ended meanwhile.
        let has_ended = match &self.load.end {
            End::Calls(_) => false,
            End::Time(end) => since >= *end,
            End::Stop(stop) => stop.is_cancelled(),
        };
        if has_ended {
            return None;
        }
        let number = self.load.taken.fetch_add(1, Ordering::Relaxed);
        match self.load.end {
            End::Calls(calls) if number >= calls => None,
            _ => Some(Call { number, since }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(10);

    async fn numbers(calls: &mut Calls) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(call) = calls.next().await {
            numbers.push(call.number);
        }
        numbers
    }

    #[tokio::test]
    async fn callers_share_the_numbers_of_a_load() {
        let load = Load::closed().calls(5);
        let (mut one, mut other) = (load.caller(), load.caller());
        let first = one.next().await.map(|call| call.number);
        assert_eq!(
            (first, numbers(&mut other).await),
            (Some(0), vec![1, 2, 3, 4])
        );
        assert!(one.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_load_makes_up_for_late_calls() {
        let mut calls = Load::open(PERIOD).calls(5).caller();
        let first = calls.next().await.unwrap().since;
        tokio::time::advance(PERIOD * 3).await;
        let late = [calls.next().await, calls.next().await, calls.next().await];
        let since = late.map(|call| call.unwrap().since - first);
        assert_eq!(since, [PERIOD, PERIOD * 2, PERIOD * 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_load_makes_up_for_nothing() {
        let began = tokio::time::Instant::now();
        let mut calls = Load::steady(PERIOD).calls(4).caller();
        calls.next().await;
        tokio::time::advance(PERIOD * 10).await;
        assert_eq!(numbers(&mut calls).await, [1, 2, 3]);
        assert!(began.elapsed() >= PERIOD * 12, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_load_ends_with_its_time_even_between_two_calls() {
        let load = Load::steady(Duration::from_secs(3600)).lasting(PERIOD);
        assert_eq!(numbers(&mut load.caller()).await, [0]);
        let over = Load::closed().lasting(Duration::ZERO);
        assert!(over.caller().next().await.is_none());
    }

    #[tokio::test]
    async fn a_stopped_load_has_no_next_call() {
        let stop = CancellationToken::new();
        let load = Load::steady(Duration::from_secs(3600)).until(stop.clone());
        let mut calls = load.caller();
        assert!(calls.next().await.is_some());
        stop.cancel();
        assert!(calls.next().await.is_none());
        assert!(Load::closed().until(stop).caller().next().await.is_none());
    }
}
