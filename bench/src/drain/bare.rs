//! The upper bounds: a publisher that only publishes, and a consumer's statement without a broker.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use prost::Message as _;
use sea_orm::sqlx::PgPool;
use url::Url;

use super::seed::Template;
use crate::floor::broker::{self, Link};
use crate::floor::consumer::{BATCH, Batch};
use crate::floor::relay::{confirmed, publish as hand_over};

const QUEUE: &str = "bare";
/// The relay's window.
const WINDOW: usize = 500;

/// Publishes up to `rows` events with a window of outstanding confirms. Returns how many were confirmed.
pub(crate) async fn publish(
    host: &Url,
    event: &Template,
    rows: u64,
    limit: Duration,
) -> Result<u64> {
    let link = broker::connect(host).await?;
    broker::declare(&link.channel, QUEUE).await?;
    let published = publish_on(&link, event, rows, limit).await;
    let deleting = link
        .channel
        .queue_delete(QUEUE.into(), QueueDeleteOptions::default());
    deleting.await?;
    published
}

/// Removes the messages of `queue`.
pub(super) async fn purge(host: &Url, queue: &str) -> Result<()> {
    let link = broker::connect(host).await?;
    let options = QueuePurgeOptions::default();
    link.channel.queue_purge(queue.into(), options).await?;
    Ok(())
}

async fn publish_on(link: &Link, event: &Template, rows: u64, limit: Duration) -> Result<u64> {
    let began = Instant::now();
    let mut outstanding = VecDeque::with_capacity(WINDOW);
    let mut done = 0;
    for _ in 0..rows {
        if began.elapsed() > limit {
            break;
        }
        if outstanding.len() == WINDOW {
            let oldest = outstanding.pop_front().context("the window is full")?;
            confirmed(oldest.await?)?;
            done += 1;
        }
        let (id, event) = event.next();
        let body = event.encode_to_vec();
        outstanding.push_back(hand_over(&link.channel, QUEUE, &id, &body, "backlog").await?);
    }
    for confirm in outstanding {
        confirmed(confirm.await?)?;
        done += 1;
    }
    Ok(done)
}

/// Handles up to `rows` events in batches, on one connection. Returns how many.
pub(crate) async fn consume(
    pool: &PgPool,
    event: &Template,
    rows: u64,
    limit: Duration,
) -> Result<u64> {
    let began = Instant::now();
    let mut done = 0;
    while done < rows && began.elapsed() < limit {
        let mut batch = Batch::default();
        let size = u64::try_from(BATCH)?.min(rows - done);
        for _ in 0..size {
            let (id, event) = event.next();
            batch.add(id, &event, "backlog".to_owned());
        }
        batch.handle(pool).await?;
        done += size;
    }
    Ok(done)
}
