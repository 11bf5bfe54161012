//! The counts of one piece of work, and their limits.

use std::collections::{BTreeMap, BTreeSet};

use super::frontend::Asked;
use super::print;

/// The requests of one piece of work, in order.
#[derive(Debug)]
pub struct Counted(Vec<(usize, Asked)>);

/// The limits for one piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Up to the last statement on each connection: a caller waits for these.
    pub round_trips: usize,
    /// Pings after that, while the connection returns to its pool.
    pub pings_after: usize,
    /// Statements without BEGIN, COMMIT and ROLLBACK.
    pub statements: usize,
}

impl Counted {
    pub(super) fn new(asked: Vec<(usize, Asked)>) -> Self {
        Self(asked)
    }

    /// All round trips except those that prepare a statement, once per connection.
    pub fn all(&self) -> usize {
        let prepared = |asked: &Asked| matches!(asked, Asked::Prepare(_));
        self.0.iter().filter(|(_, asked)| !prepared(asked)).count()
    }

    /// First fewer transactions, then fewer round trips.
    pub(super) fn order(&self) -> (usize, usize) {
        (self.commits(), self.all())
    }

    /// Round trips without the pings after the last statement of a connection.
    pub fn round_trips(&self) -> usize {
        self.all() - self.pings_after()
    }

    /// Pings after the last statement of a connection.
    pub fn pings_after(&self) -> usize {
        let mut trailing: BTreeMap<usize, usize> = BTreeMap::new();
        for (connection, asked) in &self.0 {
            let count = trailing.entry(*connection).or_default();
            *count = if *asked == Asked::Ping { *count + 1 } else { 0 };
        }
        trailing.values().sum()
    }

    /// Statements without those that begin and end transactions.
    pub fn statements(&self) -> usize {
        self.executed()
            .filter(|text| !is_of_a_transaction(text))
            .count()
    }

    /// The number of committed transactions.
    pub fn commits(&self) -> usize {
        self.executed().filter(|text| *text == "COMMIT").count()
    }

    /// Only the requests between BEGIN and COMMIT, for work that polls first.
    pub fn within_transactions(self) -> Self {
        let mut open = BTreeSet::new();
        let mut asked = self.0;
        asked.retain(|(connection, asked)| {
            let Asked::Execute(texts) = asked else {
                return open.contains(connection);
            };
            if texts.iter().any(|text| text.starts_with("BEGIN")) {
                open.insert(*connection);
            }
            let ends = texts.iter().any(|text| ends_a_transaction(text));
            if ends {
                return open.remove(connection);
            }
            open.contains(connection)
        });
        Self(asked)
    }

    /// Prints the counts and checks the limits.
    ///
    /// # Panics
    /// If a count is above its limit. Lists all requests.
    pub fn assert_within(&self, name: &str, limits: Limits) {
        let (trips, pings, statements) =
            (self.round_trips(), self.pings_after(), self.statements());
        print(&format!(
            "counted: {name}: {trips} round trips, {pings} pings after them, {statements} statements, {} transactions \
             (limits {}, {}, {})",
            self.commits(),
            limits.round_trips,
            limits.pings_after,
            limits.statements
        ));
        assert!(
            trips <= limits.round_trips
                && pings <= limits.pings_after
                && statements <= limits.statements,
            "{name} asks more than {limits:?}:\n{}",
            self.listed()
        );
    }

    /// One request per line, after its connection.
    fn listed(&self) -> String {
        let lines = self.0.iter().map(|(connection, asked)| match asked {
            Asked::Ping => format!("{connection}: ping"),
            Asked::Prepare(text) => format!("{connection}: prepare {text}"),
            Asked::Execute(texts) => format!("{connection}: {}", texts.join("; ")),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn executed(&self) -> impl Iterator<Item = &str> {
        let executed = self.0.iter().filter_map(|(_, asked)| match asked {
            Asked::Execute(texts) => Some(texts),
            Asked::Ping | Asked::Prepare(_) => None,
        });
        executed.flatten().map(String::as_str)
    }
}

fn is_of_a_transaction(text: &str) -> bool {
    text.starts_with("BEGIN") || ends_a_transaction(text)
}

fn ends_a_transaction(text: &str) -> bool {
    text.starts_with("COMMIT") || text.starts_with("ROLLBACK")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execute(text: &str) -> Asked {
        Asked::Execute(vec![text.to_owned()])
    }

    #[test]
    fn pings_on_the_way_back_are_counted_apart() {
        let counted = Counted::new(vec![
            (1, Asked::Ping),
            (1, execute("BEGIN")),
            (2, Asked::Ping),
            (1, execute("INSERT INTO a VALUES (1)")),
            (2, execute("SELECT 2")),
            (1, Asked::Prepare("SELECT 3".to_owned())),
            (1, execute("COMMIT")),
            (1, Asked::Ping),
            (2, Asked::Ping),
            (1, Asked::Ping),
        ]);
        assert_eq!((counted.round_trips(), counted.pings_after()), (6, 3));
        assert_eq!((counted.statements(), counted.commits()), (2, 1));
        let within = counted.within_transactions();
        assert_eq!((within.all(), within.statements()), (3, 1));
    }

    #[test]
    #[should_panic(expected = "a call asks more than")]
    fn one_statement_too_many_fails_the_test() {
        let counted = Counted::new(vec![(1, execute("SELECT 1"))]);
        let limits = Limits {
            round_trips: 1,
            pings_after: 0,
            statements: 0,
        };
        counted.assert_within("a call", limits);
    }
}
