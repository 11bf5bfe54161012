//! The table of the backlogs.

use std::fmt::Write as _;

use super::{Drained, Measured};

pub(crate) fn markdown(measured: &Measured) -> String {
    let mut text = format!(
        "A backlog of {} events, at most {} s for each part, {} build; {}; {}.\n\n\
         | part | events | s | events/s | to its bound | machine, MB/s of SHA-256 |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        measured.settings.rows,
        measured.settings.limit_seconds,
        measured.build,
        measured.machine,
        measured.servers
    );
    let parts = [
        ("relay", &measured.relay, Some(&measured.bare_publisher)),
        ("lapin alone, window 500", &measured.bare_publisher, None),
        ("inbox", &measured.inbox, Some(&measured.bare_inbox)),
        ("statements of 100 events alone", &measured.bare_inbox, None),
        (
            "held events, to the inbox",
            &measured.held,
            Some(&measured.inbox),
        ),
        ("inbox, SQLite", &measured.inbox_sqlite, None),
        (
            "held events, SQLite, to its inbox",
            &measured.held_sqlite,
            Some(&measured.inbox_sqlite),
        ),
    ];
    for (title, part, bound) in parts {
        let ratio = bound.map_or("–".to_owned(), |bound| {
            format!("{:.2}", rate(part) / rate(bound))
        });
        let _ = writeln!(
            text,
            "| {title} | {} | {:.1} | {:.0} | {ratio} | {:.0} to {:.0} |",
            part.events,
            part.seconds,
            rate(part),
            part.speed[0],
            part.speed[1]
        );
    }
    let verdict = match measured.wrong.as_str() {
        "" => {
            "\nNo mail row is missing for the events that the inbox handled, and none exists twice."
                .to_owned()
        }
        wrong => format!("\nWRONG: {wrong}."),
    };
    text.push_str(&verdict);
    text
}

fn rate(drained: &Drained) -> f64 {
    drained.events as f64 / drained.seconds.max(0.001)
}
