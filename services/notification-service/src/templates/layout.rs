//! The layout of every mail: a greeting, its parts, and our name, in text and in HTML.
//!
//! The parts may contain text of users, so they are escaped in HTML. [`one_line`] and [`amount`] are for the code that
//! writes the parts.

use contracts::money::Money;

use crate::notification::Content;

/// A part of a mail, in plain text. An empty one is left out.
pub(super) enum Block {
    Paragraph(String),
    List(Vec<String>),
}

pub(super) fn letter(subject: &'static str, display_name: &str, blocks: &[Block]) -> Content {
    let greeting = match one_line(display_name) {
        name if name.is_empty() => "Hello,".to_owned(),
        name => format!("Hello {name},"),
    };
    let mut text = format!("{greeting}\n");
    let mut html = format!("<p>{}</p>\n", escaped(&greeting));
    for block in blocks {
        match block {
            Block::Paragraph(paragraph) if paragraph.is_empty() => {}
            Block::Paragraph(paragraph) => {
                text.push_str(&format!("\n{paragraph}\n"));
                html.push_str(&format!("<p>{}</p>\n", escaped(paragraph)));
            }
            Block::List(items) => {
                let lines: String = items.iter().map(|item| format!("- {item}\n")).collect();
                text.push_str(&format!("\n{lines}"));
                let lines: String = items
                    .iter()
                    .map(|item| format!("<li>{}</li>\n", escaped(item)))
                    .collect();
                html.push_str(&format!("<ul>\n{lines}</ul>\n"));
            }
        }
    }
    text.push_str("\nAngarium\n");
    html.push_str("<p>Angarium</p>\n");
    Content {
        subject,
        text,
        html: format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n<body>\n{html}</body>\n</html>\n",
            escaped(subject)
        ),
    }
}

/// With at least two decimals, and as many as the amount has.
pub(super) fn amount(money: &Money) -> String {
    let nanos = format!("{:09}", money.nanos.unsigned_abs());
    let decimals = nanos.trim_end_matches('0');
    let sign = if money.units < 0 || money.nanos < 0 {
        "-"
    } else {
        ""
    };
    let (units, currency) = (money.units.unsigned_abs(), one_line(&money.currency_code));
    format!("{sign}{units}.{decimals:0<2} {currency}")
}

/// `text` without line breaks, other control characters, and characters that change the text direction.
pub(crate) fn one_line(text: &str) -> String {
    let breaks =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || breaks(c))
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(units: i64, nanos: i32) -> Money {
        Money {
            currency_code: "EUR".to_owned(),
            units,
            nanos,
        }
    }

    #[test]
    fn amounts_have_at_least_two_decimals_and_lose_none() {
        assert_eq!(amount(&money(9, 0)), "9.00 EUR");
        assert_eq!(amount(&money(4, 500_000_000)), "4.50 EUR");
        assert_eq!(amount(&money(0, 1)), "0.000000001 EUR");
        assert_eq!(amount(&money(-1, -50_000_000)), "-1.05 EUR");
        assert_eq!(amount(&money(i64::MIN, 0)), "-9223372036854775808.00 EUR");
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(
            one_line(" a\r\nb\u{2028}c\u{0}d\u{202E}e  f "),
            "a b c d e f"
        );
    }
}
