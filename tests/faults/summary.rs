//! What all runs have found, as a table in Markdown: what the README shows, made by the runs themselves.

use std::fmt;

use crate::checker::Verdict;

/// One run's line.
pub(crate) struct Row {
    pub(crate) name: String,
    /// What is broken in it.
    pub(crate) broken: String,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    Judged(Verdict),
    /// A run that asks rather than counts, and what it has found.
    Answered {
        passed: bool,
        said: String,
    },
    /// It did not come to a verdict.
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

impl fmt::Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| run | what is broken | attempted | acknowledged | effects | lost | duplicated | ghost | inversions | drain s | verdict |"
        )?;
        writeln!(
            formatter,
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
        )?;
        for row in self.0 {
            let Row {
                name,
                broken,
                outcome,
            } = row;
            let end = verdict(outcome);
            let numbers = numbers(outcome).join(" | ");
            writeln!(formatter, "| `{name}` | {broken} | {numbers} | {end} |")?;
        }
        Ok(())
    }
}

fn numbers(outcome: &Outcome) -> [String; 8] {
    let Outcome::Judged(verdict) = outcome else {
        return std::array::from_fn(|_| "–".to_owned());
    };
    let drain = verdict.drain.map_or("never".to_owned(), |drain| {
        format!("{:.1}", drain.as_secs_f64())
    });
    [
        verdict.attempted.to_string(),
        verdict.acknowledged.to_string(),
        verdict.effects.to_string(),
        verdict.lost.to_string(),
        verdict.duplicated.to_string(),
        verdict.ghost.to_string(),
        // A version that was passed over is out of order as well.
        (verdict.inversions + verdict.gaps).to_string(),
        drain,
    ]
}

fn verdict(outcome: &Outcome) -> String {
    let passed = if outcome.passes() { "pass" } else { "**FAIL**" };
    match outcome {
        Outcome::Judged(_) => passed.to_owned(),
        Outcome::Answered { said, .. } => format!("{passed}: {said}"),
        Outcome::Failed(error) => format!("{passed}: {}", one_line(error)),
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
    fn a_verdict_is_a_line_of_numbers() {
        let verdict = Verdict {
            attempted: 10,
            acknowledged: 9,
            effects: 9,
            gaps: 1,
            drain: Some(Duration::from_millis(1500)),
            ..Verdict::default()
        };
        assert_eq!(
            last_line(Outcome::Judged(verdict)),
            "| `crash` | Sudden death | 10 | 9 | 9 | 0 | 0 | 0 | 1 | 1.5 | **FAIL** |"
        );
    }

    #[test]
    fn what_counts_nothing_says_what_it_has_found() {
        let said = "8 of 8 caught".to_owned();
        let line = last_line(Outcome::Answered { passed: true, said });
        assert!(line.ends_with("| – | – | pass: 8 of 8 caught |"), "{line}");
    }

    #[test]
    fn an_error_stays_within_its_line() {
        let line = last_line(Outcome::Failed("one | two\nthree".to_owned()));
        assert!(line.ends_with("| **FAIL**: one \\| two three |"), "{line}");
    }
}
