//! What an aborted process has left in the databases. It is read before the next start, because that start repeats all commands
//! and would hide what is missing.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use sea_orm::{ConnectionTrait, TryGetable};

use crate::fixture::{Fixture, look_into};
use crate::tables;

pub(super) struct Left {
    /// Acknowledged commands without their state.
    pub(super) forgotten: Vec<String>,
    /// The ops with an effect.
    effects: HashSet<String>,
    /// The number of deliveries to the aborted process in the record.
    deliveries: usize,
}

impl Left {
    pub(super) async fn of(fixture: &Fixture, run: &str) -> Result<Self> {
        let (producer, consumer) = (
            look_into(&fixture.producer).await?,
            look_into(&fixture.consumer).await?,
        );
        let states = tables::rows(&producer, "SELECT op FROM deposit", []).await?;
        let states: HashSet<String> = first_of_each(&states)?;
        let effects = tables::rows(&consumer, "SELECT op FROM effect", []).await?;
        let left = Self {
            forgotten: fixture
                .acknowledged()
                .difference(&states)
                .cloned()
                .collect(),
            effects: first_of_each(&effects)?,
            deliveries: fixture.deliveries(run)?.len(),
        };
        producer.close().await?;
        consumer.close().await?;
        Ok(left)
    }

    /// The ops that had their effect and were delivered again, marked as redelivered by the broker; with the number of their
    /// effects now.
    pub(super) async fn effects_of_what_came_again(
        &self,
        fixture: &Fixture,
        run: &str,
    ) -> Result<HashMap<String, i64>> {
        let (producer, consumer) = (
            look_into(&fixture.producer).await?,
            look_into(&fixture.consumer).await?,
        );
        let ops = pairs(
            &producer,
            "SELECT {text event_id} AS event_id, correlation_id FROM angarium_events",
        )
        .await?;
        let counts = pairs(&consumer, "SELECT op, count(*) FROM effect GROUP BY op").await?;
        producer.close().await?;
        consumer.close().await?;
        let since = fixture.deliveries(run)?.into_iter().skip(self.deliveries);
        let again = since.filter(|delivery| delivery.redelivered);
        let again = again.filter_map(|delivery| ops.get(&delivery.id).cloned());
        let again = again.filter(|op: &String| self.effects.contains(op));
        Ok(again
            .map(|op| {
                let count = counts.get(&op).copied().unwrap_or(0);
                (op, count)
            })
            .collect())
    }
}

fn first_of_each(rows: &[sea_orm::QueryResult]) -> Result<HashSet<String>> {
    let ops = rows.iter().map(|row| Ok(row.try_get_by_index(0)?));
    ops.collect()
}

async fn pairs<V: TryGetable>(db: &impl ConnectionTrait, sql: &str) -> Result<HashMap<String, V>> {
    let rows = tables::rows(db, sql, []).await?;
    let pairs = rows
        .iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)));
    pairs.collect()
}
