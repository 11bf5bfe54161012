//! The table of a comparison: medians with minimum and maximum, one column per system, and the machine and servers.

use std::fmt::Write as _;

use serde::Serialize;

use crate::machine;
use crate::phase::Measured;
use crate::proc::Memory;
use crate::rounds::{Kind, Plan, Round};
use crate::system::{BROKER, Cpu, GENERATOR, POSTGRES};

/// All results of a run, as `--json` writes them.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) command: String,
    /// `debug` or `release`: the profile of this program and the measured ones.
    pub(crate) build: &'static str,
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) servers: String,
    pub(crate) plan: Plan,
    pub(crate) rounds: Vec<Round>,
}

pub(crate) mod numbers;
mod parts;

use self::numbers::{cell, quotient};

type Figure = fn(&Round) -> Option<f64>;

/// Title, digits, and how to find the figure.
const FIGURES: &[(&str, usize, Figure)] = &[
    ("commands/s", 0, |round| Some(round.closed.commands_per_s)),
    ("**effects/s end to end** (mail row)", 0, |round| {
        Some(round.closed.effects_per_s)
    }),
    ("mails sent/s", 0, |round| round.closed.sent_per_s),
    ("command p50, ms", 1, |round| {
        Some(round.closed.command_p50_ms)
    }),
    ("command p99, ms", 1, |round| {
        Some(round.closed.command_p99_ms)
    }),
    ("command max, ms", 1, |round| {
        Some(round.closed.command_max_ms)
    }),
    ("**CPU ms/event, all**", 2, |round| {
        Some(all(&round.closed.cpu_ms_per_event))
    }),
    ("CPU ms/event: programs", 2, |round| {
        Some(programs(&round.closed.cpu_ms_per_event))
    }),
    ("CPU ms/event: PostgreSQL", 2, |round| {
        round.closed.cpu_ms_per_event.get(POSTGRES).copied()
    }),
    ("CPU ms/event: broker", 2, |round| {
        round.closed.cpu_ms_per_event.get(BROKER).copied()
    }),
    (
        "CPU ms/event, all, until the last mail is sent",
        2,
        |round| {
            round.closed.sent_per_s?;
            Some(all(&round.closed.cpu_ms_per_event_with_mail))
        },
    ),
    (
        "CPU ms/event of the load generator and mail sink (in none of the above)",
        2,
        |round| round.closed.cpu_ms_per_event.get(GENERATOR).copied(),
    ),
    ("RSS of the programs under load, MB", 0, |round| {
        Some(memory(round.closed.memory.iter(), |memory| memory.rss_mb))
    }),
    ("RSS of the programs after the warm-up, MB", 0, |round| {
        Some(memory(round.memory_at_rest.iter(), |memory| memory.rss_mb))
    }),
    ("PSS of PostgreSQL, MB", 0, |round| {
        round
            .closed
            .memory
            .get(POSTGRES)
            .map(|memory| memory.pss_mb)
    }),
    ("PSS of the broker, MB", 0, |round| {
        round.closed.memory.get(BROKER).map(|memory| memory.pss_mb)
    }),
    ("open loop: commands/s answered OK", 0, |round| {
        Some(round.open.commands_per_s)
    }),
    ("open loop: command p50, ms", 1, |round| {
        Some(round.open.command_p50_ms)
    }),
    ("open loop: command p99, ms", 1, |round| {
        Some(round.open.command_p99_ms)
    }),
    ("open loop: **commit → effect p50**, ms", 1, |round| {
        Some(round.open.effect_p50_ms)
    }),
    ("open loop: **commit → effect p99**, ms", 1, |round| {
        Some(round.open.effect_p99_ms)
    }),
    ("open loop: CPU ms/event, all", 2, |round| {
        Some(all(&round.open.cpu_ms_per_event))
    }),
    ("calls that failed, both loads", 0, |round| {
        Some(failed(round) as f64)
    }),
    ("machine before and after, MB/s of SHA-256", 0, |round| {
        Some(f64::midpoint(round.speed[0], round.speed[1]))
    }),
    (
        "foreign load, cores (the higher of both loads)",
        2,
        |round| Some(foreign(round)),
    ),
];

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let plan = &self.plan;
        let mut text = format!(
            "`{}`, {}, {} build; {}; {}. Rounds: {}, each with {} s at C={} and {} s at {}/s, after {} s of warm-up; \
             median (minimum to maximum).\n\n",
            self.command,
            self.date,
            self.build,
            self.machine,
            self.servers,
            plan.rounds,
            plan.seconds,
            plan.callers,
            plan.seconds,
            plan.per_second,
            plan.warm_up_seconds
        );
        let both = plan.systems.len() == 2;
        let names: Vec<&str> = plan.systems.iter().map(|kind| name(*kind)).collect();
        let ratio = if both { " ours / floor |" } else { "" };
        let rule = "--- | ".repeat(names.len() + usize::from(both));
        let _ = writeln!(text, "| figure | {} |{ratio}", names.join(" | "));
        let _ = writeln!(text, "| --- | {}", rule.trim_end());
        for (title, digits, figure) in FIGURES {
            let cells: Vec<Vec<f64>> = plan
                .systems
                .iter()
                .map(|kind| self.values(*kind, *figure))
                .collect();
            let shown: Vec<String> = cells.iter().map(|values| cell(values, *digits)).collect();
            let _ = write!(text, "| {title} | {} |", shown.join(" | "));
            if both {
                let _ = write!(text, " {} |", quotient(&cells));
            }
            text.push('\n');
        }
        text.push_str("\nBy process, in the closed loop:\n\n");
        text.push_str(&parts::table(&self.rounds, &plan.systems));
        text.push('\n');
        text.push_str(&self.verdict());
        text
    }

    /// Whether no effect was lost, duplicated or sent twice, in any round.
    pub(crate) fn is_right(&self) -> bool {
        self.complaints().is_empty()
    }

    fn values(&self, kind: Kind, figure: Figure) -> Vec<f64> {
        let rounds = self.rounds.iter().filter(|round| round.system == kind);
        rounds.filter_map(figure).collect()
    }

    fn complaints(&self) -> Vec<String> {
        let loads = self.rounds.iter().flat_map(|round| {
            [("closed loop", &round.closed), ("open loop", &round.open)]
                .map(|(load, measured)| (round, load, measured))
        });
        loads
            .filter(|(_, _, measured)| !measured.wrong.is_empty())
            .map(|(round, load, measured)| {
                let (system, number) = (name(round.system), round.number + 1);
                format!("round {number} of {system}, {load}: {}", measured.wrong)
            })
            .collect()
    }

    fn verdict(&self) -> String {
        let mut text = String::new();
        let placed: usize = self
            .rounds
            .iter()
            .map(|round| round.closed.placed + round.open.placed)
            .sum();
        let complaints = self.complaints();
        if complaints.is_empty() {
            let _ = writeln!(
                text,
                "Each of {placed} acknowledged orders has exactly one mail row, and each of our mails was sent exactly once."
            );
        }
        for complaint in complaints {
            let _ = writeln!(text, "WRONG: {complaint}.");
        }
        let busiest = self.rounds.iter().map(foreign).fold(0.0, f64::max);
        if busiest > machine::BUSY_CORES {
            let _ = writeln!(
                text,
                "The machine was busy: others used up to {busiest:.2} cores. Compare ratios only, and measure again."
            );
        }
        for round in &self.rounds {
            for (reason, count) in round.closed.failed.iter().chain(&round.open.failed) {
                let (system, number) = (name(round.system), round.number + 1);
                let _ = writeln!(
                    text,
                    "Round {number} of {system}: {count} calls failed with {reason}."
                );
            }
        }
        text
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => "Angarium",
        Kind::Floor => "bare floor",
    }
}

/// Without the load generator.
fn all(cpu: &Cpu) -> f64 {
    let parts = cpu.iter().filter(|(part, _)| *part != GENERATOR);
    parts.map(|(_, ms)| ms).sum()
}

fn programs(cpu: &Cpu) -> f64 {
    let parts = cpu.iter().filter(|(part, _)| is_program(part));
    parts.map(|(_, ms)| ms).sum()
}

fn is_program(part: &str) -> bool {
    ![GENERATOR, POSTGRES, BROKER].contains(&part)
}

fn memory<'a>(
    parts: impl Iterator<Item = (&'a String, &'a Memory)>,
    figure: fn(&Memory) -> f64,
) -> f64 {
    let parts = parts.filter(|(part, _)| is_program(part));
    parts.map(|(_, memory)| figure(memory)).sum()
}

fn failed(round: &Round) -> u64 {
    let loads: [&Measured; 2] = [&round.closed, &round.open];
    loads.iter().flat_map(|load| load.failed.values()).sum()
}

fn foreign(round: &Round) -> f64 {
    round.closed.foreign_cores.max(round.open.foreign_cores)
}
