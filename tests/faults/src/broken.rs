//! Checks the checks: an engine with a deliberate mistake must fail, with the symptom of this mistake.
//!
//! Each mistake is made in the run that must catch it. The same run without the mistake must pass right before: this is the
//! control, because a busy machine could fail a run too. For the same reason only the mistake's own symptom counts.

use std::collections::BTreeSet;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::VIOLATED;
use crate::summary::Outcome;

/// How often each mistake is made, each time with another seed, and how often it must be caught.
const RUNS: u64 = 10;
const MUST: u64 = 9;

/// Seconds for a run with a mistake, which may never become quiet. A control has the usual time, because the machine may be busy.
const PATIENCE: &str = "8";

struct Mutant {
    mistake: &'static str,
    /// The run that must catch it.
    aimed: &'static [&'static str],
    symptom: Symptom,
}

#[derive(Clone, Copy)]
enum Symptom {
    /// An effect of a command that was never committed.
    Ghost,
    /// Events without effect that are neither pending nor held. A late event is pending or held, so it does not count.
    Lost,
    /// Events that the relay never reads again: they are pending, and later ones are published.
    PassedOver,
    Duplicated,
    /// Effects that came before the effect of an earlier version.
    Inverted,
    /// Lost events that the consumer does not show.
    Unshown,
}

const MUTANTS: [Mutant; 11] = [
    Mutant {
        mistake: "publish-before-commit",
        aimed: &["crash", "--point", "enqueued"],
        symptom: Symptom::Ghost,
    },
    Mutant {
        mistake: "mark-before-confirm",
        aimed: &["crash", "--point", "claimed"],
        symptom: Symptom::Lost,
    },
    Mutant {
        mistake: "ignore-return",
        aimed: &["unrouted"],
        symptom: Symptom::Lost,
    },
    Mutant {
        mistake: "return-by-position",
        aimed: &["neighbours"],
        symptom: Symptom::Lost,
    },
    Mutant {
        mistake: "ack-before-commit",
        aimed: &["crash", "--point", "handled"],
        symptom: Symptom::Lost,
    },
    Mutant {
        // Each on its own, because the order keeps out a repeated version too.
        mistake: "no-inbox",
        aimed: &["crash", "--point", "done", "--each"],
        symptom: Symptom::Duplicated,
    },
    Mutant {
        mistake: "cursor-polling",
        aimed: &["late-commit"],
        symptom: Symptom::PassedOver,
    },
    Mutant {
        mistake: "no-version-guard",
        aimed: &["order"],
        symptom: Symptom::Inverted,
    },
    Mutant {
        mistake: "swallow-relay-error",
        aimed: &["lossy"],
        symptom: Symptom::Lost,
    },
    Mutant {
        mistake: "checkpoint-skips-an-id",
        aimed: &["missing-binding"],
        symptom: Symptom::Unshown,
    },
    Mutant {
        mistake: "repair-ignores-inbox",
        aimed: &["missing-binding"],
        symptom: Symptom::Duplicated,
    },
];

#[derive(Clone, Default, clap::Args)]
pub(crate) struct Broken {
    /// This mistake only
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(mistakes()))]
    mistake: Option<String>,
}

fn mistakes() -> impl Iterator<Item = &'static str> {
    MUTANTS.iter().map(|mutant| mutant.mistake)
}

/// Makes each mistake ten times; once in the short form.
pub(crate) async fn run(broken: &Broken, seed: u64, quick: bool) -> Result<Outcome> {
    let (runs, must) = if quick { (1, 1) } else { (RUNS, MUST) };
    let only = broken.mistake.as_deref();
    let chosen = MUTANTS
        .iter()
        .filter(|mutant| only.is_none_or(|only| only == mutant.mistake));
    let (mut all, mut noticed) = (0, 0);
    for mutant in chosen {
        all += 1;
        noticed += usize::from(is_noticed(mutant, seed..seed + runs, must).await?);
    }
    let passed = noticed == all;
    let said = format!(
        "{noticed} of {all} mistakes caught, each by its own symptom in at least {must} of {runs} runs; each run passes without the mistake"
    );
    println!("broken: {} {said}", if passed { "pass" } else { "FAIL" });
    Ok(Outcome::Answered {
        passed,
        said,
        left_out: BTreeSet::new(),
    })
}

