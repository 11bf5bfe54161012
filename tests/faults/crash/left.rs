//! What a process that died has left: read after its death and before the next start, which would mend what is missing by
//! doing it again.

use std::collections::HashSet;

use anyhow::Result;

use crate::tables;
use crate::world::{World, look_into};

pub(super) struct Left {
    /// Acknowledged commands without a state.
    pub(super) forgotten: Vec<String>,
}

impl Left {
    pub(super) async fn of(world: &World) -> Result<Self> {
        let producer = look_into(&world.producer).await?;
        let states = tables::rows(&producer, "SELECT op FROM deposit", []).await?;
        let states = first_of_each(&states)?;
        producer.close().await?;
        Ok(Self {
            forgotten: world.acknowledged().difference(&states).cloned().collect(),
        })
    }
}

fn first_of_each(rows: &[sea_orm::QueryResult]) -> Result<HashSet<String>> {
    let ops = rows.iter().map(|row| Ok(row.try_get_by_index(0)?));
    ops.collect()
}
