//! The texts of the mails, in plain text and in HTML.
//!
//! Names, reasons and articles come from users. They are reduced to one line, so that no user can forge a paragraph or
//! header, and escaped in HTML. Subjects contain none of them.

use contracts::order::v1::{OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced, OrderShipped};

use self::layout::{Block, amount, letter};
use crate::notification::Content;

mod layout;

pub(crate) use layout::{escaped, one_line};

/// The placeholder of the code, which is known only when the mail is built. A control character: no user can write it.
pub const CODE: &str = "\u{1a}";

pub fn welcome(display_name: &str) -> Content {
    letter(
        "Welcome to Angarium",
        display_name,
        &[paragraph(
            "Your account is ready. You can place orders now. We will write to you when an order changes.",
        )],
    )
}

pub fn email_verification(display_name: &str) -> Content {
    letter(
        "Confirm your e-mail address",
        display_name,
        &[
            paragraph("Enter this code to confirm that this address is yours:"),
            paragraph(CODE),
            paragraph("The code works once and expires soon."),
            paragraph(
                "If you did not register with us, ignore this mail: without the code the address stays unconfirmed.",
            ),
        ],
    )
}

pub fn password_reset(display_name: &str) -> Content {
    letter(
        "Set a new password",
        display_name,
        &[
            paragraph("A new password was requested for your account. Enter this code to set it:"),
            paragraph(CODE),
            paragraph(
                "The code works once and expires soon. Do not give it to anyone; we never ask for it.",
            ),
            paragraph(
                "If you did not request it, ignore this mail: your password stays unchanged.",
            ),
        ],
    )
}

pub fn order_placed(display_name: &str, order: &OrderPlaced) -> Content {
    let total = match &order.total_price {
        Some(total) => format!("Total: {}.", amount(total)),
        None => String::new(),
    };
    letter(
        "We have received your order",
        display_name,
        &[
            paragraph(&format!(
                "Thank you for your order {}:",
                one_line(&order.order_id)
            )),
            Block::List(order.lines.iter().map(article).collect()),
            Block::Paragraph(total),
        ],
    )
}

pub fn order_confirmed(display_name: &str, order: &OrderConfirmed) -> Content {
    letter(
        "Your order has been confirmed",
        display_name,
        &[paragraph(&format!(
            "Your order {} has been confirmed. We will write again when it is shipped.",
            one_line(&order.order_id)
        ))],
    )
}

pub fn order_shipped(display_name: &str, order: &OrderShipped) -> Content {
    let by = match one_line(&order.carrier) {
        carrier if carrier.is_empty() => String::new(),
        carrier => format!("Carrier: {carrier}."),
    };
    let number = match one_line(&order.tracking_number) {
        number if number.is_empty() => String::new(),
        number => format!("Tracking number: {number}."),
    };
    letter(
        "Your order is on its way",
        display_name,
        &[
            paragraph(&format!(
                "Your order {} has been shipped.",
                one_line(&order.order_id)
            )),
            Block::Paragraph(by),
            Block::Paragraph(number),
        ],
    )
}

pub fn order_cancelled(display_name: &str, order: &OrderCancelled) -> Content {
    let reason = match one_line(&order.reason) {
        reason if reason.is_empty() => String::new(),
        reason => format!("Reason: {reason}"),
    };
    letter(
        "Your order has been cancelled",
        display_name,
        &[
            Block::Paragraph(format!(
                "Your order {} has been cancelled. It will not be delivered.",
                one_line(&order.order_id)
            )),
            Block::Paragraph(reason),
        ],
    )
}

pub fn account_deleted(display_name: &str) -> Content {
    letter(
        "Your account has been deleted",
        display_name,
        &[
            paragraph(
                "Your account has been deleted, with your address and your name. Open orders are cancelled.",
            ),
            paragraph(
                "This is our last mail to you. If you did not request the deletion, contact us soon.",
            ),
        ],
    )
}

fn paragraph(text: &str) -> Block {
    Block::Paragraph(text.to_owned())
}

fn article(line: &OrderLine) -> String {
    let sku = one_line(&line.sku);
    match &line.unit_price {
        Some(price) => format!("{} x {sku} at {}", line.quantity, amount(price)),
        None => format!("{} x {sku}", line.quantity),
    }
}

#[cfg(test)]
mod tests {
    use contracts::money::Money;

    use super::*;

    fn money(units: i64, nanos: i32) -> Money {
        Money {
            currency_code: "EUR".to_owned(),
            units,
            nanos,
        }
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
    fn subjects_are_the_same_for_all_users() {
        assert_eq!(welcome("Ada").subject, welcome("Eve").subject);
    }

    #[test]
    fn a_parcel_is_named_as_far_as_it_is_known() {
        let mut shipped = OrderShipped {
            order_id: "o-1".to_owned(),
            carrier: "Royal\r\nMail".to_owned(),
            tracking_number: "RM 1".to_owned(),
            ..OrderShipped::default()
        };
        let content = order_shipped("Ada", &shipped);
        assert!(content.text.contains("Carrier: Royal Mail."));
        assert!(content.html.contains("Tracking number: RM 1."));
        shipped.carrier.clear();
        let content = order_shipped("Ada", &shipped);
        assert!(!content.text.contains("brought"), "{}", content.text);
    }

    #[test]
    fn only_code_mails_have_the_placeholder_and_no_user_forges_one() {
        for content in [email_verification("Ada"), password_reset("Ada")] {
            for form in [&content.text, &content.html] {
                assert_eq!(form.matches(CODE).count(), 1, "{form}");
            }
        }
        let forged = format!("Ada {CODE}");
        assert!(!welcome(&forged).text.contains(CODE));
        assert_eq!(password_reset(&forged).html.matches(CODE).count(), 1);
    }
}
