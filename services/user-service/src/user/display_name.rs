//! The names of users in mails and lists.
//!
//! A name is one line of visible text without anything that a mail program turns into a link: otherwise a stranger
//! could register any address and our mail would carry the link there.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

use super::is_longer;

pub const MAX_DISPLAY_NAME_CHARACTERS: usize = 100;

#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDisplayName {
    #[error("is required")]
    Missing,
    #[error("must have from 1 to {MAX_DISPLAY_NAME_CHARACTERS} characters")]
    TooLong,
    #[error("must contain a visible character")]
    Invisible,
    #[error(
        "must not contain characters that control the direction or layout of text, or are unassigned"
    )]
    Control,
    #[error("must not contain a web or mail address; put a space after each dot")]
    Address,
}

impl DisplayName {
    /// Removes surrounding space.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(raw: &str) -> Result<Self, InvalidDisplayName> {
        let given = raw.trim();
        if given.is_empty() {
            return Err(InvalidDisplayName::Missing);
        }
        if is_longer(given, MAX_DISPLAY_NAME_CHARACTERS) {
            return Err(InvalidDisplayName::TooLong);
        }
        if given.chars().any(is_control) {
            return Err(InvalidDisplayName::Control);
        }
        if !given.chars().any(is_visible) {
            return Err(InvalidDisplayName::Invisible);
        }
        if is_address(given) {
            return Err(InvalidDisplayName::Address);
        }
        Ok(Self(given.to_owned()))
    }

    /// Valid when it was written.
    pub fn stored(name: String) -> Self {
        Self(name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DisplayName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DisplayName([redacted])")
    }
}

/// Format characters change their neighbours; only those that join letters belong to names.
fn is_control(character: char) -> bool {
    const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
    match character.general_category() {
        GeneralCategory::Format => !JOINERS.contains(&character),
        GeneralCategory::Control
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator
        | GeneralCategory::PrivateUse
        | GeneralCategory::Surrogate
        | GeneralCategory::Unassigned => true,
        _ => false,
    }
}

fn is_visible(character: char) -> bool {
    // Blank letters and a blank symbol.
    const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}', '\u{2800}'];
    let group = character.general_category_group();
    let is_printed = matches!(
        group,
        GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Number
            | GeneralCategoryGroup::Punctuation
            | GeneralCategoryGroup::Symbol
    );
    is_printed && !BLANK.contains(&character)
}

/// A scheme, or a dot with a letter or digit before it and two or more letters behind it. Normalised as mail programs
/// do: full-width letters and other dots count.
fn is_address(name: &str) -> bool {
    let folded: String = name
        .nfkc()
        .filter(|character| character.is_alphanumeric() || !is_joiner(*character))
        .collect();
    let folded = folded.replace('\u{3002}', ".");
    if folded.contains("://") {
        return true;
    }
    let parts: Vec<&str> = folded.split('.').collect();
    parts.windows(2).any(|pair| {
        let before = pair[0].chars().next_back();
        let behind = pair[1]
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '-')
            .count();
        before.is_some_and(char::is_alphanumeric) && behind > 1
    })
}

fn is_joiner(character: char) -> bool {
    character.general_category() == GeneralCategory::Format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_from_1_to_100_characters_however_many_bytes() {
        let longest = "ß".repeat(100);
        let name = DisplayName::parse(&format!(" {longest} ")).unwrap();
        assert_eq!(name.as_str(), longest);
        assert_eq!(
            DisplayName::parse(&format!("{longest}ß")),
            Err(InvalidDisplayName::TooLong)
        );
        assert_eq!(DisplayName::parse("  "), Err(InvalidDisplayName::Missing));
    }

    fn refusal(name: &str) -> Option<InvalidDisplayName> {
        DisplayName::parse(name).err()
    }

    #[test]
    fn a_name_of_invisible_characters_is_refused() {
        for name in [
            "\u{200c}",
            "\u{200d}\u{200d}",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "\u{ffa0}",
            "\u{2800}\u{2800}",
            "\u{34f}",
            "\u{fe0f}",
        ] {
            assert_eq!(
                refusal(name),
                Some(InvalidDisplayName::Invisible),
                "{name:?}"
            );
        }
        for name in [
            "\u{200b}",
            "\u{2060}",
            "\u{feff}",
            "\u{ad}",
            "\u{180e}",
            "\u{e0041}",
        ] {
            let refused = refusal(&format!("A{name}da"));
            assert_eq!(refused, Some(InvalidDisplayName::Control), "{name:?}");
            assert!(refusal(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_turns_the_text_around_it_is_refused() {
        for control in [
            '\u{202e}', '\u{202a}', '\u{2066}', '\u{2069}', '\u{200f}', '\u{61c}', '\u{2028}',
            '\u{e000}', '\n',
        ] {
            let refused = refusal(&format!("Ada {control}ecalevoL"));
            assert_eq!(refused, Some(InvalidDisplayName::Control), "{control:?}");
        }
    }

    #[test]
    fn a_name_that_becomes_a_link_is_refused() {
        for name in [
            "Win at https://evil.example/x",
            "evil.example",
            "Visit evil.com now",
            "www.evil.com",
            "EVIL.COM",
            "evil．com",
            "evil。com",
            "e\u{200d}vil.\u{200d}com",
            "ftp://1",
            "ada@evil.com",
            "(bücher.example)",
        ] {
            assert_eq!(refusal(name), Some(InvalidDisplayName::Address), "{name:?}");
        }
    }

    #[test]
    fn names_of_people_are_taken() {
        for name in [
            "Ada Lovelace",
            "J. R. R. Tolkien",
            "J.R.",
            "St. John",
            "Dr. No, M.D.",
            "O'Brien-Smith",
            "Robert'); DROP TABLE users;--",
            "نگار\u{200c}خانه",
            "山田 太郎",
            "Zoë 👩\u{200d}🔬",
            "!",
            "X Æ A-12",
        ] {
            assert_eq!(refusal(name), None, "{name:?}");
        }
    }
}
