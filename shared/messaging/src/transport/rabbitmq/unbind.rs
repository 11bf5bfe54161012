//! Removes bindings, only for an operator's command.

use lapin::types::FieldTable;

use super::RabbitMq;
use super::connection::short;
use crate::pruning::Bound;
use crate::transport::TransportError;

impl RabbitMq {
    pub(crate) async fn unbind(&self, bound: &[Bound]) -> Result<(), TransportError> {
        let connection = self.connect("prune").await?;
        for Bound { queue, binding } in bound {
            let exchange = connection.name(&binding.exchange)?;
            let (queue, pattern) = (connection.name(queue)?, &binding.pattern);
            let action = format!("unbinding queue `{queue}` from `{exchange}` with `{pattern}`");
            let key = short(pattern)?;
            let unbinding =
                connection
                    .channel
                    .queue_unbind(queue, exchange, key, FieldTable::default());
            connection.wait(&action, unbinding).await?;
        }
        connection.close().await;
        Ok(())
    }
}
