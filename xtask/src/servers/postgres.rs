//! PostgreSQL for the tests: given, private or in Docker.
//!
//! The data is temporary, so it does not wait for the disk, unless a test kills the server. Every other setting that a
//! test could notice, above all synchronous_commit, is PostgreSQL's default.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use percent_encoding::percent_decode_str;
use url::Url;

use super::account::Account;
use super::docker::{Container, Image};
use super::folder::{self, Folder};
use super::ledger::Ledger;
use super::private::Private;
use super::{Owned, POSTGRES_URL, Running, START_LIMIT, pgwire, programs, ready, unusable};
use crate::process;
use crate::stop::Stop;

pub(crate) const PACKAGE: &str = "postgresql";
/// Some tests start it in front of the server.
pub(crate) const POOLER: &str = "pgbouncer";

const USER: &str = "angarium";
/// Every test has its own database and pool.
const CONNECTIONS: &[&str] = &["-c", "max_connections=300"];
const NO_WAITS: &[&str] = &["-c", "fsync=off", "-c", "full_page_writes=off"];
const FOLDERS: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
];

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// PostgreSQL's default.
    Waits,
    /// For tests that do not kill the server.
    DoesNotWait,
}

impl Disk {
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Waits => &[],
            Self::DoesNotWait => NO_WAITS,
        }
    }
}

/// The folder of the server's programs.
pub(crate) fn installed() -> Option<PathBuf> {
    programs::folders(FOLDERS).into_iter().find_map(|folder| {
        // The search path may contain a link; the other programs are in the folder of its target.
        let initdb = folder.join("initdb").canonicalize().ok()?;
        let folder = initdb.parent()?;
        folder.join("postgres").is_file().then(|| folder.to_owned())
    })
}

pub(crate) fn given(url: &str) -> Result<Running> {
    let version = check(url).with_context(|| unusable(POSTGRES_URL))?;
    Ok(Running {
        url: url.to_owned(),
        description: format!("PostgreSQL{version}, from {POSTGRES_URL}"),
        control: None,
        owned: Owned::Nothing,
    })
}

pub(crate) fn container(ledger: &Ledger, stop: &Stop) -> Result<Running> {
    let password = folder::secret()?;
    let image = Image {
        name: "postgres:18",
        port: 5432,
        environment: vec![
            ("POSTGRES_USER", USER.to_owned()),
            ("POSTGRES_PASSWORD", password.clone()),
        ],
        arguments: [CONNECTIONS, NO_WAITS].concat(),
    };
    let container = Container::start(&image, ledger, stop)?;
    let port = container.port;
    let alive = || container.check();
    ready::wait(START_LIMIT, stop, alive, || {
        pgwire::accepts("127.0.0.1", port, USER)
    })
    .with_context(|| not_started(&container.log_tail()))?;
    Ok(Running {
        url: url(&password, port),
        description: format!(
            "PostgreSQL: Docker container of {} on 127.0.0.1:{port}",
            image.name
        ),
        control: None,
        owned: Owned::Container(container),
    })
}

pub(crate) fn private(disk: Disk, ledger: &Ledger, stop: &Stop) -> Result<Running> {
    ready::retry(|| start(disk, ledger, stop))
}

fn start(disk: Disk, ledger: &Ledger, stop: &Stop) -> Result<Running> {
    let programs = installed().context("initdb and postgres are not installed")?;
    let postgres = programs.join("postgres");
    let folder = Folder::create(ledger, Account::for_servers(&["nobody", "postgres"])?)?;
    let password = folder::secret()?;
    let password_file = folder.write("password", &password)?;
    let data = folder.file("data");

    let mut version = folder.command(&postgres);
    let version = process::output(version.arg("--version"), Duration::from_secs(20))?;
    let version = version.success("postgres --version")?;
    let version = programs::version(&version).unwrap_or("(unknown version)");

    let mut initdb = folder.command(&programs.join("initdb"));
    initdb
        .arg("--pgdata")
        .arg(&data)
        .arg("--pwfile")
        .arg(password_file);
    initdb.args(["--username", USER, "--auth=scram-sha-256", "--no-sync"]);
    initdb.args(["--encoding=UTF8", locale()]);
    process::output(&mut initdb, START_LIMIT)?.success("initdb")?;
    stop.check()?;

    let [port] = ready::free_ports()?;
    let mut server = folder.logged(&postgres)?;
    server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
    // No socket file, because its path must be short; the tests use TCP.
    server.args([
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
    ]);
    server.args(CONNECTIONS).args(disk.settings());
    let mut private = Private::new(folder);
    let answers = Box::new(move || {
        pgwire::accepts("127.0.0.1", port, USER)?;
        Ok(String::new())
    });
    private
        .serve(server, answers, ledger, stop)
        .with_context(|| not_started(&private.log_tail()))?;
    Ok(Running {
        url: url(&password, port),
        description: format!(
            "PostgreSQL {version}: private instance of {} on 127.0.0.1:{port}",
            programs.display()
        ),
        control: None,
        owned: Owned::Private(Box::new(private)),
    })
}

