//! The table of the states.

use std::fmt::Write as _;

use super::{Measured, State};
use crate::report::numbers::{cell, median};

pub(crate) fn markdown(measured: &Measured) -> String {
    let settings = &measured.settings;
    let mut text = format!(
        "{} turns of {} events, {} build; {}; {}.\n\n\
         | tables | events/s | to empty tables | machine, MB/s of SHA-256 |\n\
         | --- | --- | --- | --- |\n",
        settings.turns, settings.events, measured.build, measured.machine, measured.servers
    );
    let rows = [
        ("empty".to_owned(), &measured.empty),
        (
            format!(
                "{} events in the history, {} pending",
                settings.history, settings.pending
            ),
            &measured.large,
        ),
        (
            format!(
                "a snapshot held for {} s and more, {} dead rows",
                settings.snapshot_seconds, measured.dead_rows
            ),
            &measured.snapshot,
        ),
    ];
    for (title, state) in rows {
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {} |",
            cell(&state.per_second, 0),
            ratio(state, &measured.empty),
            cell(&state.speed, 0)
        );
    }
    let verdict = match measured.wrong.as_str() {
        "" => "\nNo event was lost: each is pending or in the history.".to_owned(),
        wrong => format!("\nWRONG: {wrong}."),
    };
    text.push_str(&verdict);
    text
}

/// The median of the ratios of adjacent turns.
fn ratio(state: &State, empty: &State) -> String {
    let pairs = state.per_second.iter().zip(&empty.per_second);
    let ratios: Vec<f64> = pairs.map(|(rate, empty)| rate / empty).collect();
    median(&ratios).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
}
