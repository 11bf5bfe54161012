//! The table of processes: CPU time per event, and memory.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::name;
use super::numbers::cell;
use crate::phase::Measured;
use crate::rounds::{Kind, Round};
use crate::system::GENERATOR;

pub(super) fn table(rounds: &[Round], systems: &[Kind]) -> String {
    let mut text =
        "| system | process | CPU ms/event | until the last mail is sent | RSS, MB | PSS, MB |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for kind in systems {
        let loads: Vec<&Measured> = rounds
            .iter()
            .filter(|round| round.system == *kind)
            .map(|round| &round.closed)
            .collect();
        let parts: BTreeSet<&String> = loads
            .iter()
            .flat_map(|load| load.cpu_ms_per_event.keys())
            .collect();
        for part in parts {
            let figures = |figure: &dyn Fn(&Measured) -> Option<f64>, digits| {
                let values: Vec<f64> = loads.iter().filter_map(|load| figure(load)).collect();
                cell(&values, digits)
            };
            let title = if part == GENERATOR {
                "load generator and mail sink"
            } else {
                part
            };
            let _ = writeln!(
                text,
                "| {} | {title} | {} | {} | {} | {} |",
                name(*kind),
                figures(&|load| load.cpu_ms_per_event.get(part).copied(), 2),
                figures(&|load| with_mail(load, part), 2),
                figures(&|load| Some(load.memory.get(part)?.rss_mb), 0),
                figures(&|load| Some(load.memory.get(part)?.pss_mb), 0),
            );
        }
    }
    text
}

fn with_mail(load: &Measured, part: &str) -> Option<f64> {
    load.sent_per_s?;
    load.cpu_ms_per_event_with_mail.get(part).copied()
}
