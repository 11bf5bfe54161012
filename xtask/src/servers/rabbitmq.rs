//! RabbitMQ for the tests: given, private or in Docker.
//!
//! A private node shares nothing with the system's node: data, ports, node name, cookie and epmd (the name server of
//! Erlang nodes) are separate.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::account::Account;
use super::amqp::{self, Address};
use super::docker::{Container, Image};
use super::folder::{self, Folder};
use super::ledger::Ledger;
use super::private::Private;
use super::{AMQP_URL, Owned, Running, START_LIMIT, programs, ready, unusable};
use crate::stop::Stop;

pub(crate) const PACKAGE: &str = "rabbitmq-server";

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
pub(crate) struct Installed {
    server: PathBuf,
    epmd: PathBuf,
}

pub(crate) fn installed() -> Option<Installed> {
    let server = programs::folders(SERVER_FOLDERS)
        .into_iter()
        .find_map(|folder| {
            let found = folder.join("rabbitmq-server").canonicalize().ok()?;
            script(found.parent()?)
        })?;
    let epmd = programs::find("epmd", ERLANG_FOLDERS)?;
    Some(Installed { server, epmd })
}

/// The real script has `rabbitmq-env` beside it. Packages often put a wrapper on the search path that requires the
/// system's account.
fn script(folder: &Path) -> Option<PathBuf> {
    let script = folder.join("rabbitmq-server");
    (script.is_file() && folder.join("rabbitmq-env").is_file()).then_some(script)
}

pub(crate) fn given(url: &str) -> Result<Running> {
    let version = check(url).with_context(|| unusable(AMQP_URL))?;
    Ok(Running {
        url: url.to_owned(),
        description: format!("RabbitMQ{version}, from {AMQP_URL}"),
        // Only the user knows how to run rabbitmqctl there.
        control: None,
        owned: Owned::Nothing,
    })
}

pub(crate) fn container(ledger: &Ledger, stop: &Stop) -> Result<Running> {
    let password = folder::secret()?;
    let image = Image {
        name: "rabbitmq:4-management",
        port: 5672,
        environment: vec![
            ("RABBITMQ_DEFAULT_USER", USER.to_owned()),
            ("RABBITMQ_DEFAULT_PASS", password.clone()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!("-ra wal_max_size_bytes {WAL_BYTES}"),
            ),
        ],
        arguments: Vec::new(),
    };
    let container = Container::start(&image, ledger, stop)?;
    let url = url(&password, container.port);
    let address = Address::parse(&url)?;
    let alive = || container.check();
    let version = ready::wait(START_LIMIT, stop, alive, || amqp::log_in(&address))
        .with_context(|| not_started(&container.log_tail()))?;
    Ok(Running {
        url,
        description: format!(
            "RabbitMQ {version}: Docker container of {} on 127.0.0.1:{}",
            image.name, container.port
        ),
        control: Some(container.exec("rabbitmqctl")),
        owned: Owned::Container(container),
    })
}

pub(crate) fn private(ledger: &Ledger, stop: &Stop) -> Result<Running> {
    ready::retry(|| start(ledger, stop))
}

