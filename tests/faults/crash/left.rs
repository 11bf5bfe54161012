//! What a process that died has left: read after its death and before the next start, which would mend what is missing by
//! doing it again.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use sea_orm::{ConnectionTrait, TryGetable};

use crate::tables;
use crate::world::{World, look_into};

pub(super) struct Left {
    /// Acknowledged commands without a state.
    pub(super) forgotten: Vec<String>,
    /// The ops that had their effect.
    effects: HashSet<String>,
    /// How much of the record of deliveries is the dead process's.
    deliveries: usize,
}

impl Left {
    pub(super) async fn of(world: &World, run: &str) -> Result<Self> {
        let (producer, consumer) = (
            look_into(&world.producer).await?,
            look_into(&world.consumer).await?,
        );
        let states = tables::rows(&producer, "SELECT op FROM deposit", []).await?;
        let states: HashSet<String> = first_of_each(&states)?;
        let effects = tables::rows(&consumer, "SELECT op FROM effect", []).await?;
        let left = Self {
            forgotten: world.acknowledged().difference(&states).cloned().collect(),
            effects: first_of_each(&effects)?,
            deliveries: world.deliveries(run)?.len(),
        };
        producer.close().await?;
        consumer.close().await?;
        Ok(left)
    }

    /// Of the events that had their effect and were delivered again all the same, as the broker says itself: how many effects
    /// each has by now.
    pub(super) async fn effects_of_what_came_again(
        &self,
        world: &World,
        run: &str,
    ) -> Result<HashMap<String, i64>> {
        let (producer, consumer) = (
            look_into(&world.producer).await?,
            look_into(&world.consumer).await?,
        );
        let ops = pairs(
            &producer,
            "SELECT {text event_id} AS event_id, correlation_id FROM angarium_events",
        )
        .await?;
        let counts = pairs(&consumer, "SELECT op, count(*) FROM effect GROUP BY op").await?;
        producer.close().await?;
        consumer.close().await?;
        let since = world.deliveries(run)?.into_iter().skip(self.deliveries);
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
