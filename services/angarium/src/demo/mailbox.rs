//! The mails of the demo's user: files in a folder.

use std::path::{Path, PathBuf};

/// Of the user service's codes.
const GROUPS: usize = 5;
const LETTERS: usize = 5;

pub(super) struct Mailbox {
    folder: PathBuf,
}

impl Mailbox {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    pub(super) fn code(&self, email: &str) -> Option<String> {
        let files = std::fs::read_dir(&self.folder).ok()?;
        files
            .filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok())
            .filter(|mail| mail.contains(email))
            .find_map(|mail| code_in(&mail))
    }
}

/// `7ZK4M-…`: five groups of five letters and digits.
pub fn code_in(text: &str) -> Option<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let words = text.split(|character: char| !is_part(character));
    words.map(ToOwned::to_owned).find(|word| is_code(word))
}

fn is_code(word: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let groups: Vec<&str> = word.split('-').collect();
    groups.len() == GROUPS
        && groups
            .iter()
            .all(|group| group.len() == LETTERS && group.bytes().all(is_letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_among_words_and_nothing_else_is_one() {
        let mail = "Your code:\r\n\r\n  7ZK4M-00000-ABCDE-FGHJK-12345\r\n\r\nIt works once.";
        assert_eq!(code_in(mail).unwrap(), "7ZK4M-00000-ABCDE-FGHJK-12345");
        for none in [
            "",
            "019aa5b2-6f3e-7c41-9a53-0d4c8a4f2b11",
            "7ZK4M-00000-ABCDE-FGHJK",
            "7zk4m-00000-abcde-fghjk-12345",
            "7ZK4M-00000-ABCDE-FGHJK-12345-67890",
        ] {
            assert_eq!(code_in(none), None, "{none}");
        }
    }
}
