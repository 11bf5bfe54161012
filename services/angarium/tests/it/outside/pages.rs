//! The calls of README.md and docs/clients.md, word by word.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Tools, eventually, examples};

use crate::examples::embedded;
use crate::process::{Process, run};

const PAGES: [&str; 2] = ["README.md", "docs/clients.md"];

#[tokio::test]
async fn every_grpcurl_call_of_the_pages_does_what_they_say() {
    let Some(grpcurl) = Tools::ready().program("grpcurl") else {
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&mut embedded(data.path()));
    let reader = Reader {
        folder: Path::new(grpcurl.get_program())
            .parent()
            .unwrap()
            .to_owned(),
        process: &process,
    };
    let calls: Vec<String> = PAGES.iter().flat_map(|page| calls_of(page)).collect();
    let [register, log_in, mails, refused @ ..] = calls.as_slice() else {
        panic!("{calls:?}");
    };

    let registered = answer(&reader.does(register, &[]));
    assert_eq!(registered["user"]["role"], "USER_ROLE_USER");
    let logged_in = answer(&reader.does(log_in, &[]));
    let words = [
        ("USER_ID", text(&registered["user"]["userId"])),
        ("ACCESS_TOKEN", text(&logged_in["tokens"]["accessToken"])),
    ];
    eventually("the mails are listed", async || {
        let output = reader.does(mails, &words);
        if !output.status.success() {
            return Err(said(&output));
        }
        let listed = answer(&output)["notifications"].clone();
        if listed.as_array().is_some_and(|mails| mails.len() == 2) {
            Ok(())
        } else {
            Err(listed.to_string())
        }
    })
    .await;

    // By reflection, by the descriptor set, and by the proto files.
    assert_eq!(refused.len(), 3, "{refused:?}");
    for call in refused {
        let output = reader.does(call, &[]);
        // grpcurl adds the status code to 64.
        assert_eq!(output.status.code(), Some(64 + 3), "{call}");
        let said = said(&output);
        for readable in [
            "VALIDATION_FAILED",
            "\"field\": \"password\"",
            "google.rpc.BadRequest",
        ] {
            assert!(said.contains(readable), "{call}: {readable}: {said}");
        }
    }
    assert_eq!(process.interrupt().code(), Some(0));
}

struct Reader<'a> {
    /// Of grpcurl.
    folder: std::path::PathBuf,
    process: &'a Process,
}

impl Reader<'_> {
    /// Pastes a call into a shell at the root of the repository, with `words` for the placeholders.
    fn does(&self, call: &str, words: &[(&str, String)]) -> Output {
        let descriptors = examples::buf().descriptors.display().to_string();
        let mut call = call.replace("target/angarium.binpb", &descriptors);
        for (port, url) in [
            ("127.0.0.1:50051", &self.process.users),
            ("127.0.0.1:50052", &self.process.orders),
            ("127.0.0.1:50053", &self.process.notifications),
        ] {
            call = call.replace(port, url.trim_start_matches("http://"));
        }
        for (placeholder, word) in words {
            call = call.replace(placeholder, word);
        }
        let path = format!("{}:/usr/bin:/bin", self.folder.display());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &call])
            .env("PATH", path)
            .current_dir(root());
        run(&mut shell)
    }
}

/// In the shell blocks of a page, each on one line.
fn calls_of(page: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join(page)).unwrap();
    let blocks = page.split("```").skip(1).step_by(2);
    let shell: String = blocks
        .filter_map(|block| block.strip_prefix("sh\n"))
        .collect();
    let joined = shell.replace("\\\n", " ");
    joined
        .lines()
        .filter(|line| line.starts_with("grpcurl "))
        .map(str::to_owned)
        .collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[track_caller]
fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
