//! The verdict on a load: compares acknowledged orders with stored orders, mail rows and mails. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Result;

use crate::load::{self, Placed};

/// The stored effects of a load's orders.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Acknowledged orders that do not exist.
    pub(crate) gone: usize,
    /// Acknowledged orders without a mail row.
    pub(crate) lost: usize,
    /// Mail rows beyond the first of an order.
    pub(crate) duplicated: usize,
    /// Mail rows of orders that do not exist.
    pub(crate) ghosts: usize,
    /// Mails that were not sent exactly once.
    pub(crate) not_sent_once: usize,
    /// For each order, the time from its insert to the insert of its mail row.
    pub(crate) to_effect: Vec<Duration>,
    /// When the last mail row was inserted, in microseconds of the database's clock.
    pub(crate) last_us: i64,
}

/// Id, correlation id, and insert time in microseconds.
pub(crate) type MailRow = (String, String, i64);

/// Compares acknowledged orders with orders and mail rows. `sent` returns how often a mail was sent, if known.
pub(crate) fn judge(
    placed: &[Placed],
    orders: &HashMap<String, i64>,
    rows: &[MailRow],
    sent: impl Fn(&str) -> Option<u32>,
) -> Found {
    let mut found = Found::default();
    let mut effects: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (id, correlation_id, at_us) in rows {
        effects.entry(correlation_id).or_default().push(*at_us);
        found.last_us = found.last_us.max(*at_us);
        if sent(id).is_some_and(|times| times != 1) {
            found.not_sent_once += 1;
        }
    }
    found.duplicated = effects.values().map(|times| times.len() - 1).sum();
    for order in placed {
        let created_us = orders.get(&order.order_id);
        found.gone += usize::from(created_us.is_none());
        match effects.remove(order.correlation_id.as_str()) {
            None => found.lost += 1,
            Some(times) => {
                let first = times.iter().min();
                if let (Some(at_us), Some(created_us)) = (first, created_us) {
                    let took = u64::try_from(at_us - created_us).unwrap_or_default();
                    found.to_effect.push(Duration::from_micros(took));
                }
            }
        }
    }
    // The rest belongs to failed calls: these may have placed an order, but must not have more mails than orders.
    found.ghosts = (effects.len() + placed.len()).saturating_sub(orders.len());
    found
}

impl Found {
    /// The problems, for people; empty if there are none.
    pub(crate) fn complaint(&self) -> String {
        let counts = [
            (self.gone, "acknowledged orders do not exist"),
            (self.lost, "acknowledged orders have no mail row"),
            (self.duplicated, "mail rows are duplicates"),
            (self.ghosts, "mail rows have no order"),
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
        let mut histogram = load::histogram()?;
        for took in &self.to_effect {
            load::record(&mut histogram, *took);
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Ok((at(0.5), at(0.99)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(number: u32) -> Placed {
        Placed {
            correlation_id: format!("c-{number}"),
            order_id: format!("o-{number}"),
        }
    }

    fn mail(id: &str, number: u32) -> MailRow {
        (id.to_owned(), format!("c-{number}"), 3_000)
    }

    fn orders(count: u32) -> HashMap<String, i64> {
        (0..count)
            .map(|number| (format!("o-{number}"), 1_000))
            .collect()
    }

    #[test]
    fn one_mail_for_each_order_is_right() {
        let placed = [placed(0), placed(1)];
        let rows = [mail("a", 0), mail("b", 1)];
        let found = judge(&placed, &orders(2), &rows, |_| Some(1));
        assert_eq!(found.complaint(), "");
        assert_eq!(found.to_effect, [Duration::from_millis(2); 2]);
        assert_eq!(found.last_us, 3_000);
    }

    #[test]
    fn lost_and_doubled_effects_are_counted() {
        let placed = [placed(0), placed(1)];
        let rows = [mail("a", 0), mail("b", 0)];
        let found = judge(&placed, &orders(2), &rows, |_| None);
        assert_eq!((found.lost, found.duplicated), (1, 1));
    }

    #[test]
    fn a_mail_without_an_order_is_a_ghost() {
        let rows = [mail("a", 0), mail("b", 7)];
        let found = judge(&[placed(0)], &orders(1), &rows, |_| Some(1));
        assert_eq!(found.ghosts, 1);
        let found = judge(&[placed(0)], &orders(2), &rows, |_| Some(1));
        assert_eq!(found.ghosts, 0);
    }

    #[test]
    fn a_mail_that_was_sent_twice_is_noticed() {
        let found = judge(&[placed(0)], &orders(1), &[mail("a", 0)], |_| Some(2));
        assert_eq!(found.not_sent_once, 1);
    }

    #[test]
    fn an_acknowledged_order_that_is_gone_is_noticed() {
        let found = judge(&[placed(0)], &orders(0), &[mail("a", 0)], |_| None);
        assert_eq!(found.gone, 1);
    }
}
