//! The queues of the queue file and their bindings: declared, stored in the file, and used for routing.

use event::Message;
use sea_orm::{ConnectionTrait as _, DbErr};

use super::QueueFile;
use crate::pruning::Bound;
use crate::transport::{Binding, Queue, TransportError};
use store::{Transaction, sql};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS queue (name text PRIMARY KEY, delivery_limit integer NOT NULL);
CREATE TABLE IF NOT EXISTS binding (
    queue text NOT NULL, exchange text NOT NULL, pattern text NOT NULL, PRIMARY KEY (queue, exchange, pattern));
CREATE TABLE IF NOT EXISTS message (
    id integer PRIMARY KEY AUTOINCREMENT, queue text NOT NULL, exchange text NOT NULL, routing_key text NOT NULL,
    properties text NOT NULL, body blob NOT NULL, deliveries integer NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS message_queue ON message (queue, id);
";

impl QueueFile {
    pub(super) async fn load(&self) -> Result<(), DbErr> {
        self.db.execute_unprepared(TABLES).await?;
        let queues = sql::query_all(&self.db, "SELECT name, delivery_limit FROM queue", []).await?;
        let bindings =
            sql::query_all(&self.db, "SELECT queue, exchange, pattern FROM binding", []).await?;
        let mut state = self.state();
        for row in queues {
            state
                .delivery_limits
                .insert(row.try_get("", "name")?, row.try_get("", "delivery_limit")?);
        }
        for row in bindings {
            let binding = Binding {
                exchange: row.try_get("", "exchange")?,
                pattern: row.try_get("", "pattern")?,
            };
            state
                .bindings
                .entry(row.try_get("", "queue")?)
                .or_default()
                .push(binding);
        }
        Ok(())
    }

    /// Older bindings stay, as on RabbitMQ: the previous release may come back.
    pub(in crate::transport::embedded) async fn declare(
        &self,
        queue: &Queue,
    ) -> Result<(), TransportError> {
        let fail = |error| TransportError::new(format!("declaring queue `{}`", queue.name), error);
        self.store_declaration(queue).await.map_err(fail)?;
        let mut state = self.state();
        let bound = state.bindings.entry(queue.name.clone()).or_default();
        for binding in &queue.bindings {
            if !bound.contains(binding) {
                bound.push(binding.clone());
            }
        }
        state
            .delivery_limits
            .insert(queue.name.clone(), queue.delivery_limit.into());
        Ok(())
    }

    async fn store_declaration(&self, queue: &Queue) -> Result<(), DbErr> {
        let transaction = Transaction::begin(&self.db).await?;
        sql::execute(
            &transaction,
            "INSERT INTO queue (name, delivery_limit) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET delivery_limit = excluded.delivery_limit",
            [queue.name.as_str().into(), queue.delivery_limit.into()],
        )
        .await?;
        for binding in &queue.bindings {
            sql::execute(
                &transaction,
                "INSERT INTO binding (queue, exchange, pattern) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [
                    queue.name.as_str().into(),
                    binding.exchange.as_str().into(),
                    binding.pattern.as_str().into(),
                ],
            )
            .await?;
        }
        transaction.commit().await
    }

    pub(in crate::transport::embedded) fn bound(&self) -> Vec<Bound> {
        let state = self.state();
        let bindings = state.bindings.iter();
        let bound = bindings.flat_map(|(queue, bindings)| {
            bindings.iter().map(|binding| Bound {
                queue: queue.clone(),
                binding: binding.clone(),
            })
        });
        bound.collect()
    }

    pub(in crate::transport::embedded) async fn unbind(
        &self,
        bound: &[Bound],
    ) -> Result<(), DbErr> {
        let transaction = Transaction::begin(&self.db).await?;
        for Bound { queue, binding } in bound {
            let key = [queue, &binding.exchange, &binding.pattern].map(|text| text.as_str().into());
            let unbinding =
                "DELETE FROM binding WHERE queue = $1 AND exchange = $2 AND pattern = $3";
            sql::execute(&transaction, unbinding, key).await?;
        }
        transaction.commit().await?;
        let mut state = self.state();
        for Bound { queue, binding } in bound {
            if let Some(bindings) = state.bindings.get_mut(queue) {
                bindings.retain(|one| one != binding);
            }
        }
        Ok(())
    }

    pub(super) fn route(&self, message: &Message) -> Vec<String> {
        let bound = |binding: &Binding| binding.takes(&message.exchange, &message.routing_key);
        let state = self.state();
        state
            .bindings
            .iter()
            .filter(|(_, bindings)| bindings.iter().any(bound))
            .map(|(queue, _)| queue.clone())
            .collect()
    }
}
