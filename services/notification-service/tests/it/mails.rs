//! Mails from the recipient's view.

use std::path::PathBuf;

use mail_parser::decoders::html::html_to_text;
use mail_parser::{Message, MessageParser};

pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn bytes(&self, notification_id: &str) -> Vec<u8> {
        std::fs::read(self.path.join(format!("{notification_id}.eml"))).unwrap()
    }

    pub(crate) fn has(&self, notification_id: &str) -> bool {
        self.path.join(format!("{notification_id}.eml")).exists()
    }

    /// Complete or not.
    pub(crate) fn names(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.path).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

pub(crate) fn parsed(bytes: &[u8]) -> Message<'_> {
    MessageParser::default().parse(bytes).expect("a mail")
}

pub(crate) fn text(mail: &Message<'_>) -> String {
    mail.body_text(0).unwrap().replace("\r\n", "\n")
}

pub(crate) fn html(mail: &Message<'_>) -> String {
    mail.body_html(0).unwrap().into_owned()
}

/// With single spaces.
pub(crate) fn shown(html: &str) -> String {
    let text = html_to_text(html);
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// Of the one recipient.
pub(crate) fn to(mail: &Message<'_>) -> (Option<String>, String) {
    let all: Vec<_> = mail.to().unwrap().iter().collect();
    assert_eq!(all.len(), 1);
    let name = all[0].name().map(ToOwned::to_owned);
    (name, all[0].address().unwrap().to_owned())
}
