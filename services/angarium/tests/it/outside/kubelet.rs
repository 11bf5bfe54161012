//! Probes as the kubelet sends them, with what it would record of a pod.

use testkit::{Database, Proxy, StoreKind, Tools, eventually};

use crate::process::{Process, command, run};

const USERS: &str = "angarium.user.v1.UserService";

/// The record, and whether the probe succeeds.
fn probe(process: &Process, service: &str) -> Option<(String, bool)> {
    let mut kubelet = Tools::ready().program("kubelet")?;
    let address = process.users.trim_start_matches("http://");
    kubelet.args(["-addr", address, "-service", service]);
    let output = run(&mut kubelet);
    let said = String::from_utf8(output.stdout).unwrap();
    Some((said.trim().to_owned(), output.status.success()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kubelet_sees_when_a_pod_is_healthy() {
    if Tools::ready().program("kubelet").is_none() {
        return;
    }
    let database = Database::create(StoreKind::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(command(data.path()).args(["--database-url", proxy.url()]));
    let becomes = async |service: &str, expected: (&str, bool)| {
        eventually(expected.0, async || {
            let (said, healthy) = probe(&process, service).unwrap();
            if said.contains(expected.0) && healthy == expected.1 {
                Ok(())
            } else {
                Err(said)
            }
        })
        .await;
    };
    // Readiness asks for the service, liveness for the process.
    becomes(USERS, ("service healthy", true)).await;
    becomes("", ("service healthy", true)).await;
    becomes("no.such.Service", ("code = NotFound", false)).await;
    proxy.cut();
    becomes(USERS, ("responded with \"NOT_SERVING\"", false)).await;
    proxy.mend();
    becomes(USERS, ("service healthy", true)).await;
    assert_eq!(process.interrupt().code(), Some(0));
}
