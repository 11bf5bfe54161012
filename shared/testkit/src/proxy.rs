//! A way to a server that a test can cut and mend: the server itself is everybody's and stays up.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

/// Stands before one server, for one test.
pub struct Proxy {
    url: Url,
    up: watch::Sender<bool>,
    _forwarding: JoinSet<()>,
}

impl Proxy {
    /// Stands before the server of `url`, and lets everything through.
    ///
    /// # Panics
    /// Where `url` has no host and port.
    pub async fn before(url: &str) -> Self {
        let mut url: Url = url.parse().expect("a URL");
        let default_port = || match url.scheme() {
            "postgres" | "postgresql" => Some(5432),
            "amqp" => Some(5672),
            _ => None,
        };
        let target = url.socket_addrs(default_port).expect("a host and a port")[0];
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(port)).expect("a URL with a port");
        let up = watch::Sender::new(true);
        let mut forwarding = JoinSet::new();
        forwarding.spawn(accept(listener, target, up.subscribe()));
        Self {
            url,
            up,
            _forwarding: forwarding,
        }
    }

    /// The server's URL by way of this.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Ends every connection, and refuses new ones.
    pub fn cut(&self) {
        self.up.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.up.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, up: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.expect("a connection");
        // A refused one is dropped, which its other end sees at once.
        if *up.borrow() {
            connections.spawn(forward(near, target, up.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(mut near: TcpStream, target: SocketAddr, mut up: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = up.wait_for(|up| !up) => {}
    }
}
