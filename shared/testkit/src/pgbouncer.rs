//! A private PgBouncer in front of the test run's PostgreSQL, with the default limits.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use url::Url;

/// Where distributions install it.
const PROGRAMS: [&str; 3] = [
    "/usr/sbin/pgbouncer",
    "/usr/local/bin/pgbouncer",
    "/opt/homebrew/bin/pgbouncer",
];
/// On a busy machine.
const STARTS: Duration = Duration::from_secs(30);

/// A running PgBouncer. Dropping it stops it.
pub struct PgBouncer {
    url: Url,
    _child: Child,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts in front of the database of `url`. `None` if PgBouncer is not installed.
    ///
    /// # Panics
    /// If it is installed and does not start.
    pub async fn before(url: &str, pool_mode: &str) -> Option<Self> {
        let program = installed()?;
        let server: Url = url.parse().expect("a URL");
        let port = free_port();
        let folder = TempDir::new().expect("a temporary folder");
        let settings = folder.path().join("pgbouncer.ini");
        let text = settings_for(&server, port, pool_mode);
        std::fs::write(&settings, text).expect("the settings");
        let mut command = Command::new(program);
        // PgBouncer refuses to run as root.
        if is_root() {
            command.args(["-u", "nobody"]);
        }
        let mut child = command
            .arg(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("PgBouncer starts");
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if let Some(ended) = child.try_wait().expect("a process") {
                    panic!("PgBouncer does not start: {ended}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(STARTS, listening)
            .await
            .expect("PgBouncer listens");
        let mut url = server;
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(port)).expect("a URL with a port");
        Some(Self {
            url,
            _child: child,
            _folder: folder,
        })
    }

    /// The database's URL through PgBouncer.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }
}

/// Every client becomes the server's user of the test run.
fn settings_for(server: &Url, port: u16, pool_mode: &str) -> String {
    let host = server.host_str().expect("a URL with a host");
    let server_port = server.port().unwrap_or(5432);
    let user = server.username();
    let password = server.password().unwrap_or_default();
    format!(
        "[databases]\n\
         * = host={host} port={server_port} user={user} password={password}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = {pool_mode}\n"
    )
}

fn installed() -> Option<PathBuf> {
    PROGRAMS
        .into_iter()
        .map(PathBuf::from)
        .find(|program| program.is_file())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;

    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