async fn is_noticed(mutant: &Mutant, seeds: std::ops::Range<u64>, must: u64) -> Result<bool> {
    let (mistake, symptom) = (mutant.mistake, mutant.symptom.name());
    let runs = seeds.end - seeds.start;
    let (mut sound, mut caught) = (0, 0);
    for seed in seeds {
        let control = aimed(mutant, seed, None).await?;
        if !control.status.success() {
            println!("CONTROL FAILED {mistake}, seed {seed}: {control}");
            continue;
        }
        sound += 1;
        let wrong = aimed(mutant, seed, Some(mistake)).await?;
        if wrong.shows(mutant.symptom) {
            caught += 1;
        } else {
            println!("NOT CAUGHT {mistake}, seed {seed}, expected {symptom}: {wrong}");
        }
        if sound == 1 {
            println!("broken {mistake}: control: {}", control.verdict);
            println!("broken {mistake}: with the mistake: {}", wrong.verdict);
        }
    }
    println!(
        "broken {mistake}: caught by {symptom} in {caught} of {runs} runs; {sound} controls passed"
    );
    Ok(sound == runs && caught >= must)
}

/// How a run ended.
struct Ended {
    status: ExitStatus,
    verdict: String,
    complaint: String,
}

async fn aimed(mutant: &Mutant, seed: u64, mistake: Option<&str>) -> Result<Ended> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--quick", "--seed", &seed.to_string()])
        .args(mistake.map_or(&[][..], |_| &["--patience", PATIENCE]))
        .args(mutant.aimed)
        .env_remove(switches::BROKEN)
        .envs(mistake.map(|mistake| (switches::BROKEN, mistake)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.context("starting the aimed run")?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(Ended {
        status: output.status,
        verdict: said.lines().last().unwrap_or("no verdict").to_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl Ended {
    fn shows(&self, symptom: Symptom) -> bool {
        // A run that stopped with an error has caught nothing.
        self.status.code() == Some(VIOLATED.into()) && symptom.is_in(&self.verdict)
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            status,
            verdict,
            complaint,
        } = self;
        write!(formatter, "({status}) {verdict} {}", complaint.trim_end())
    }
}

impl Symptom {
    fn name(self) -> &'static str {
        match self {
            Self::Ghost => "ghost",
            Self::Lost => "lost",
            Self::PassedOver => "passed_over",
            Self::Duplicated => "duplicated",
            Self::Inverted => "inversions",
            Self::Unshown => "unshown",
        }
    }

    fn is_in(self, verdict: &str) -> bool {
        let shown = number(verdict, self.name());
        match self {
            Self::Lost => shown > number(verdict, "unfinished"),
            Self::Ghost | Self::PassedOver | Self::Duplicated | Self::Inverted | Self::Unshown => {
                shown > 0
            }
        }
    }
}

/// The number with this name in a verdict.
fn number(verdict: &str, name: &str) -> u64 {
    let mut words = verdict.split(' ').filter_map(|word| word.split_once('='));
    let number = words.find(|(named, _)| *named == name);
    number
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Verdict;

    #[test]
    fn each_mistake_has_a_run_that_must_catch_it() {
        assert_eq!(mistakes().collect::<Vec<_>>(), switches::MISTAKES);
    }

    #[test]
    fn a_late_run_shows_no_symptom() {
        let late = Verdict {
            lost: 12,
            unfinished: 12,
            ..Verdict::default()
        };
        assert!(!late.passes());
        let late = format!("crash: {late}");
        for mutant in MUTANTS {
            assert!(!mutant.symptom.is_in(&late), "{}", mutant.mistake);
        }
    }

    #[test]
    fn each_symptom_shows_in_its_own_number_only() {
        let sound = Verdict::default;
        #[rustfmt::skip]
        let verdicts = [
            (Symptom::Ghost, Verdict { ghost: 1, ..sound() }),
            (Symptom::Lost, Verdict { lost: 2, unfinished: 1, ..sound() }),
            (Symptom::PassedOver, Verdict { lost: 1, unfinished: 1, passed_over: 1, ..sound() }),
            (Symptom::Duplicated, Verdict { duplicated: 1, ..sound() }),
            (Symptom::Inverted, Verdict { inversions: 1, ..sound() }),
            (Symptom::Unshown, Verdict { unshown: 1, ..sound() }),
        ];
        for (shown, verdict) in &verdicts {
            for (other, _) in &verdicts {
                let same = shown.name() == other.name();
                assert_eq!(other.is_in(&verdict.to_string()), same, "{verdict}");
            }
        }
    }
}
