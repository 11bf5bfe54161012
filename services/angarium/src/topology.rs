//! `angarium topology export`: prints broker definitions for a RabbitMQ on which the services may declare nothing.
//! `prune` removes outdated bindings. The export needs no broker and no database.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use messaging::Participant;
use messaging::definitions::{Account, Definitions};
use runtime::run::answer;

use crate::args::Config;
use crate::registry::SERVICES;

pub mod command;
mod passwords;
mod prune;

use command::{Export, Topology};

/// # Errors
/// If the files or the broker cannot be used, or the output cannot be written.
pub async fn run(config: &Config, asked: &Topology) -> anyhow::Result<()> {
    match asked {
        Topology::Export(asked) => export(asked),
        Topology::Prune(asked) => prune::prune(config, asked).await,
    }
}

fn export(export: &Export) -> anyhow::Result<()> {
    let mut accounts = accounts(export.all_in_one);
    for account in &mut accounts {
        if let Some(folder) = &export.passwords {
            account.password_hash = passwords::hash_of(folder, &account.name)?;
        }
    }
    if export.passwords.is_none() {
        // A closed stderr is no error.
        let _ = writeln!(
            std::io::stderr(),
            "The users have no passwords, so they cannot log in yet: see --passwords"
        );
    }
    let definitions = Definitions::new(&export.vhost, &export.prefix, &accounts);
    let text = serde_json::to_string_pretty(&definitions)?;
    match &export.output {
        Some(file) => replace(file, &format!("{text}\n"))
            .with_context(|| format!("cannot write the definitions to {}", file.display())),
        None => answer(&text),
    }
}

/// Atomic: readers of `file` see either the old content or `text`.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let beside = file.with_added_extension("new");
    let mut new = fs::File::create(&beside)?;
    // The broker's user must read it. It contains only salted hashes.
    new.set_permissions(fs::Permissions::from_mode(0o644))?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    Ok(fs::rename(&beside, file)?)
}

fn accounts(all_in_one: bool) -> Vec<Account> {
    let services = SERVICES
        .iter()
        .map(|service| service.definition.participant());
    let services: Vec<Participant> = services.collect();
    if all_in_one {
        return vec![account("angarium", &services)];
    }
    services
        .iter()
        .map(|service| account(service.service, std::slice::from_ref(service)))
        .collect()
}

fn account(name: &str, services: &[Participant]) -> Account {
    Account {
        name: name.to_owned(),
        password_hash: String::new(),
        services: services.iter().map(Participant::topology).collect(),
    }
}
