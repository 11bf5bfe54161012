//! The settings of event handling and storage.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::consumer::ConsumerConfig;
use crate::engine::EngineConfig;
use crate::retention::Retention;
use crate::retry::RetryPolicy;

/// Flags and variables of event handling and storage.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Events")]
pub struct EngineArgs {
    /// Maximum number of unacknowledged deliveries
    #[arg(long, env = "PREFETCH", default_value = "20", value_name = "N")]
    pub prefetch: String,

    /// Attempts before an event becomes a dead letter
    #[arg(long, env = "RETRY_ATTEMPTS", default_value = "12", value_name = "N")]
    pub retry_attempts: String,

    /// How long an event may fail before it becomes a dead letter
    #[arg(
        long,
        env = "RETRY_LONGEST_AGE",
        default_value = "1day",
        value_name = "TIME"
    )]
    pub retry_longest_age: String,

    /// How long an event of an unknown type waits for a process that knows the type; then it is skipped
    #[arg(long, env = "UNKNOWN_WAIT", default_value = "1h", value_name = "TIME")]
    pub unknown_wait: String,

    /// Maximum age of the oldest pending event; beyond it, commands answer RESOURCE_EXHAUSTED
    #[arg(
        long,
        env = "OUTBOX_BUDGET",
        default_value = "15min",
        value_name = "TIME"
    )]
    pub outbox_budget: String,

    /// Maximum number of pending events, unroutable ones included; beyond it, commands answer RESOURCE_EXHAUSTED
    #[arg(
        long,
        env = "OUTBOX_MAX_PENDING",
        default_value = "1000000",
        value_name = "N"
    )]
    pub outbox_max_pending: String,

    /// How long published events are kept
    #[arg(
        long,
        env = "OUTBOX_RETENTION",
        default_value = "7days",
        value_name = "TIME"
    )]
    pub outbox_retention: String,

    /// How long handled events are remembered; must exceed OUTBOX_RETENTION and RETRY_LONGEST_AGE together
    #[arg(
        long,
        env = "INBOX_RETENTION",
        default_value = "14days",
        value_name = "TIME"
    )]
    pub inbox_retention: String,

    /// How long a dead letter waits for a decision before it is discarded, or `never`; a discarded event never has its
    /// effect
    #[arg(
        long,
        env = "DEAD_LETTER_RETENTION",
        default_value = "never",
        value_name = "TIME"
    )]
    pub dead_letter_retention: String,

    /// How long decisions about dead letters are kept (who, when, why); at least INBOX_RETENTION
    #[arg(
        long,
        env = "DECISION_RETENTION",
        default_value = "365days",
        value_name = "TIME"
    )]
    pub decision_retention: String,
}

impl EngineArgs {
    /// Validates, as [`BrokerArgs::check`] does.
    pub fn check(&self, problem: &mut dyn FnMut(&str, &str, &str)) -> Option<EngineConfig> {
        let prefetch = number("PREFETCH", &self.prefetch, 1_u16, 10_000, problem);
        let attempts = number(
            "RETRY_ATTEMPTS",
            &self.retry_attempts,
            1_u32,
            1_000_000,
            problem,
        );
        let longest_age = time("RETRY_LONGEST_AGE", &self.retry_longest_age, problem);
        let unknown_wait = time("UNKNOWN_WAIT", &self.unknown_wait, problem);
        let outbox_budget = time("OUTBOX_BUDGET", &self.outbox_budget, problem);
        let max_pending = number(
            "OUTBOX_MAX_PENDING",
            &self.outbox_max_pending,
            1_u32,
            5_000_000,
            problem,
        );
        let outbox = time("OUTBOX_RETENTION", &self.outbox_retention, problem);
        let inbox = time("INBOX_RETENTION", &self.inbox_retention, problem);
        let dead_letters = match self.dead_letter_retention.trim() {
            "never" => Some(None),
            given => time("DEAD_LETTER_RETENTION", given, problem).map(Some),
        };
        let decisions = time("DECISION_RETENTION", &self.decision_retention, problem);
        let retry = RetryPolicy {
            attempts: attempts?,
            longest_age: longest_age?,
            ..RetryPolicy::default()
        };
        let retention = Retention {
            outbox: outbox?,
            inbox: inbox?,
            dead_letters: dead_letters?,
            decisions: decisions?,
            ..Retention::default()
        };
        if retention.decisions < retention.inbox {
            problem(
                "DECISION_RETENTION",
                &self.decision_retention,
                "at least INBOX_RETENTION: decisions are kept longer than their rows",
            );
            return None;
        }
        if let Err(disagreement) = retention.check(&retry) {
            problem(
                "INBOX_RETENTION",
                &self.inbox_retention,
                &disagreement.to_string(),
            );
            return None;
        }
        Some(EngineConfig {
            consumer: ConsumerConfig {
                prefetch: prefetch?,
                retry,
                unknown_wait: unknown_wait?,
                ..ConsumerConfig::default()
            },
            outbox_budget: outbox_budget?,
            outbox_max_pending: max_pending?,
            retention,
            ..EngineConfig::default()
        })
    }
}

