//! A light load that continues during changes, and the verdict on its results.
//!
//! A few users order and rename themselves, an admin confirms and ships. The verdict compares acknowledged calls with
//! the orders and mails at the end.

use anyhow::{Result, ensure};

use crate::Caller;
use crate::caller::PASSWORD;

mod settled;
mod verdict;
mod views;
mod workers;

pub use self::verdict::Verdict;
use self::views::Views;
use self::workers::{Worker, Workers};

/// The user who may confirm and ship.
pub struct Admin {
    email: String,
}

/// Users under load. Needs a [`LocalSet`](tokio::task::LocalSet).
pub struct Workload {
    token: String,
    views: Views,
    workers: Workers,
}

impl Admin {
    /// Registers and verifies the address, which must be in `ADMIN_EMAILS`.
    pub async fn register(caller: &Caller, email: String) -> Result<Self> {
        caller.register(&email, "The Admin").await?;
        caller.verify(&email).await?;
        Ok(Self { email })
    }

    /// A new access token. It works for 15 minutes.
    pub async fn token(&self, caller: &Caller) -> Result<String> {
        let tokens = caller.log_in(&self.email, PASSWORD).await?;
        Ok(tokens.access_token)
    }
}

impl Workload {
    /// Registers `users` users with addresses that begin with `name`, and starts calling.
    pub async fn start(caller: &Caller, admin: &Admin, name: &str, users: usize) -> Result<Self> {
        let token = admin.token(caller).await?;
        let mut workers = Vec::new();
        for number in 0..users {
            let email = format!("{name}-{number}@example.com");
            workers.push(Worker::register(caller, &token, &email).await?);
        }
        let users = workers
            .iter()
            .map(|worker| worker.user_id.clone())
            .collect();
        Ok(Self {
            views: Views::watch(caller, token.clone(), users),
            token,
            workers: Workers::start(workers),
        })
    }

    /// Waits until `calls` more calls are answered.
    pub async fn goes_on(&mut self, calls: usize) -> Result<()> {
        self.workers.goes_on(calls).await
    }

    /// Ends the load, waits for its effects and judges them. `deaths`: a process was killed meanwhile; only then may a
    /// mail be sent twice.
    pub async fn end(self, deaths: bool) -> Result<Verdict> {
        let mut workers = self.workers.end().await?;
        let mut verdict = Verdict::default();
        for worker in &mut workers {
            let inversions = self.views.inversions(&worker.user_id);
            verdict += settled::judge(worker, &self.token, inversions).await?;
        }
        ensure!(verdict.passes(), "{verdict}");
        if !deaths {
            settled::one_mail_each(&workers).await?;
        }
        Ok(verdict)
    }
}