fn start(ledger: &Ledger, stop: &Stop) -> Result<Running> {
    let installed = installed().context("rabbitmq-server or Erlang's epmd is not installed")?;
    let folder = Folder::create(ledger, Account::for_servers(&["nobody", "rabbitmq"])?)?;
    let password = folder::secret()?;
    let [amqp_port, distribution_port, epmd_port] = ready::free_ports()?;
    let url = url(&password, amqp_port);
    let address = Address::parse(&url)?;

    // Erlang's cookie must exist, with private permissions, before a node starts.
    folder.write(".erlang.cookie", &folder::secret()?)?;
    folder.write("rabbitmq.conf", &configuration(&password, amqp_port))?;
    folder.write("advanced.config", "[].\n")?;
    folder.write("enabled_plugins", "[].\n")?;
    folder.write("rabbitmq-env.conf", "")?;
    let mnesia = folder.create_folder("mnesia")?;
    let logs = folder.create_folder("log")?;

    let name = format!("{}@localhost", node_name()?);
    let control = control(&folder, &installed, &name, epmd_port)?;

    let mut epmd = folder.logged(&installed.epmd)?;
    epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
    let mut node = folder.logged(&installed.server)?;
    node.env("RABBITMQ_NODENAME", &name)
        .env("RABBITMQ_DIST_PORT", distribution_port.to_string())
        .env("RABBITMQ_MNESIA_BASE", mnesia)
        .env("RABBITMQ_LOG_BASE", logs)
        // Set all of these, because the defaults are the system's files.
        .env("RABBITMQ_CONFIG_FILE", folder.file("rabbitmq.conf"))
        .env(
            "RABBITMQ_ADVANCED_CONFIG_FILE",
            folder.file("advanced.config"),
        )
        .env("RABBITMQ_CONF_ENV_FILE", folder.file("rabbitmq-env.conf"))
        .env(
            "RABBITMQ_ENABLED_PLUGINS_FILE",
            folder.file("enabled_plugins"),
        )
        .env("RABBITMQ_PID_FILE", folder.file("rabbitmq.pid"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", LOOPBACK)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        // Erlang reserves memory for the maximum number of open files.
        .env("ERL_MAX_PORTS", "65536");

    // epmd first, as our child: a node without an epmd starts one that outlives it.
    let mut private = Private::new(folder);
    private.spawn(&mut epmd, ledger)?;
    ready::wait(
        START_LIMIT,
        stop,
        || private.check(),
        || ready::connect("127.0.0.1", epmd_port),
    )
    .with_context(|| not_started(&private.log_tail()))?;
    let answers = Box::new(move || amqp::log_in(&address));
    let version = private
        .serve(node, answers, ledger, stop)
        .with_context(|| not_started(&private.log_tail()))?;

    Ok(Running {
        url,
        description: format!(
            "RabbitMQ {version}: private node of {} on 127.0.0.1:{amqp_port}",
            installed.server.display()
        ),
        control: Some(control),
        owned: Owned::Private(Box::new(private)),
    })
}

/// A command line for rabbitmqctl: a script with the node's settings and cookie.
fn control(folder: &Folder, installed: &Installed, node: &str, epmd_port: u16) -> Result<String> {
    let rabbitmqctl = installed.server.with_file_name("rabbitmqctl");
    let home = folder.path().display();
    let script = format!(
        "export HOME='{home}' RABBITMQ_NODENAME='{node}' LC_ALL=C.UTF-8\n\
         export RABBITMQ_CONF_ENV_FILE='{home}/rabbitmq-env.conf'\n\
         export RABBITMQ_CONFIG_FILE='{home}/rabbitmq.conf'\n\
         export RABBITMQ_ENABLED_PLUGINS_FILE='{home}/enabled_plugins'\n\
         export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT={epmd_port}\n\
         cd / && exec '{}' \"$@\"\n",
        rabbitmqctl.display()
    );
    let script = folder.write("rabbitmqctl.sh", &script)?;
    Ok(format!("sh {}", script.display()))
}

const LOOPBACK: &str = "-kernel inet_dist_use_interface {127,0,0,1}";

/// The log that all quorum queues share; the default is 512 MB.
const WAL_BYTES: u32 = 64_000_000;

fn configuration(password: &str, port: u16) -> String {
    format!(
        "listeners.tcp.default = 127.0.0.1:{port}\n\
         default_user = {USER}\n\
         default_pass = {password}\n\
         raft.wal_max_size_bytes = {WAL_BYTES}\n\
         disk_free_limit.absolute = 100MB\n\
         log.file = false\n\
         log.console = true\n\
         log.console.level = info\n"
    )
}

fn node_name() -> Result<String> {
    Ok(format!("angarium-{}", &folder::secret()?[..8]))
}

fn url(password: &str, port: u16) -> String {
    format!("amqp://{USER}:{password}@127.0.0.1:{port}/%2f")
}

fn not_started(log: &str) -> String {
    format!("RabbitMQ does not start; its log ends with:\n{log}\n")
}

/// With TLS, checks only that the port is open, because this tool has no TLS.
fn check(url: &str) -> Result<String> {
    let address = Address::parse(url)?;
    if address.tls {
        ready::connect(&address.host, address.port)?;
        return Ok(String::new());
    }
    let version =
        amqp::log_in(&address).with_context(|| format!("at {}:{}", address.host, address.port))?;
    Ok(format!(" {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_url_leads_to_the_default_virtual_host() -> Result<()> {
        let address = Address::parse(&url("secret", 5000))?;
        assert_eq!((address.host.as_str(), address.port), ("127.0.0.1", 5000));
        Ok(())
    }

    #[test]
    fn a_wrapper_without_the_real_scripts_is_not_taken() -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("rabbitmq-server"), "")?;
        assert_eq!(script(folder.path()), None);
        std::fs::write(folder.path().join("rabbitmq-env"), "")?;
        assert!(script(folder.path()).is_some());
        Ok(())
    }

    #[test]
    fn an_error_about_a_given_server_does_not_show_its_password() {
        let error = check("amqp://me:secret@127.0.0.1:1/").err();
        let text = error.map(|error| format!("{error:#}"));
        assert!(text.is_some_and(|text| text.contains("127.0.0.1:1") && !text.contains("secret")));
    }
}
