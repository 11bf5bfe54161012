//! An operator deletes a queue while it holds events.
//!
//! The broker has confirmed these events and has lost them. Later events of their accounts wait for them, so nothing is out of
//! order. Events that are enqueued after the deletion are kept: they stay pending without a queue, or reach the queue that the
//! consumer declares again. The checkpoints show what is lost, and the repair hands it over from the producer's history, under load.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sea_orm::ConnectionTrait;

use crate::deposit;
use crate::fixture::Fixture;
use crate::load_process::LoadProcess;
use crate::repaired::Repaired;
use crate::tables;
use crate::watch::{Recovery, Watch};

const NOW: &str = "SELECT (extract(epoch from clock_timestamp()) * 1000)::bigint";
/// Each event that waited behind a gap needs its own transaction.
const REPAIR: Recovery = Recovery {
    resumes: Duration::from_secs(15),
    drains: Duration::from_secs(180),
};
const CALM: Duration = Duration::from_secs(30);

/// Returns how many lost events are not shown (I10).
pub(super) async fn run(
    fixture: &Fixture,
    load: &mut LoadProcess,
    watch: &mut Watch,
) -> Result<usize> {
    let broker = fixture.broker.as_ref().context("there is a broker")?;
    let begun = Instant::now();
    // A consumer that cannot write takes no more deliveries, so events stay in the queue.
    let held_up = ::store::Transaction::begin(&watch.consumer).await?;
    held_up
        .execute_unprepared("LOCK TABLE angarium_inbox IN EXCLUSIVE MODE")
        .await?;
    let enough = async {
        while broker.messages(deposit::QUEUE).await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(CALM, enough)
        .await
        .context("no event stays in the queue")?;
    broker.delete_queue(deposit::QUEUE).await;
    let deleted = tables::number(&watch.producer, NOW).await?;
    held_up.rollback().await?;

    // Events that were enqueued after the deletion must arrive, even if they wait for a lost one.
    let gone = settled(watch, deleted).await?;
    let late = gone.iter().filter(|(_, created)| *created > deleted);
    let late = late.count();
    watch.judge(
        !gone.is_empty() && late == 0,
        &format!(
            "a queue was deleted: {} events are lost with it, {late} of them were enqueued after the deletion",
            gone.len()
        ),
    );
    watch.calls(load, begun, "during the deleted queue");

    let repaired = Repaired::new(watch);
    let lost: HashSet<String> = gone.into_iter().map(|(id, _)| id).collect();
    let unshown = repaired.unshown(&lost).await?;
    let handed = repaired.hand_over().await?;
    watch.judge(
        unshown == 0 && handed >= lost.len() as u64,
        &format!(
            "of {} lost events {unshown} are not shown; {handed} handed over",
            lost.len()
        ),
    );
    let mut longest = Recovery::none();
    watch.recovers(load, REPAIR, &mut longest).await?;
    watch.recovered("the lost events were handed over", longest);
    Ok(unshown)
}

/// The published events that the consumer has not seen, and when they were enqueued. Waits until all events up to the deletion
/// are published and two looks give the same result.
async fn settled(watch: &Watch, deleted: i64) -> Result<Vec<(String, i64)>> {
    let begun = Instant::now();
    let mut before = Vec::new();
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = tables::number(&watch.producer, NOW).await?;
        let missing = missing(watch, now - 2000).await?;
        let pending = "SELECT count(*) FROM angarium_outbox WHERE created_at <= {time of $1}";
        let pending = tables::rows(&watch.producer, pending, [(now - 2000).into()]).await?;
        let pending: i64 = pending
            .first()
            .context("a count has a row")?
            .try_get_by_index(0)?;
        let calm = pending == 0 && missing == before && now > deleted + 4000;
        if calm || begun.elapsed() > CALM {
            return Ok(missing);
        }
        before = missing;
    }
}

async fn missing(watch: &Watch, until: i64) -> Result<Vec<(String, i64)>> {
    let published = "SELECT {text event_id} AS event_id, {ms created_at} AS created_at_ms FROM angarium_outbox_history
                     WHERE created_at <= {time of $1} ORDER BY sequence";
    let published = tables::rows(&watch.producer, published, [until.into()]).await?;
    let seen = tables::rows(
        &watch.consumer,
        "SELECT {text event_id} AS event_id FROM angarium_inbox",
        [],
    )
    .await?;
    let seen: Result<HashSet<String>, _> =
        seen.iter().map(|row| row.try_get("", "event_id")).collect();
    let seen = seen?;
    let mut missing = Vec::new();
    for row in published {
        let event_id: String = row.try_get("", "event_id")?;
        if !seen.contains(&event_id) {
            missing.push((event_id, row.try_get("", "created_at_ms")?));
        }
    }
    Ok(missing)
}
