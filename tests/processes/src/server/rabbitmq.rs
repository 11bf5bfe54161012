//! A private RabbitMQ. It shares nothing with the system's node: data, ports, node name, cookie and epmd (the name server of Erlang
//! nodes) are separate.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::folder::{Folder, secret};
use super::{START_LIMIT, Server, free_ports, quiet};
use crate::programs;

const USER: &str = "angarium";
const SERVER_FOLDERS: &[&str] = &[
    "/usr/lib/rabbitmq/bin",
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "/opt/rabbitmq/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
];
const ERLANG_FOLDERS: &[&str] = &[
    "/usr/lib/erlang/erts-*/bin",
    "/usr/lib64/erlang/erts-*/bin",
    "/usr/local/lib/erlang/erts-*/bin",
    "/opt/homebrew/lib/erlang/erts-*/bin",
];

#[derive(Debug)]
pub(super) struct Installed {
    pub(super) folder: PathBuf,
    epmd: PathBuf,
}

pub(super) fn installed() -> Option<Installed> {
    let mut folders = programs::folders(SERVER_FOLDERS).into_iter();
    let folder = folders.find_map(|folder| {
        let found = folder.join("rabbitmq-server").canonicalize().ok()?;
        found
            .parent()
            .filter(|folder| has_scripts(folder))
            .map(Path::to_owned)
    })?;
    let epmd = programs::find("epmd", ERLANG_FOLDERS)?;
    Some(Installed { folder, epmd })
}

/// The real scripts have `rabbitmq-env` beside them. Packages often put a wrapper on the search path that requires the
/// system's account.
fn has_scripts(folder: &Path) -> bool {
    folder.join("rabbitmq-server").is_file() && folder.join("rabbitmq-env").is_file()
}

pub(super) fn prepared() -> Result<Server> {
    let programs = installed().context("RabbitMQ (rabbitmq-server and epmd) is not installed")?;
    let folder = Folder::create()?;
    let password = secret();
    let [port, distribution, epmd] = free_ports()?;

    // Erlang's cookie must exist, with private permissions, before a node starts.
    folder.write(".erlang.cookie", &secret())?;
    folder.write("rabbitmq.conf", &configuration(&password, port))?;
    folder.write("advanced.config", "[].\n")?;
    folder.write("enabled_plugins", "[].\n")?;
    folder.write("rabbitmq-env.conf", "")?;
    let home = folder.path().display();
    let environment = folder.write("environment", &environment(&home.to_string(), epmd))?;
    let environment = environment.display();
    let control = folder.write(
        "rabbitmqctl.sh",
        &format!(
            ". '{environment}'\ncd / && exec '{}' \"$@\"\n",
            programs.folder.join("rabbitmqctl").display()
        ),
    )?;
    let server = folder.write(
        "server.sh",
        // epmd first, as our child: a node without an epmd starts one that outlives it. The file with the process id may be left
        // from an earlier start.
        &format!(
            ". '{environment}'\nrm -f \"$RABBITMQ_PID_FILE\"\n\
             '{}' -port {epmd} -address 127.0.0.1 &\n\
             export RABBITMQ_DIST_PORT={distribution}\nexec '{}'\n",
            programs.epmd.display(),
            programs.folder.join("rabbitmq-server").display()
        ),
    )?;

    let mut command = folder.command("sh")?;
    command.arg(server);
    let mut ready = folder.command("sh")?;
    let limit = START_LIMIT.as_secs().to_string();
    ready.arg(&control).args(["wait", "--timeout", &limit]);
    ready.arg(folder.path().join("rabbitmq.pid"));
    Ok(Server {
        url: format!("amqp://{USER}:{password}@127.0.0.1:{port}/%2f"),
        description: format!(
            "RabbitMQ: private node of {} on 127.0.0.1:{port}",
            programs.folder.display()
        ),
        rabbitmqctl: Some(format!("sh {}", control.display())),
        command,
        ready: quiet(ready),
        group: None,
        folder,
    })
}

/// Sets every file, because the defaults are the system's.
fn environment(home: &str, epmd: u16) -> String {
    let random = &secret()[..8];
    format!(
        "export HOME='{home}' LC_ALL=C.UTF-8\n\
         export RABBITMQ_NODENAME='angarium-{random}@localhost'\n\
         export RABBITMQ_MNESIA_BASE='{home}/mnesia' RABBITMQ_LOG_BASE='{home}/logs'\n\
         export RABBITMQ_CONFIG_FILE='{home}/rabbitmq.conf'\n\
         export RABBITMQ_ADVANCED_CONFIG_FILE='{home}/advanced.config'\n\
         export RABBITMQ_CONF_ENV_FILE='{home}/rabbitmq-env.conf'\n\
         export RABBITMQ_ENABLED_PLUGINS_FILE='{home}/enabled_plugins'\n\
         export RABBITMQ_PID_FILE='{home}/rabbitmq.pid'\n\
         export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {{127,0,0,1}}'\n\
         export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT={epmd}\n\
         # Erlang reserves memory for the maximum number of open files.\n\
         export ERL_MAX_PORTS=65536\n"
    )
}

/// The log that all quorum queues share has 512 MB by default.
fn configuration(password: &str, port: u16) -> String {
    format!(
        "listeners.tcp.default = 127.0.0.1:{port}\n\
         default_user = {USER}\n\
         default_pass = {password}\n\
         raft.wal_max_size_bytes = 64000000\n\
         disk_free_limit.absolute = 100MB\n\
         log.file = false\n\
         log.console = true\n\
         log.console.level = info\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_without_the_real_scripts_is_not_taken() -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("rabbitmq-server"), "")?;
        assert!(!has_scripts(folder.path()));
        std::fs::write(folder.path().join("rabbitmq-env"), "")?;
        assert!(has_scripts(folder.path()));
        Ok(())
    }
}