fn not_started(log: &str) -> String {
    format!("PostgreSQL does not start; its log ends with:\n{log}\n")
}

fn url(password: &str, port: u16) -> String {
    format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres")
}

/// C.UTF-8 sorts the same everywhere, but only Linux has it.
fn locale() -> &'static str {
    if cfg!(target_os = "linux") {
        "--locale=C.UTF-8"
    } else {
        "--locale=en_US.UTF-8"
    }
}

/// With psql, checks the login and reads the version; without it, only that a server answers.
fn check(text: &str) -> Result<String> {
    let url = Url::parse(text)?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        bail!("its scheme is {}, not postgres or postgresql", url.scheme());
    }
    let (Some(host), port) = (url.host_str(), url.port().unwrap_or(5432)) else {
        bail!("the URL names no host");
    };
    pgwire::accepts(host, port, &decode(url.username()))?;
    let Some(psql) = programs::find("psql", FOLDERS) else {
        return Ok(String::new());
    };
    let mut command = Command::new(psql);
    for (name, value) in parameters(&url) {
        command.env(name, value);
    }
    command.args([
        "--no-psqlrc",
        "--no-password",
        "-tAc",
        "show server_version",
    ]);
    let output = process::output(&mut command, Duration::from_secs(30))?;
    let said = output
        .success("psql")
        .with_context(|| format!("at {host}:{port}"))?;
    Ok(programs::version(&said)
        .map(|version| format!(" {version}"))
        .unwrap_or_default())
}

/// In the environment, not as arguments, because the process list shows arguments.
fn parameters(url: &Url) -> Vec<(&'static str, String)> {
    let database = decode(url.path().trim_start_matches('/'));
    let mut parameters = vec![
        (
            "PGHOST",
            url.host_str()
                .unwrap_or_default()
                .trim_matches(['[', ']'])
                .to_owned(),
        ),
        ("PGPORT", url.port().unwrap_or(5432).to_string()),
        ("PGUSER", decode(url.username())),
        ("PGPASSWORD", decode(url.password().unwrap_or_default())),
        ("PGDATABASE", database),
        ("PGCONNECT_TIMEOUT", "10".to_owned()),
    ];
    for (key, value) in url.query_pairs() {
        match &*key {
            "sslmode" => parameters.push(("PGSSLMODE", value.into_owned())),
            "sslrootcert" => parameters.push(("PGSSLROOTCERT", value.into_owned())),
            _ => {}
        }
    }
    parameters.retain(|(_, value)| !value.is_empty());
    parameters
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url_are_handed_to_psql_decoded() -> Result<()> {
        let url = Url::parse("postgres://me:p%40ss@[::1]/db?sslmode=require")?;
        let parameters = parameters(&url);
        let expected = [
            ("PGHOST", "::1"),
            ("PGPORT", "5432"),
            ("PGUSER", "me"),
            ("PGPASSWORD", "p@ss"),
            ("PGDATABASE", "db"),
            ("PGCONNECT_TIMEOUT", "10"),
            ("PGSSLMODE", "require"),
        ];
        assert_eq!(
            parameters,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
        Ok(())
    }

    #[test]
    fn an_error_about_a_url_does_not_show_its_password() {
        for url in [
            "mysql://me:secret@host",
            "postgres://me:secret@host:port",
            "postgres:///secret",
        ] {
            let error = check(url).err().map(|error| format!("{error:#}"));
            assert!(error.is_some_and(|text| !text.contains("secret")));
        }
    }
}
