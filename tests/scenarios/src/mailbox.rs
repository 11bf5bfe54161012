//! The mails of a system: files in a folder, or MailDev.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::patience::{PATIENCE, eventually};

/// Groups and letters of the user service's codes.
const GROUPS: usize = 5;
const LETTERS: usize = 5;

#[derive(Clone)]
pub enum Mailbox {
    /// One file per mail.
    Folder(PathBuf),
    /// Its web page's address, and the value of the header `authorization` that it asks for.
    MailDev(SocketAddr, String),
}

/// A mail, as tests see it.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Addresses and text, anywhere in the mail.
    pub text: String,
}

impl Mailbox {
    /// All mails to this address.
    pub async fn mails(&self, email: &str) -> Result<Vec<Mail>> {
        let mut mails = match self {
            Self::Folder(folder) => {
                let mut mails = Vec::new();
                for file in std::fs::read_dir(folder)? {
                    let text = std::fs::read_to_string(file?.path())?;
                    mails.push(Mail { text });
                }
                mails
            }
            Self::MailDev(address, login) => listed(*address, login).await?,
        };
        mails.retain(|mail| mail.text.contains(email));
        Ok(mails)
    }

    /// The codes in the mails to this address.
    pub async fn codes(&self, email: &str) -> Result<BTreeSet<String>> {
        let mails = self.mails(email).await?;
        Ok(mails
            .iter()
            .filter_map(|mail| code_in(&mail.text))
            .collect())
    }

    /// Waits for a mail to this address with a code that is not in `seen`.
    pub async fn next_code(&self, email: &str, seen: &BTreeSet<String>) -> Result<String> {
        eventually("a mail with another code", PATIENCE, async || {
            let codes = self.codes(email).await.map_err(|error| error.to_string())?;
            let new = codes.difference(seen).next().cloned();
            new.ok_or_else(|| format!("{} codes", codes.len()))
        })
        .await
    }
}

/// A mail in MailDev's list.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    text: String,
    #[serde(default)]
    to: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

async fn listed(address: SocketAddr, login: &str) -> Result<Vec<Mail>> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("MailDev at {address}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = hyper::Request::get("/api/email")
        .header(HOST, address.to_string())
        .header(AUTHORIZATION, login)
        .body(Empty::<Bytes>::new())?;
    let answer = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        ensure!(status.is_success(), "MailDev answers {status}");
        anyhow::Ok(answer.into_body().collect().await?.to_bytes())
    };
    let (answer, _) = tokio::join!(answer, connection);
    let mails: Vec<Listed> = serde_json::from_slice(&answer?).context("MailDev's list of mails")?;
    Ok(mails.into_iter().map(mail).collect())
}

fn mail(listed: Listed) -> Mail {
    let to = listed.to.into_iter().map(|to| to.address);
    let mut lines: Vec<String> = to.collect();
    lines.push(listed.text);
    Mail {
        text: lines.join("\n"),
    }
}

/// The first code in a text: `7ZK4M-…`, five groups of five letters and digits.
fn code_in(text: &str) -> Option<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let is_letter = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let is_group = |group: &str| group.len() == LETTERS && group.bytes().all(is_letter);
    let is_code = |word: &&str| word.split('-').count() == GROUPS && word.split('-').all(is_group);
    let mut words = text.split(|character: char| !is_part(character));
    words.find(is_code).map(ToOwned::to_owned)
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
        ] {
            assert_eq!(code_in(none), None, "{none}");
        }
    }

    #[test]
    fn maildevs_list_is_read_with_recipients_and_text() {
        let list = r#"[{"id":"a","subject":"Hello","to":[{"address":"ada@example.com","name":""}],"text":"Hello Ada"}]"#;
        let listed: Vec<Listed> = serde_json::from_str(list).unwrap();
        let mails: Vec<Mail> = listed.into_iter().map(mail).collect();
        assert_eq!(mails[0].text, "ada@example.com\nHello Ada");
    }
}
