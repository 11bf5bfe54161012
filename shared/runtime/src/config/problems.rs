//! Collects the mistakes in a configuration, so that one start reports all of them.
//!
//! A setting is named by its environment variable. Its flag has the same name in kebab case.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The mistakes so far, as sentences for the operator.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<String>,
    /// Of secrets, by variable.
    files: BTreeMap<String, PathBuf>,
}

impl Problems {
    pub(crate) fn read_from(&mut self, variable: String, file: PathBuf) {
        self.files.insert(variable, file);
    }

    pub(crate) fn file_of(&self, variable: &str) -> Option<&Path> {
        self.files.get(variable).map(PathBuf::as_path)
    }

    /// Parses `raw`. If it is invalid, adds a problem with the `expected` form.
    pub fn parse<T: FromStr>(&mut self, setting: &str, raw: &str, expected: &str) -> Option<T> {
        let parsed = raw.trim().parse().ok();
        if parsed.is_none() {
            self.add(setting, raw, expected);
        }
        parsed
    }

    /// Parses `raw` as a number within `range`, both ends included.
    pub fn number<T>(&mut self, setting: &str, raw: &str, range: (T, T)) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let (least, most) = range;
        let number = raw.trim().parse::<T>().ok();
        let within = number.filter(|number| *number >= least && *number <= most);
        if within.is_none() {
            let expected = format!("a whole number from {least} to {most}");
            self.add(setting, raw, &expected);
        }
        within
    }

    /// Parses `raw` as a number from `least` on, or as `off`, which is `None`.
    pub fn number_or_off<T>(&mut self, setting: &str, raw: &str, least: T) -> Option<Option<T>>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        if raw.trim() == "off" {
            return Some(None);
        }
        let number = raw.trim().parse::<T>().ok();
        let enough = number.filter(|number| *number >= least);
        if enough.is_none() {
            let expected = format!("a whole number from {least}, or off");
            self.add(setting, raw, &expected);
        }
        enough.map(Some)
    }

    /// Parses `raw` as a duration such as `250ms`, `10s` or `2m`.
    pub fn duration(&mut self, setting: &str, raw: &str) -> Option<Duration> {
        let parsed = humantime::parse_duration(raw.trim()).ok();
        if parsed.is_none() {
            self.add(setting, raw, "a span of time such as 250ms, 10s or 2m");
        }
        parsed
    }

    /// As [`Problems::duration`], but within `range`, both ends included.
    pub fn duration_within(
        &mut self,
        setting: &str,
        raw: &str,
        range: (Duration, Duration),
    ) -> Option<Duration> {
        let (least, most) = range;
        let duration = self.duration(setting, raw)?;
        if duration >= least && duration <= most {
            return Some(duration);
        }
        let least = humantime::format_duration(least);
        let most = humantime::format_duration(most);
        let expected = format!("a span of time from {least} to {most}");
        self.add(setting, raw, &expected);
        None
    }

    /// Adds a wrong value. Not for secrets: it is shown.
    pub fn add(&mut self, setting: &str, raw: &str, expected: &str) {
        if raw.is_empty() {
            return self.missing(setting, expected);
        }
        let name = named(setting);
        self.found
            .push(format!("{name}: {raw:?} given, expected {expected}"));
    }

    /// Adds a wrong secret, without its value.
    pub fn add_secret(&mut self, setting: &str, expected: &str) {
        let name = named(setting);
        self.found.push(format!(
            "{name}: the given value (not shown, it is a secret) is wrong, expected {expected}"
        ));
    }

    /// Adds a missing setting without a default.
    pub fn missing(&mut self, setting: &str, expected: &str) {
        let name = named(setting);
        self.found
            .push(format!("{name}: not set or empty, expected {expected}"));
    }

    /// Adds a mistake that is not about one value, as a sentence.
    pub fn note(&mut self, sentence: impl Into<String>) {
        self.found.push(sentence.into());
    }

    /// Whether there are no mistakes.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// In the order in which they were found.
    pub fn into_sentences(self) -> Vec<String> {
        self.found
    }
}

fn named(setting: &str) -> String {
    let flag = setting.to_ascii_lowercase().replace('_', "-");
    format!("{setting} (--{flag})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_setting_value_and_expected_form() {
        let mut problems = Problems::default();
        let port: Option<u16> = problems.parse("SMTP_PORT", "many", "a port");
        assert_eq!(port, None);
        assert_eq!(
            problems.into_sentences(),
            [r#"SMTP_PORT (--smtp-port): "many" given, expected a port"#]
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        let mut problems = Problems::default();
        problems.add_secret("AMQP_URL", "amqp://user:password@host");
        assert_eq!(
            problems.into_sentences(),
            [
                "AMQP_URL (--amqp-url): the given value (not shown, it is a secret) is wrong, \
                 expected amqp://user:password@host"
            ]
        );
    }

    #[test]
    fn spans_of_time_are_read_as_people_write_them() {
        let mut problems = Problems::default();
        assert_eq!(
            problems.duration("A", " 2m "),
            Some(Duration::from_secs(120))
        );
        assert_eq!(
            problems.duration("A", "250ms"),
            Some(Duration::from_millis(250))
        );
        assert!(problems.is_empty());
        assert_eq!(problems.duration("A", "10"), None);
        assert_eq!(problems.duration("A", ""), None);
        assert_eq!(problems.into_sentences().len(), 2);
    }

    #[test]
    fn bounds_belong_to_the_range() {
        let mut problems = Problems::default();
        assert_eq!(problems.number("N", "1", (1_u32, 3)), Some(1));
        assert_eq!(problems.number("N", "3", (1_u32, 3)), Some(3));
        assert!(problems.is_empty());
        assert_eq!(problems.number("N", "4", (1_u32, 3)), None);
        assert_eq!(problems.number("N", "-1", (1_u32, 3)), None);
        let least = Duration::from_millis(1);
        let most = Duration::from_secs(60);
        assert_eq!(problems.duration_within("D", "61s", (least, most)), None);
        let sentences = problems.into_sentences();
        assert_eq!(
            sentences[2],
            r#"D (--d): "61s" given, expected a span of time from 1ms to 1m"#
        );
    }
}