fn number<T: Copy + FromStr + PartialOrd + Display>(
    setting: &str,
    given: &str,
    least: T,
    most: T,
    problem: &mut dyn FnMut(&str, &str, &str),
) -> Option<T> {
    let number = given
        .trim()
        .parse()
        .ok()
        .filter(|number| *number >= least && *number <= most);
    if number.is_none() {
        problem(
            setting,
            given,
            &format!("a whole number from {least} to {most}"),
        );
    }
    number
}

fn time(setting: &str, given: &str, problem: &mut dyn FnMut(&str, &str, &str)) -> Option<Duration> {
    let time = humantime::parse_duration(given.trim())
        .ok()
        .filter(|time| !time.is_zero());
    if time.is_none() {
        problem(setting, given, "a duration such as 30s, 15min or 7days");
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> EngineArgs {
        EngineArgs {
            prefetch: "20".into(),
            retry_attempts: "12".into(),
            retry_longest_age: "1day".into(),
            unknown_wait: "1h".into(),
            outbox_budget: "15min".into(),
            outbox_max_pending: "1000000".into(),
            outbox_retention: "7days".into(),
            inbox_retention: "14days".into(),
            dead_letter_retention: "never".into(),
            decision_retention: "365days".into(),
        }
    }

    fn problems(args: &EngineArgs) -> Vec<String> {
        let mut found = Vec::new();
        let checked =
            args.check(&mut |setting, _, expected| found.push(format!("{setting}: {expected}")));
        assert_eq!(checked.is_none(), !found.is_empty());
        found
    }

    #[test]
    fn a_too_short_inbox_retention_is_refused_with_both_settings() {
        assert_eq!(problems(&args()), [""; 0]);
        let found = problems(&EngineArgs {
            inbox_retention: "8days".into(),
            ..args()
        });
        assert_eq!(found.len(), 1);
        for setting in ["INBOX_RETENTION", "OUTBOX_RETENTION", "RETRY_LONGEST_AGE"] {
            assert!(found[0].contains(setting), "{found:?}");
        }
    }

    #[test]
    fn dead_letters_have_an_age_only_if_one_is_given() {
        let checked = |given: &str| {
            let args = EngineArgs {
                dead_letter_retention: given.into(),
                ..args()
            };
            args.check(&mut |_, _, _| {})
                .map(|config| config.retention.dead_letters)
        };
        assert_eq!(checked("never"), Some(None));
        let month = Duration::from_secs(30 * 24 * 3600);
        assert_eq!(checked("30days"), Some(Some(month)));
        assert_eq!(checked("0s"), None);
        assert_eq!(checked("often"), None);
    }

    #[test]
    fn decisions_outlive_the_inbox() {
        let found = problems(&EngineArgs {
            decision_retention: "13days".into(),
            ..args()
        });
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("DECISION_RETENTION"), "{found:?}");
    }

    #[test]
    fn every_mistake_is_found() {
        let found = problems(&EngineArgs {
            prefetch: "0".into(),
            outbox_budget: "soon".into(),
            outbox_max_pending: "many".into(),
            ..args()
        });
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
