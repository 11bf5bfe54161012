//! Why a process ends before it has a log, in the log's format.

use std::io::Write as _;

use serde_json::json;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::config::LogFormat;

/// A closed stream has no reader, so its error is ignored.
pub(crate) fn end(format: LogFormat, program: &str, message: &str) {
    let _ = match format {
        LogFormat::Human => writeln!(std::io::stderr(), "{message}"),
        LogFormat::Json => writeln!(std::io::stdout(), "{}", line(program, message)),
    };
}

fn line(program: &str, message: &str) -> serde_json::Value {
    let mut timestamp = String::new();
    // The text can always grow.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    json!({
        "timestamp": timestamp,
        "level": "ERROR",
        "target": module_path!(),
        "message": message,
        "service.name": program,
    })
}
