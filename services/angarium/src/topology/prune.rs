//! `angarium topology prune`: removes bindings of the services' queues that this release does not declare.
//!
//! A start never removes one, because the previous release may still run: an operator does. AMQP cannot list bindings,
//! so RabbitMQ's list is an input; the queue file is read directly.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use messaging::pruning::{self, Bound};
use messaging::transport::{Broker, Topology};
use runtime::run::answer;

use super::command::Prune;
use crate::args::Config;
use crate::registry::SERVICES;
use crate::system;

/// # Errors
/// If the list is missing or cannot be read, the broker refuses, or the output cannot be written.
pub(super) async fn prune(config: &Config, asked: &Prune) -> anyhow::Result<()> {
    let broker = system::broker(config).await?;
    let bound = bound(&broker, asked).await?;
    let services = SERVICES.iter().map(|service| &service.definition);
    let topologies: Vec<Topology> = services
        .map(|service| service.participant().topology())
        .collect();
    let stale = pruning::stale(&bound, &topologies);
    if !asked.dry_run {
        pruning::unbind(&broker, &stale).await?;
    }
    let said = report(&stale, asked.dry_run);
    answer(&said)
}

async fn bound(broker: &Broker, asked: &Prune) -> anyhow::Result<Vec<Bound>> {
    match (broker, &asked.bindings) {
        (Broker::Embedded(embedded), None) => Ok(embedded.bound()),
        (Broker::Embedded(_), Some(_)) => {
            bail!("--bindings needs AMQP_URL, which is not set; the queue file needs no list")
        }
        (Broker::RabbitMq(_), None) => bail!(
            "AMQP cannot list bindings. What to do: `rabbitmqctl -q list_bindings --vhost NAME --formatter json | \
             angarium topology prune --bindings - --dry-run`"
        ),
        (Broker::RabbitMq(config), Some(file)) => {
            let list = list(file)
                .with_context(|| format!("cannot read the bindings from {}", file.display()))?;
            Ok(pruning::read(&list, &config.vhost(), &config.prefix)?)
        }
    }
}

fn list(file: &Path) -> std::io::Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file);
    }
    let mut list = String::new();
    std::io::stdin().read_to_string(&mut list)?;
    Ok(list)
}

fn report(stale: &[Bound], dry_run: bool) -> String {
    if stale.is_empty() {
        return "no outdated bindings".to_owned();
    }
    let done = if dry_run { "would remove" } else { "removed" };
    let line = |bound: &Bound| {
        let Bound { queue, binding } = bound;
        format!(
            "{done}: {queue} from {} with {}",
            binding.exchange, binding.pattern
        )
    };
    stale.iter().map(line).collect::<Vec<_>>().join("\n")
}
