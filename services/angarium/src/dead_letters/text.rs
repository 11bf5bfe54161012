//! Formats values for the listings. Guarantee: no bytes of a message move the cursor or begin a line.

use std::time::{Duration, UNIX_EPOCH};

pub(super) const PAGE: u32 = 200;

/// Escapes what a terminal would obey, or show in another order.
pub(super) fn plain(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for character in line.chars() {
        if is_obeyed(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Control characters, line separators, and what is invisible or changes the direction of text.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{feff}')
        || ('\u{200b}'..='\u{200f}').contains(&character)
        || ('\u{2028}'..='\u{202e}').contains(&character)
        || ('\u{2060}'..='\u{206f}').contains(&character)
}

pub(super) fn or_none(text: Option<&str>) -> &str {
    text.unwrap_or("(none)")
}

pub(super) fn time(unix_ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_text_stays_text() {
        assert_eq!(plain("größe 😀 \\ \"x\""), "größe 😀 \\ \"x\"");
        assert_eq!(plain("a\nreplayed\r\t"), "a\\nreplayed\\r\\t");
        assert_eq!(plain("x\u{1b}[2J\u{9b}"), "x\\u{1b}[2J\\u{9b}");
        assert_eq!(plain("\u{202e}\u{2028}"), "\\u{202e}\\u{2028}");
    }
}
