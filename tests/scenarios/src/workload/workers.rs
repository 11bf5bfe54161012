//! A light load that continues during faults: a few users order and rename themselves, and an admin confirms and ships.
//! An unanswered call is repeated with the same request id, as clients do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use contracts::order::v1::{ConfirmOrderRequest, PlaceOrderRequest, ShipOrderRequest};
use contracts::user::v1::{UpdateUserRequest, User};
use load::{Calls, Load};
use prost_types::FieldMask;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use super::verdict::{Step, StepAnswers};
use crate::Caller;
use crate::caller::{PASSWORD, authorized, is_passing, line};

/// The pause between two orders of a user.
const PACE: Duration = Duration::from_secs(1);

/// The pause between two attempts of a call.
const PAUSE: Duration = Duration::from_millis(100);

/// Longer than any fault of a run.
const HANGS: Duration = Duration::from_secs(180);

/// The users while they call.
pub(super) struct Workers {
    stop: CancellationToken,
    answered: Arc<AtomicUsize>,
    running: JoinSet<Result<Worker>>,
}

/// A user under load, and the answers that the user got.
pub(super) struct Worker {
    pub(super) caller: Caller,
    pub(super) user_id: String,
    pub(super) email: String,
    pub(super) token: String,
    admin: String,
    pub(super) answers: StepAnswers,
    /// The number of renames, which is part of the name.
    pub(super) renamed: usize,
}

impl Workers {
    pub(super) fn start(workers: Vec<Worker>) -> Self {
        let (stop, answered) = (CancellationToken::new(), Arc::<AtomicUsize>::default());
        let load = Load::steady(PACE).until(stop.clone());
        let mut running = JoinSet::new();
        for worker in workers {
            running.spawn_local(worker.run(load.caller(), Arc::clone(&answered)));
        }
        Self {
            stop,
            answered,
            running,
        }
    }

    /// Waits until `calls` more calls are answered.
    pub(super) async fn goes_on(&mut self, calls: usize) -> Result<()> {
        let until = self.answered.load(Ordering::Relaxed) + calls;
        let counting = async {
            while self.answered.load(Ordering::Relaxed) < until {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            counted = tokio::time::timeout(HANGS, counting) => counted.context("the load does not go on"),
            Some(early) = self.running.join_next() => {
                early??;
                bail!("a worker ended too early")
            }
        }
    }

    /// Ends the load, and returns the workers with their results.
    pub(super) async fn end(mut self) -> Result<Vec<Worker>> {
        self.stop.cancel();
        let mut workers = Vec::new();
        while let Some(worker) = self.running.join_next().await {
            workers.push(worker??);
        }
        Ok(workers)
    }
}

impl Worker {
    pub(super) async fn register(caller: &Caller, admin: &str, email: &str) -> Result<Self> {
        let user_id = caller.register(email, &name(0)).await?;
        let token = caller.log_in(email, PASSWORD).await?.access_token;
        let mut worker = Self {
            caller: caller.clone(),
            user_id,
            email: email.to_owned(),
            token,
            admin: admin.to_owned(),
            answers: StepAnswers::default(),
            renamed: 0,
        };
        // From now on the order service knows the user; an answer that denies it is a failure.
        let word = worker.word("first");
        worker.answers.attempt(&word);
        caller.place(&worker.token, &word).await?;
        worker.answers.acknowledge(&word, Step::Placed);
        Ok(worker)
    }

    async fn run(mut self, mut calls: Calls, answered: Arc<AtomicUsize>) -> Result<Self> {
        while let Some(call) = calls.next().await {
            self.order(call.number, &answered).await?;
            self.rename().await?;
            answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(self)
    }

    async fn order(&mut self, number: u64, answered: &AtomicUsize) -> Result<()> {
        let word = self.word(&number.to_string());
        let order_id = self.place(&word).await?;
        answered.fetch_add(1, Ordering::Relaxed);
        let request = ConfirmOrderRequest {
            order_id: order_id.clone(),
            request_id: Uuid::now_v7().to_string(),
            ..ConfirmOrderRequest::default()
        };
        until_answered("ConfirmOrder", async || {
            let request = authorized(&self.admin, request.clone());
            self.caller.orders.clone().confirm_order(request).await
        })
        .await?;
        self.answers.acknowledge(&word, Step::Confirmed);
        answered.fetch_add(1, Ordering::Relaxed);
        let request = ShipOrderRequest {
            order_id,
            carrier: "Hermes".to_owned(),
            tracking_number: word.clone(),
            request_id: Uuid::now_v7().to_string(),
            ..ShipOrderRequest::default()
        };
        until_answered("ShipOrder", async || {
            let request = authorized(&self.admin, request.clone());
            self.caller.orders.clone().ship_order(request).await
        })
        .await?;
        self.answers.acknowledge(&word, Step::Shipped);
        answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Places an order with this word, and returns its id.
    pub(super) async fn place(&mut self, word: &str) -> Result<String> {
        let request = PlaceOrderRequest {
            lines: vec![line(word)],
            request_id: Uuid::now_v7().to_string(),
            ..PlaceOrderRequest::default()
        };
        self.answers.attempt(word);
        let answer = until_answered("PlaceOrder", async || {
            let request = authorized(&self.token, request.clone());
            self.caller.orders.clone().place_order(request).await
        })
        .await?;
        let order = answer
            .into_inner()
            .order
            .context("the answer holds no order")?;
        self.answers.acknowledge(word, Step::Placed);
        Ok(order.order_id)
    }

    async fn rename(&mut self) -> Result<()> {
        let request = UpdateUserRequest {
            user: Some(User {
                user_id: self.user_id.clone(),
                display_name: name(self.renamed + 1),
                ..User::default()
            }),
            update_mask: Some(FieldMask {
                paths: vec!["display_name".to_owned()],
            }),
            request_id: Uuid::now_v7().to_string(),
            ..UpdateUserRequest::default()
        };
        until_answered("UpdateUser", async || {
            let request = authorized(&self.token, request.clone());
            self.caller.users.clone().update_user(request).await
        })
        .await?;
        self.renamed += 1;
        Ok(())
    }

    /// A unique word for an order.
    pub(super) fn word(&self, word: &str) -> String {
        format!("{}/{word}", self.user_id)
    }
}

/// The name of a user after this many renames.
pub(super) fn name(renamed: usize) -> String {
    format!("Number {renamed}")
}

/// Repeats a call until it is answered. Fails on an error that a repetition would not change.
pub(super) async fn until_answered<T>(
    method: &str,
    mut call: impl AsyncFnMut() -> Result<T, Status>,
) -> Result<T> {
    let answered = async {
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(status) if is_passing(&status) => tokio::time::sleep(PAUSE).await,
                Err(status) => bail!("{method} answers {status}"),
            }
        }
    };
    let answered = tokio::time::timeout(HANGS, answered).await;
    answered.with_context(|| format!("{method} is not answered within {HANGS:?}"))?
}
