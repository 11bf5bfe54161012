//! Renders the mails from the files in `templates/`, in plain text and in HTML. askama compiles them: a missing file or
//! an unknown field fails the build.
//!
//! Users supply names, reasons and articles. The escapers act on every value (`askama.toml`): no user can forge a
//! paragraph or a header.

use std::fmt;

use askama::filters::{Escaper, Html};
use contracts::money::Money;
use prost_types::Timestamp;

/// Replaced when the mail is built. A control character: no user can write it.
pub const CODE: &str = "\u{1a}";

/// With [`CODE`] in the place of a code.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    pub subject: &'static str,
    pub text: String,
    pub html: String,
}

/// In plain text: on one line.
#[derive(Clone, Copy, Default)]
pub struct Line;

impl Escaper for Line {
    fn write_escaped_str<W: fmt::Write>(&self, mut dest: W, value: &str) -> fmt::Result {
        let mut pieces = value.split(is_break);
        dest.write_str(pieces.next().unwrap_or_default())?;
        for piece in pieces {
            dest.write_char(' ')?;
            dest.write_str(piece)?;
        }
        Ok(())
    }
}

/// In HTML: on one line, as text.
#[derive(Clone, Copy, Default)]
pub struct HtmlLine;

impl Escaper for HtmlLine {
    fn write_escaped_str<W: fmt::Write>(&self, dest: W, value: &str) -> fmt::Result {
        Line.write_escaped_str(Escaped(dest), value)
    }
}

struct Escaped<W>(W);

impl<W: fmt::Write> fmt::Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Html.write_escaped_str(&mut self.0, text)
    }
}

/// With single spaces between the words.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || is_break(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Control characters, line breaks, and characters that change the direction of text.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // A string never fails.
    let _ = Html.write_escaped_str(&mut escaped, text);
    escaped
}

pub mod filters {
    use std::borrow::Borrow;

    use askama::Values;
    use contracts::money::Money;
    use contracts::user::v1::UserRole;
    use prost_types::Timestamp;

    /// Empty if nothing of it can be read.
    #[askama::filter_fn]
    pub fn one_line(text: impl AsRef<str>, _: &dyn Values) -> askama::Result<String> {
        Ok(super::one_line(text.as_ref()))
    }

    /// With at least two decimals, and as many as the amount has.
    #[askama::filter_fn]
    pub fn amount(money: &Money, _: &dyn Values) -> askama::Result<String> {
        Ok(super::amount(money))
    }

    /// In one word; empty if it is of a later release.
    #[askama::filter_fn]
    pub fn role(role: impl Borrow<UserRole>, _: &dyn Values) -> askama::Result<String> {
        let word = match role.borrow() {
            UserRole::Unspecified => "",
            UserRole::User => "user",
            UserRole::Admin => "admin",
            UserRole::Operator => "operator",
        };
        Ok(word.to_owned())
    }

    /// To the second, in UTC.
    #[askama::filter_fn]
    pub fn utc(time: &Timestamp, _: &dyn Values) -> askama::Result<String> {
        Ok(super::utc(time))
    }
}

fn amount(money: &Money) -> String {
    let nanos = format!("{:09}", money.nanos.unsigned_abs());
    let decimals = nanos.trim_end_matches('0');
    let sign = if money.units < 0 || money.nanos < 0 {
        "-"
    } else {
        ""
    };
    let units = money.units.unsigned_abs();
    format!("{sign}{units}.{decimals:0<2} {}", money.currency_code)
}

fn utc(time: &Timestamp) -> String {
    let second = Timestamp { nanos: 0, ..*time };
    let text = second.to_string().replacen('T', " ", 1);
    format!("{} UTC", text.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_utc_and_to_the_second() {
        let time = Timestamp {
            seconds: 1_800_000_000,
            nanos: 123_000_000,
        };
        assert_eq!(utc(&time), "2027-01-15 08:00:00 UTC");
    }

    #[test]
    fn amounts_have_at_least_two_decimals_and_lose_none() {
        let eur = |units, nanos| Money {
            currency_code: "EUR".to_owned(),
            units,
            nanos,
        };
        assert_eq!(amount(&eur(9, 0)), "9.00 EUR");
        assert_eq!(amount(&eur(4, 500_000_000)), "4.50 EUR");
        assert_eq!(amount(&eur(0, 1)), "0.000000001 EUR");
        assert_eq!(amount(&eur(-1, -50_000_000)), "-1.05 EUR");
        assert_eq!(amount(&eur(i64::MIN, 0)), "-9223372036854775808.00 EUR");
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(
            one_line(" a\r\nb\u{2028}c\u{0}d\u{202E}e  f "),
            "a b c d e f"
        );
    }

    #[test]
    fn an_escaped_value_has_no_line_break_no_code_and_no_markup() {
        let value = format!("a\r\nb{CODE}<c d='e'>&\"\u{202E}");
        let mut text = String::new();
        Line.write_escaped_str(&mut text, &value).unwrap();
        assert_eq!(text, "a  b <c d='e'>&\" ");
        let mut html = String::new();
        HtmlLine.write_escaped_str(&mut html, &value).unwrap();
        assert_eq!(html, escaped(&text));
        assert_eq!(escaped("<'&\">"), "&#60;&#39;&#38;&#34;&#62;");
    }
}
