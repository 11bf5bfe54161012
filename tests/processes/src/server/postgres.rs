//! A private PostgreSQL. The data is temporary.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::folder::{Folder, secret};
use super::{Server, free_ports, quiet};
use crate::programs;
use crate::stop::Stop;

const USER: &str = "angarium";
pub(super) const NO_WAITS: &[&str] = &["-c", "fsync=off", "-c", "full_page_writes=off"];
const SETTINGS: &[&str] = &[
    // Every test has its own database and pool.
    "-c",
    "max_connections=300",
    // No socket file, because its path must be short; the tests use TCP.
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    "unix_socket_directories=",
];
const FOLDERS: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
];

/// The folder of the server's programs.
pub(super) fn installed() -> Option<PathBuf> {
    programs::folders(FOLDERS).into_iter().find_map(|folder| {
        // The search path may contain a link; the other programs are in the folder of its target.
        let initdb = folder.join("initdb").canonicalize().ok()?;
        let folder = initdb.parent()?;
        folder.join("postgres").is_file().then(|| folder.to_owned())
    })
}

pub(super) fn prepared(settings: &[&str], stop: &Stop) -> Result<Server> {
    let programs = installed().context("PostgreSQL (initdb and postgres) is not installed")?;
    let folder = Folder::create()?;
    let password = secret();
    let data = folder.path().join("data");
    let mut initdb = folder.command(programs.join("initdb"))?;
    initdb.arg("--pgdata").arg(&data);
    initdb
        .arg("--pwfile")
        .arg(folder.write("password", &password)?);
    initdb.args(["--username", USER, "--auth=scram-sha-256", "--no-sync"]);
    initdb.args(["--encoding=UTF8", locale()]);
    let initialized = initdb.status().context("cannot start initdb")?;
    ensure!(
        initialized.success(),
        "initdb failed: {}",
        folder.log_tail()
    );
    stop.check()?;

    let [port] = free_ports()?;
    let mut command = folder.command(programs.join("postgres"))?;
    command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
    command.args(SETTINGS).args(settings);
    let mut ready = folder.command(programs.join("pg_isready"))?;
    ready.args(["--host=127.0.0.1", &format!("--port={port}")]);
    Ok(Server {
        url: format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres"),
        description: format!(
            "PostgreSQL: private instance of {} on 127.0.0.1:{port}",
            programs.display()
        ),
        rabbitmqctl: None,
        command,
        ready: quiet(ready),
        group: None,
        folder,
    })
}

/// C.UTF-8 sorts the same everywhere, but only Linux has it.
fn locale() -> &'static str {
    if cfg!(target_os = "linux") {
        "--locale=C.UTF-8"
    } else {
        "--locale=en_US.UTF-8"
    }
}
