//! Waits for a server: until it answers, dies, or a time limit.

use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process;
use crate::stop::Stop;

/// For one answer on an open connection.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Calls `probe` until it succeeds. `alive` fails if the server has ended.
pub(crate) fn wait<T>(
    limit: Duration,
    stop: &Stop,
    alive: impl Fn() -> Result<()>,
    probe: impl Fn() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        stop.check()?;
        let refusal = match probe() {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        alive()?;
        if started.elapsed() > limit {
            return Err(refusal).with_context(|| format!("no good answer within {limit:?}"));
        }
        thread::sleep(process::POLL);
    }
}

/// A connection with time-outs.
pub(crate) fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {host}"))?;
    let mut failure = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, ANSWER_LIMIT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_LIMIT))?;
                stream.set_write_timeout(Some(ANSWER_LIMIT))?;
                return Ok(stream);
            }
            Err(error) => failure = Some(error),
        }
    }
    let failure = failure.map_or_else(|| "no address".to_owned(), |error| error.to_string());
    anyhow::bail!("cannot connect to {host}:{port}: {failure}")
}

/// Ports that are free at this moment, all different. Another process may still take one: see `retry`.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Starts again if another process took a port meanwhile.
pub(crate) fn retry<T>(start: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 0..2 {
        match start() {
            Err(error) if lost_its_port(&format!("{error:#}")) => {}
            result => return result,
        }
    }
    start()
}

fn lost_its_port(error: &str) -> bool {
    let error = error.to_lowercase();
    error.contains("already in use") || error.contains("eaddrinuse")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn free_ports_are_different() -> Result<()> {
        let [one, two, three] = free_ports::<3>()?;
        assert!(one != two && two != three && one != three);
        Ok(())
    }

    #[test]
    fn a_lost_port_is_tried_again_and_another_failure_is_not() {
        let starts = Cell::new(0);
        let start = |message: &'static str| {
            starts.set(0);
            retry(|| {
                starts.set(starts.get() + 1);
                anyhow::bail!(message);
                #[expect(unreachable_code, reason = "gives the closure its type")]
                Ok(())
            })
        };
        assert!(start("bind: Address already in use").is_err());
        assert_eq!(starts.get(), 3);
        assert!(start("no space left").is_err());
        assert_eq!(starts.get(), 1);
    }

    #[test]
    fn a_dead_server_is_not_waited_for() {
        let dead = || anyhow::bail!("it is dead");
        let silent = || -> Result<()> { anyhow::bail!("no answer") };
        let result = wait(Duration::from_secs(600), &Stop::default(), dead, silent);
        assert!(result.is_err_and(|error| error.to_string() == "it is dead"));
    }
}
