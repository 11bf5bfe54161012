//! What the mails say, in text and in HTML.
//!
//! Names, reasons and articles come from users: they are brought to one line, so that nobody can forge a paragraph or a
//! header with them, and escaped where they stand in HTML. Subjects hold none of them.

use contracts::money::Money;
use contracts::order::v1::{OrderCancelled, OrderLine, OrderPlaced};

use crate::notification::Content;

/// For a user who has registered.
pub fn welcome(display_name: &str) -> Content {
    letter(
        "Welcome to Angarium",
        display_name,
        &[Block::Paragraph(
            "Your account is ready. From now on you can place orders, and we write to you when something happens to them."
                .to_owned(),
        )],
    )
}

/// For an order that has been placed.
pub fn order_placed(display_name: &str, order: &OrderPlaced) -> Content {
    let total = match &order.total_price {
        Some(total) => format!("Together that is {}.", amount(total)),
        None => String::new(),
    };
    letter(
        "We have received your order",
        display_name,
        &[
            Block::Paragraph(format!(
                "Thank you for your order {}:",
                one_line(&order.order_id)
            )),
            Block::List(order.lines.iter().map(article).collect()),
            Block::Paragraph(total),
        ],
    )
}

/// For an order that will not be delivered.
pub fn order_cancelled(display_name: &str, order: &OrderCancelled) -> Content {
    let reason = match one_line(&order.reason) {
        reason if reason.is_empty() => String::new(),
        reason => format!("The reason that was given: {reason}"),
    };
    letter(
        "Your order has been cancelled",
        display_name,
        &[
            Block::Paragraph(format!(
                "Your order {} has been cancelled. Nothing of it will be delivered.",
                one_line(&order.order_id)
            )),
            Block::Paragraph(reason),
        ],
    )
}

/// A part of a mail, in plain text. An empty one is left out.
enum Block {
    Paragraph(String),
    List(Vec<String>),
}

fn letter(subject: &'static str, display_name: &str, blocks: &[Block]) -> Content {
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

fn article(line: &OrderLine) -> String {
    let sku = one_line(&line.sku);
    match &line.unit_price {
        Some(price) => format!("{} x {sku} at {}", line.quantity, amount(price)),
        None => format!("{} x {sku}", line.quantity),
    }
}

/// At least two decimals, and as many as the amount has.
fn amount(money: &Money) -> String {
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

/// `text` without line breaks, other control characters, and those that turn the direction of what follows.
pub(crate) fn one_line(text: &str) -> String {
    let breaks =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || breaks(c))
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

fn escaped(text: &str) -> String {
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
    fn an_order_is_listed_article_by_article() {
        let content = order_placed(
            "Ada",
            &OrderPlaced {
                order_id: "o-1".to_owned(),
                lines: vec![OrderLine {
                    sku: "TEA-1".to_owned(),
                    quantity: 2,
                    unit_price: Some(money(4, 500_000_000)),
                }],
                total_price: Some(money(9, 0)),
                ..OrderPlaced::default()
            },
        );
        for form in [&content.text, &content.html] {
            assert!(form.contains("Hello Ada,"), "{form}");
            assert!(form.contains("2 x TEA-1 at 4.50 EUR"), "{form}");
            assert!(form.contains("9.00 EUR"), "{form}");
        }
    }

    #[test]
    fn what_users_wrote_is_neither_markup_nor_a_line_of_its_own() {
        let cancelled = OrderCancelled {
            order_id: "o-1".to_owned(),
            reason: "<img src=x onerror='alert(1)'>\r\n\r\nPlease pay & \"confirm\"".to_owned(),
            ..OrderCancelled::default()
        };
        let content = order_cancelled("<b>Ada</b>\r\nBcc: eve@example.com", &cancelled);
        assert!(
            content
                .html
                .contains("&lt;img src=x onerror=&#39;alert(1)&#39;&gt;")
        );
        assert!(
            content
                .html
                .contains("Please pay &amp; &quot;confirm&quot;")
        );
        assert!(content.html.contains("&lt;b&gt;Ada&lt;/b&gt;"));
        assert!(
            content
                .text
                .contains("Hello <b>Ada</b> Bcc: eve@example.com,\n")
        );
        assert!(!content.text.contains("\nPlease pay"));
    }

    #[test]
    fn a_reason_that_was_not_given_is_not_mentioned() {
        let content = order_cancelled("Ada", &OrderCancelled::default());
        assert!(!content.text.contains("reason"), "{}", content.text);
    }

    #[test]
    fn subjects_are_the_same_for_everybody() {
        assert_eq!(welcome("Ada").subject, welcome("Eve").subject);
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(
            one_line(" a\r\nb\u{2028}c\u{0}d\u{202E}e  f "),
            "a b c d e f"
        );
    }
}
