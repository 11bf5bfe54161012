//! `angarium dead-letters`: lists dead letters, and records the operator's decisions.
//!
//! It works on the databases, while the services run or not: the service acts on a decision within five seconds, or at
//! its next start. Sensitive fields are not shown.

use anyhow::{Context as _, ensure};
use messaging::Store;
use messaging::dead_letters::{DeadLetter, DeadLetters};
use runtime::run::answer;

use crate::args::Config;
use crate::registry;
use crate::system;

mod audit;
pub mod command;
mod text;

use command::{Command, Place, Replay, Why};
use text::{PAGE, or_none, plain, time};

/// # Errors
/// If the database cannot be reached, no dead letter has the id, or the output cannot be written.
pub async fn run(config: &Config, command: &Command) -> anyhow::Result<()> {
    let said = match command {
        Command::List(asked) => list(&asked.place.open(config).await?).await?,
        Command::Audit(asked) => {
            let dead_letters = asked.place.open(config).await?;
            audit::list(&dead_letters, asked.event_id.as_deref()).await?
        }
        Command::Show(asked) => show(&asked.place.open(config).await?, &asked.event_id).await?,
        Command::Replay(asked) => replay(&asked.place.open(config).await?, asked).await?,
        Command::Discard(asked) => {
            let dead_letters = asked.place.open(config).await?;
            let (event_id, why) = (&asked.event_id, &asked.why);
            let discarded = dead_letters
                .discard(event_id, &why.actor, &why.reason)
                .await?;
            ensure!(discarded, no_such(event_id));
            format!("{event_id} discarded")
        }
    };
    answer(&said)
}

impl Place {
    async fn open(&self, config: &Config) -> anyhow::Result<DeadLetters> {
        let name = self.service.as_str();
        let service = registry::named(name).context("there is no such service")?;
        let at = match &config.database {
            Some(own) if self.own_database => own.clone(),
            Some(_) => system::database(config, name),
            None => {
                ensure!(!self.own_database, "--own-database needs DATABASE_URL");
                let file = system::file(&config.data_dir, name);
                // Connecting would create an empty file.
                ensure!(
                    file.exists(),
                    "{} does not exist: {name} has not run in this data folder",
                    file.display()
                );
                system::database(config, name)
            }
        };
        let db = store::connect(&at, "angarium dead-letters").await?;
        Ok(DeadLetters::new(
            Store::new(db),
            &service.definition.queue(),
        ))
    }
}

async fn list(dead_letters: &DeadLetters) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let mut last: Option<DeadLetter> = None;
    loop {
        let page = dead_letters.list(last.as_ref(), PAGE).await?;
        lines.extend(page.iter().map(line));
        match page.into_iter().last() {
            Some(end) => last = Some(end),
            None if lines.is_empty() => return Ok("no dead letters".to_owned()),
            None => return Ok(lines.join("\n")),
        }
    }
}

fn line(letter: &DeadLetter) -> String {
    let state = match letter {
        letter if letter.discarded => "discarded",
        letter if letter.skipped => "skipped",
        _ => "dead",
    };
    let at = time(letter.last_failed_at_ms.unwrap_or(letter.received_at_ms));
    let event_type = letter.event_type.as_deref().unwrap_or("(no type)");
    let cause = letter.cause.as_deref().unwrap_or("unknown type");
    let blocks = match letter.blocks {
        0 => String::new(),
        blocks => format!("; {blocks} waiting behind it"),
    };
    plain(&format!(
        "{at}  {}  {state}  {event_type}  {cause}{blocks}",
        letter.event_id
    ))
}

async fn show(dead_letters: &DeadLetters, event_id: &str) -> anyhow::Result<String> {
    let decisions = dead_letters.decisions(event_id).await?;
    let decisions = decisions.iter().map(audit::about);
    let Some(letter) = dead_letters.find(event_id).await? else {
        ensure!(decisions.len() > 0, no_such(event_id));
        let gone = format!("{event_id} is no dead letter any more");
        let lines: Vec<String> = [gone].into_iter().chain(decisions).collect();
        return Ok(lines.join("\n"));
    };
    let version = letter.aggregate_version.map(|version| version.to_string());
    let mut lines = vec![
        line(&letter),
        format!(
            "aggregate    {} version {}",
            or_none(letter.aggregate_id.as_deref()),
            or_none(version.as_deref())
        ),
        format!("attempts     {}", letter.attempts),
        format!("replays      {}", letter.replays),
        format!("failure      {}", or_none(letter.fingerprint.as_deref())),
        format!("received     {}", time(letter.received_at_ms)),
        format!(
            "first failed {}",
            or_none(letter.first_failed_at_ms.map(time).as_deref())
        ),
        format!(
            "published to {} with {}",
            letter.message.exchange, letter.message.routing_key
        ),
        format!("published by {}", or_none(letter.source.as_deref())),
        format!(
            "correlation  {}",
            or_none(letter.message.correlation_id.as_deref())
        ),
        format!("trace        {}", or_none(letter.trace_id.as_deref())),
        format!("body         {}", body(&letter)),
    ];
    let headers = letter.message.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("header       {name}: {value}")));
    lines.extend(decisions);
    let lines: Vec<String> = lines.iter().map(|line| plain(line)).collect();
    Ok(lines.join("\n"))
}

/// Sensitive fields stay hidden, also in events that this build cannot read.
fn body(letter: &DeadLetter) -> String {
    let size = letter.message.body.len();
    let named = |info: &&contracts::EventInfo| Some(info.type_name) == letter.event_type.as_deref();
    let shown = contracts::EVENTS
        .iter()
        .find(named)
        .map(|info| (info.show)(&letter.message.body));
    match shown {
        Some(Ok(event)) => event,
        Some(Err(error)) => format!("{size} bytes that cannot be decoded as this event: {error}"),
        None => format!("{size} bytes of an unknown type"),
    }
}

async fn replay(dead_letters: &DeadLetters, asked: &Replay) -> anyhow::Result<String> {
    let Why { reason, actor } = &asked.why;
    let Some(event_id) = &asked.event_id else {
        let event_type = asked.event_type.as_deref();
        let replayed = dead_letters.replay_all(event_type, actor, reason).await?;
        return Ok(format!("{replayed} replayed"));
    };
    ensure!(
        dead_letters.replay(event_id, actor, reason).await?,
        no_such(event_id)
    );
    Ok(format!("{event_id} replayed"))
}

fn no_such(event_id: &str) -> String {
    format!("no dead letter of this service has the id {event_id}; run `list` to see all")
}
