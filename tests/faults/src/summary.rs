//! The verdicts of all runs as a Markdown table, for docs/fault-runs.md.

use std::collections::BTreeSet;
use std::fmt;

use crate::checker::{Verdict, word};

/// The row of one run.
pub(crate) struct Row {
    pub(crate) name: String,
    /// What the run breaks.
    pub(crate) broken: String,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    Judged(Verdict),
    /// A run without numbers, and its result.
    Answered {
        passed: bool,
        said: String,
        left_out: BTreeSet<&'static str>,
    },
    /// A run that stopped with an error.
    Failed(String),
}

impl Outcome {
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Judged(verdict) => verdict.passes(),
            Self::Answered { passed, .. } => *passed,
            Self::Failed(_) => false,
        }
    }
}

pub(crate) struct Summary<'a>(pub(crate) &'a [Row]);

/// The columns with numbers.
const COLUMNS: [&str; 8] = [
    "attempted",
    "acknowledged",
    "effects",
    "lost",
    "duplicated",
    "ghost",
    "out of order",
    "drain s",
];

/// Stands for a number that a run does not have: a 0 would claim that it was checked.
const NONE: &str = "–";

/// Whether a run does not have this number.
fn lacks(run: &str, column: &str) -> bool {
    match run {
        // Each event has its own account.
        "neighbours" => column == "out of order",
        // The consumers handle each event on its own.
        "races" => column == "out of order",
        _ => false,
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = COLUMNS.join(" | ");
        writeln!(formatter, "| run | what is broken | {columns} | verdict |")?;
        let numeric = ["---:"; COLUMNS.len()].join(" | ");
        writeln!(formatter, "| --- | --- | {numeric} | --- |")?;
        for row in self.0 {
            let Row {
                name,
                broken,
                outcome,
            } = row;
            let end = verdict(outcome);
            let numbers = numbers(name, outcome).join(" | ");
            writeln!(formatter, "| `{name}` | {broken} | {numbers} | {end} |")?;
        }
        Ok(())
    }
}

fn numbers(run: &str, outcome: &Outcome) -> [String; COLUMNS.len()] {
    let Outcome::Judged(verdict) = outcome else {
        return COLUMNS.map(|_| NONE.to_owned());
    };
    COLUMNS.map(|column| {
        if lacks(run, column) {
            NONE.to_owned()
        } else {
            number(verdict, column)
        }
    })
}

fn number(verdict: &Verdict, column: &str) -> String {
    let number = match column {
        "attempted" => verdict.attempted,
        "acknowledged" => verdict.acknowledged,
        "effects" => verdict.effects,
        "lost" => verdict.lost,
        "duplicated" => verdict.duplicated,
        "ghost" => verdict.ghost,
        // A gap is out of order as well.
        "out of order" => verdict.inversions + verdict.gaps,
        _ => {
            let drain = verdict.drain.map(|drain| drain.as_secs_f64());
            return drain.map_or("never".to_owned(), |drain| format!("{drain:.1}"));
        }
    };
    in_thousands(number)
}

fn in_thousands(number: usize) -> String {
    match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{},{rest:03}", in_thousands(thousands)),
    }
}

fn verdict(outcome: &Outcome) -> String {
    let none = BTreeSet::new();
    let (left_out, said) = match outcome {
        Outcome::Judged(verdict) => (&verdict.left_out, ""),
        Outcome::Answered { said, left_out, .. } => (left_out, said.as_str()),
        Outcome::Failed(error) => (&none, error.as_str()),
    };
    let word = word(outcome.passes(), left_out).replace("FAIL", "**FAIL**");
    if said.is_empty() {
        word
    } else {
        format!("{word}: {}", one_line(said))
    }
}

fn one_line(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(outcome: Outcome) -> Row {
        Row {
            name: "crash".to_owned(),
            broken: "Sudden death".to_owned(),
            outcome,
        }
    }

    fn last_line(outcome: Outcome) -> String {
        let table = Summary(&[row(outcome)]).to_string();
        assert_eq!(table.lines().count(), 3);
        table.lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_verdict_becomes_a_row_of_numbers() {
        let verdict = Verdict {
            attempted: 1_012_010,
            acknowledged: 9,
            effects: 9,
            gaps: 1,
            drain: Some(Duration::from_millis(1500)),
            ..Verdict::default()
        };
        assert_eq!(
            last_line(Outcome::Judged(verdict)),
            "| `crash` | Sudden death | 1,012,010 | 9 | 9 | 0 | 0 | 0 | 1 | 1.5 | **FAIL** |"
        );
    }

    #[test]
    fn a_number_that_a_run_does_not_have_is_no_zero() {
        let row = Row {
            name: "races".to_owned(),
            ..row(Outcome::Judged(Verdict::default()))
        };
        let table = Summary(&[row]).to_string();
        assert!(table.contains("| 0 | – | never | **FAIL** |"), "{table}");
    }

    #[test]
    fn a_run_without_numbers_shows_its_result() {
        let line = last_line(Outcome::Answered {
            passed: true,
            said: "8 of 8 caught".to_owned(),
            left_out: BTreeSet::new(),
        });
        assert!(line.ends_with("| – | – | pass: 8 of 8 caught |"), "{line}");
    }

    #[test]
    fn the_verdict_names_what_was_left_out() {
        let left_out: BTreeSet<_> = ["kills"].into();
        let asked = last_line(Outcome::Answered {
            passed: true,
            said: String::new(),
            left_out: left_out.clone(),
        });
        let judged = last_line(Outcome::Judged(Verdict {
            effects: 1,
            drain: Some(Duration::ZERO),
            left_out,
            ..Verdict::default()
        }));
        for line in [asked, judged] {
            assert!(line.ends_with("| pass (without kills) |"), "{line}");
        }
    }

    #[test]
    fn an_error_stays_in_one_line() {
        let line = last_line(Outcome::Failed("one | two\nthree".to_owned()));
        assert!(line.ends_with("| **FAIL**: one \\| two three |"), "{line}");
    }
}
