//! The verdict on a load: compares acknowledged orders with stored orders, mail rows and mails. Pure.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use load::{Answers, Findings, compare};

use crate::place_order;

/// The stored effects of a load's orders.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The state of a call is its order, and the effect is the mail row.
    pub(crate) findings: Findings,
    /// Mails that were not sent exactly once.
    pub(crate) not_sent_once: usize,
    /// For each order, the time from its insert to the insert of its mail row.
    pub(crate) to_effect: Vec<Duration>,
    /// When the last mail row was inserted, in microseconds of the database's clock.
    pub(crate) last_us: i64,
}

/// Id, order, and insert time in microseconds.
pub(crate) type MailRow = (String, String, i64);

/// Compares acknowledged orders with orders and mail rows. `failed` is the number of calls without an order, each of
/// which may have placed one. `sent` returns how often a mail was sent, if known.
pub(crate) fn judge(
    placed: &[String],
    failed: usize,
    orders: &HashMap<String, i64>,
    rows: &[MailRow],
    sent: impl Fn(&str) -> Option<u32>,
) -> Found {
    let mut answers = Answers::all_acknowledged(placed.iter().map(String::as_str));
    let unknown = orders
        .keys()
        .filter(|id| !answers.acknowledged().contains(id.as_str()));
    let unknown: Vec<&str> = unknown.map(String::as_str).take(failed).collect();
    unknown.into_iter().for_each(|id| answers.attempt(id));
    let states: Vec<&str> = orders.keys().map(String::as_str).collect();
    let effects: Vec<&str> = rows.iter().map(|(_, order, _)| order.as_str()).collect();
    let mut first_us: HashMap<&str, i64> = HashMap::new();
    for (_, order, at_us) in rows {
        let first = first_us.entry(order).or_insert(*at_us);
        *first = (*first).min(*at_us);
    }
    let took = |(order, at_us): (&str, i64)| {
        let took_us = at_us - orders.get(order)?;
        Some(Duration::from_micros(
            u64::try_from(took_us).unwrap_or_default(),
        ))
    };
    Found {
        findings: compare(&answers, &states, &effects),
        not_sent_once: rows
            .iter()
            .filter(|(id, _, _)| sent(id).is_some_and(|times| times != 1))
            .count(),
        to_effect: first_us.into_iter().filter_map(took).collect(),
        last_us: rows.iter().map(|(_, _, at_us)| *at_us).max().unwrap_or(0),
    }
}

impl Found {
    /// The problems, for people; empty if there are none.
    pub(crate) fn complaint(&self) -> String {
        let Findings {
            gone,
            lost,
            duplicated,
            ghost,
        } = self.findings;
        let counts = [
            (gone, "acknowledged orders do not exist"),
            (lost, "orders have no mail row"),
            (duplicated, "mail rows are duplicates"),
            (ghost, "orders have no call, or mail rows have no order"),
            (self.not_sent_once, "mails were not sent exactly once"),
        ];
        let wrong = counts.iter().filter(|(count, _)| *count > 0);
        let wrong: Vec<String> = wrong
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        wrong.join(", ")
    }

    /// The median and the 99th percentile of the time to the effect, in milliseconds.
    pub(crate) fn to_effect_ms(&self) -> Result<(f64, f64)> {
        let mut histogram = place_order::histogram()?;
        for took in &self.to_effect {
            place_order::record(&mut histogram, *took);
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Ok((at(0.5), at(0.99)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> String {
        format!("o-{number}")
    }

    fn mail(id: &str, order: u32) -> MailRow {
        (id.to_owned(), self::id(order), 3_000)
    }

    fn orders(count: u32) -> HashMap<String, i64> {
        (0..count).map(|number| (id(number), 1_000)).collect()
    }

    #[test]
    fn one_mail_for_each_order_is_right() {
        let rows = [mail("a", 0), mail("b", 1)];
        let found = judge(&[id(0), id(1)], 0, &orders(2), &rows, |_| Some(1));
        assert_eq!(found.complaint(), "");
        assert_eq!(found.to_effect, [Duration::from_millis(2); 2]);
        assert_eq!(found.last_us, 3_000);
    }

    #[test]
    fn lost_and_doubled_effects_are_counted() {
        let rows = [mail("a", 0), mail("b", 0)];
        let found = judge(&[id(0), id(1)], 0, &orders(2), &rows, |_| None);
        assert_eq!((found.findings.lost, found.findings.duplicated), (1, 1));
        assert_eq!(
            found.complaint(),
            "1 orders have no mail row, 1 mail rows are duplicates"
        );
    }

    #[test]
    fn only_a_failed_call_may_have_placed_an_order_of_its_own() {
        let rows = [mail("a", 0), mail("b", 1)];
        let found = judge(&[id(0)], 1, &orders(2), &rows, |_| Some(1));
        assert_eq!(found.complaint(), "");
        let found = judge(&[id(0)], 0, &orders(2), &rows, |_| Some(1));
        assert_eq!(found.findings.ghost, 1);
    }

    #[test]
    fn a_mail_without_an_order_is_a_ghost() {
        let rows = [mail("a", 0), mail("b", 7)];
        let found = judge(&[id(0)], 1, &orders(1), &rows, |_| Some(1));
        assert_eq!(found.findings.ghost, 1);
    }

    #[test]
    fn a_mail_that_was_sent_twice_is_noticed() {
        let found = judge(&[id(0)], 0, &orders(1), &[mail("a", 0)], |_| Some(2));
        assert_eq!(found.not_sent_once, 1);
    }

    #[test]
    fn an_acknowledged_order_that_is_gone_is_noticed() {
        let found = judge(&[id(0)], 0, &orders(0), &[], |_| None);
        assert_eq!(found.findings.gone, 1);
    }
}
