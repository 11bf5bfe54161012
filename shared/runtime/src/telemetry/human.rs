//! A log line for a person: the time, the level, what happened, and the fields.
//!
//! Methods and events lose their packages, and a line shows one id: that of the handled event, otherwise the
//! correlation id. JSON has all of them. No value leaves its line.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::correlation::{self, Ids};
use super::libraries::is_ours;

/// Fields with a method or an event type.
const NAMES: [&str; 2] = ["method", "event.type"];
/// Security events, which operators look for.
const SECURITY: &str = "security";
/// `2026-11-30T12:00:00.123`.
const TIME: usize = 23;

pub(super) struct Human;

impl<S, N> FormatEvent<S, N> for Human
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let ids = correlation::around(context.event_scope());
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let (dim, level, plain) = if writer.has_ansi_escapes() {
            ("\x1b[2m", colour(*event.metadata().level()), "\x1b[0m")
        } else {
            ("", "", "")
        };
        let time = time.get(..TIME).unwrap_or(&time);
        let metadata = event.metadata();
        write!(
            writer,
            "{dim}{time}Z{plain} {level}{:>5}{plain} ",
            metadata.level()
        )?;
        // Of a library it matters which one it is.
        let target = metadata.target();
        if !is_ours(target) || target == SECURITY {
            write!(writer, "{target}: ")?;
        }
        let said = format!("{}{}", line.message, line.fields);
        writer.write_str(said.trim_start())?;
        match ids {
            Ids {
                event: Some(id), ..
            } => write!(writer, " event.id={id}")?,
            Ids {
                correlation: Some(id),
                ..
            } => write!(writer, " correlation_id={id}")?,
            Ids { .. } => {}
        }
        writeln!(writer)
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG | Level::TRACE => "\x1b[34m",
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn field(&mut self, name: &str, value: &str) {
        let is_name = NAMES.contains(&name);
        let value = if is_name {
            without_package(value)
        } else {
            value
        };
        let quoted = value.is_empty() || value.contains([' ', '"', '=']);
        let quote = if quoted { "\"" } else { "" };
        let _ = write!(self.fields, " {name}={quote}{}{quote}", on_one_line(value));
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = on_one_line(value);
        } else {
            self.field(field.name(), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// `angarium.order.v1.OrderService/PlaceOrder` is `OrderService/PlaceOrder`.
fn without_package(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Control characters would move the cursor, or forge a line.
fn on_one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn logged(log: impl FnOnce()) -> Vec<String> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&written);
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Human)
            .with_ansi(false)
            .with_writer(move || Shared(Arc::clone(&writer)));
        let subscriber = tracing_subscriber::registry()
            .with(correlation::Layer)
            .with(layer);
        tracing::subscriber::with_default(subscriber, log);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        written.lines().map(str::to_owned).collect()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_call_and_an_event_take_one_short_line_with_an_id() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let lines = logged(|| {
            let span = tracing::error_span!("rpc", rpc.method = "long", correlation_id = id);
            span.in_scope(|| {
                let method = "angarium.order.v1.OrderService/PlaceOrder";
                tracing::info!(method, status = "OK", duration_ms = 12.345, "call");
            });
            let handling = tracing::info_span!("process", event.id = "e-1", correlation_id = id);
            handling.in_scope(|| {
                tracing::info!(event.type = "angarium.order.v1.OrderPlaced", "handled");
            });
        });
        let expected = format!(
            "  INFO call method=OrderService/PlaceOrder status=OK duration_ms=12.345 correlation_id={id}"
        );
        assert_eq!(lines[0][TIME + 1..], expected, "{lines:?}");
        assert!(lines[0].len() <= 150, "{lines:?}");
        let handled = "INFO handled event.type=OrderPlaced event.id=e-1";
        assert!(lines[1].ends_with(handled), "{lines:?}");
    }

    #[test]
    fn a_value_never_leaves_its_line_and_libraries_are_named() {
        let lines = logged(|| {
            tracing::warn!(target: "lapin", error = %"a\n2026 \x1b[2J", place = "", "lost");
        });
        let [line] = lines.as_slice() else {
            panic!("one line: {lines:?}");
        };
        let expected = r#"WARN lapin: lost error="a\n2026 \u{1b}[2J" place="""#;
        assert!(line.ends_with(expected), "{line}");
    }
}
