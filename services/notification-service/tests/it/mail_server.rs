//! A mail server with scripted answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use notification_service::sender::SmtpServer;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// To the next mail.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// To the recipient.
    Recipient(&'static str),
    /// Accepts the mail and never answers.
    Silence,
    /// Of the connection.
    Greeting(&'static str),
    /// To the login.
    Login(&'static str),
}

/// Accepts every mail without a scripted answer.
pub(crate) struct MailServer {
    port: u16,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct State {
    answers: Mutex<VecDeque<Answer>>,
    mails: Mutex<Vec<Vec<u8>>>,
    connections: AtomicUsize,
    /// With EHLO.
    greeted: Mutex<Vec<String>>,
}

impl MailServer {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            answers: Mutex::new(answers.into_iter().collect()),
            ..State::default()
        });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&state)));
        Self {
            port,
            state,
            _serving: serving,
        }
    }

    pub(crate) fn server(&self) -> SmtpServer {
        self.server_with("", "")
    }

    /// With a login before the host, and parameters after it.
    pub(crate) fn server_with(&self, login: &str, parameters: &str) -> SmtpServer {
        let url = format!("smtp://{login}127.0.0.1:{}{parameters}", self.port);
        SmtpServer::parse(&url).unwrap()
    }

    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        self.state.mails.lock().unwrap().clone()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn greeted(&self) -> Vec<String> {
        self.state.greeted.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut conversations = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.fetch_add(1, Ordering::SeqCst);
        let state = Arc::clone(&state);
        // A client that disconnects ends only its own session.
        conversations.spawn(async move { converse(stream, &state).await.unwrap_or(()) });
    }
}

async fn converse(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let greeting = state.next(|answer| match answer {
        Answer::Greeting(text) => Some(text),
        _ => None,
    });
    say(&mut stream, greeting.unwrap_or("220 test")).await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.split([' ', '\r']).next().unwrap_or_default();
        match command {
            "EHLO" => {
                let name = line.trim_end().trim_start_matches("EHLO ").to_owned();
                state.greeted.lock().unwrap().push(name);
                say(&mut stream, "250-test\r\n250-AUTH PLAIN\r\n250 8BITMIME").await?;
            }
            "AUTH" => {
                let answer = state.next(|answer| match answer {
                    Answer::Login(text) => Some(text),
                    _ => None,
                });
                say(&mut stream, answer.unwrap_or("235 welcome")).await?;
            }
            "RCPT" => {
                let answer = state.next(|answer| match answer {
                    Answer::Recipient(text) => Some(text),
                    _ => None,
                });
                say(&mut stream, answer.unwrap_or("250 ok")).await?;
            }
            "DATA" => {
                say(&mut stream, "354 go on").await?;
                let mail = read_mail(&mut stream).await?;
                state.mails.lock().unwrap().push(mail);
                let silence = state.next(|answer| match answer {
                    Answer::Silence => Some(()),
                    _ => None,
                });
                if silence.is_some() {
                    std::future::pending::<()>().await;
                }
                say(&mut stream, "250 taken").await?;
            }
            "QUIT" => {
                say(&mut stream, "221 bye").await?;
                return Ok(());
            }
            _ => say(&mut stream, "250 ok").await?,
        }
    }
}

async fn read_mail(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        stream.read_until(b'\n', &mut line).await?;
        match line.as_slice() {
            b".\r\n" => return Ok(mail),
            [b'.', rest @ ..] => mail.extend_from_slice(rest),
            whole => mail.extend_from_slice(whole),
        }
    }
}

async fn say(stream: &mut BufReader<TcpStream>, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await
}

impl State {
    /// If it is of this kind.
    fn next<T>(&self, kind: impl Fn(Answer) -> Option<T>) -> Option<T> {
        let mut answers = self.answers.lock().unwrap();
        let found = kind(*answers.front()?)?;
        answers.pop_front();
        Some(found)
    }
}
