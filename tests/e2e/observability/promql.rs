//! Finds the time series and labels in a PromQL expression. Not a parser: it distinguishes names from functions,
//! keywords, numbers and quoted text. Unknown words count as series, so that no name is missed.

use std::collections::BTreeSet;

/// The names in one expression.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Named {
    pub(super) series: BTreeSet<String>,
    pub(super) labels: BTreeSet<String>,
}

/// Words that may stand without a `(` behind them and are no series.
const WORDS: [&str; 9] = [
    "and", "bool", "count", "max", "min", "offset", "or", "sum", "unless",
];
/// Words that a list of labels follows.
const LISTS: [&str; 6] = [
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "on",
    "without",
];

impl Named {
    pub(super) fn of(expression: &str) -> Self {
        let mut named = Self::default();
        // Quoted text contains no names. The label in `label_values(series, label)` selects nothing.
        let bare: String = expression.split('"').step_by(2).collect();
        let mut rest = match bare.strip_prefix("label_values(") {
            Some(arguments) => arguments.split(',').next().unwrap_or_default(),
            None => &bare,
        };
        while let Some(start) = rest.find(|char| is_word(char) || matches!(char, '{' | '[')) {
            rest = &rest[start..];
            if let Some(matchers) = rest.strip_prefix('{') {
                rest = named.add_labels(matchers, '}');
                continue;
            }
            if let Some(range) = rest.strip_prefix('[') {
                rest = range.split_once(']').map_or("", |(_, behind)| behind);
                continue;
            }
            let end = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            rest = behind;
            if LISTS.contains(&word) {
                rest = named.add_labels(behind, ')');
            } else if !behind.starts_with('(')
                && !WORDS.contains(&word)
                && !word.starts_with(|char: char| char.is_ascii_digit())
            {
                named.series.insert(word.to_owned());
            }
        }
        named
    }

    /// Reads the labels up to `end`, and returns the rest.
    fn add_labels<'a>(&mut self, text: &'a str, end: char) -> &'a str {
        let (list, behind) = text.split_once(end).unwrap_or((text, ""));
        let labels = list
            .split(|char| !is_word(char))
            .filter(|label| !label.is_empty());
        self.labels.extend(labels.map(str::to_owned));
        behind
    }
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | ':' | '$')
}

#[test]
fn names_are_distinguished_from_functions_and_other_tokens() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for (expression, series, labels) in [
        ("up == 0", &["up"][..], &[][..]),
        (
            r#"sum by (a, le) (rate(x_bucket{b="c_d", e!~"f.*"}[5m])) / 0.5"#,
            &["x_bucket"],
            &["a", "le", "b", "e"],
        ),
        (
            "min_over_time(max by (a) (x)[5m:1m]) > 0 unless on (a) y offset 10m",
            &["x", "y"],
            &["a"],
        ),
        ("label_values(x, service_name)", &["x"], &[]),
        ("summ by (a) (x)", &["summ", "x"], &["a"]),
    ] {
        let expected = Named {
            series: set(series),
            labels: set(labels),
        };
        assert_eq!(Named::of(expression), expected, "{expression}");
    }
}
