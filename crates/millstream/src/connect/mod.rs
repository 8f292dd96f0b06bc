//! Connections for libraries that ask for a connector: hyper, tonic, tower.
//!
//! A [`Connector`] turns a host and a port into a [`TcpStream`] of one stack. It resolves the name,
//! tries the addresses as RFC 8305 says, and applies a time limit. The features `hyper`, `tonic`
//! and `tower` make it the service that these libraries expect:
//!
//! | library | feature | use |
//! |---|---|---|
//! | hyper-util's client, hyper-rustls | `hyper` | `Client::builder(executor).build(connector)` |
//! | tonic's channel | `hyper` | `Endpoint::connect_with_connector(connector)` |
//! | tonic's server | `tonic` | `Server::builder().serve_with_incoming(listener.into_stream())` |
//! | tower's `MakeConnection` | `tower` | `connector.call(address)` |
//! | axum | `axum` | `axum::serve(listener, app)` |
//!
//! Libraries that take any `AsyncRead + AsyncWrite` (tokio-rustls, tokio-tungstenite, redis,
//! russh, tokio-postgres) need no feature: they take the [`TcpStream`] itself.

#[cfg(feature = "axum")]
mod axum;
mod happy_eyeballs;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg(feature = "tower")]
mod tower;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::SocketOptions;

#[cfg(feature = "axum")]
pub use self::axum::PeerAddr;
#[cfg(feature = "hyper")]
pub use self::hyper::{ConnectionInfo, HyperStream};
use crate::net::stack::Stack;
use crate::net::stream::TcpStream;

type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
type Resolver = dyn Fn(&str, u16) -> Addresses + Send + Sync;
type Change = dyn Fn(&mut SocketOptions) + Send + Sync;

/// Makes connections of one stack to hosts by name or address. Clones are cheap and share the
/// settings.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// # let (near, far) = millstream::device::pair();
/// # let server = millstream::Stack::builder().device(near).address("10.0.0.1/24").build()?;
/// # let stack = millstream::Stack::builder().device(far).address("10.0.0.2/24").build()?;
/// # let _listener = server.listen("10.0.0.1:80").await?;
/// use std::time::Duration;
///
/// use millstream::connect::Connector;
///
/// let connector = Connector::new(&stack).timeout(Duration::from_secs(10));
/// let stream = connector.connect("10.0.0.1", 80).await?;
/// assert!(stream.nodelay()?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Connector {
    stack: Stack,
    settings: Arc<Settings>,
}

#[derive(Clone)]
struct Settings {
    timeout: Option<Duration>,
    attempt_delay: Duration,
    local: Vec<IpAddr>,
    resolver: Option<Arc<Resolver>>,
    options: Option<Arc<Change>>,
}

impl Connector {
    /// The time between two attempts to connect (RFC 8305 8).
    pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

    /// A connector that resolves names by the operating system, has no time limit of its own, and
    /// sets `TCP_NODELAY`, as clients of HTTP do.
    pub fn new(stack: &Stack) -> Self {
        Self {
            stack: stack.clone(),
            settings: Arc::new(Settings {
                timeout: None,
                attempt_delay: Self::ATTEMPT_DELAY,
                local: Vec::new(),
                resolver: None,
                options: None,
            }),
        }
    }

    /// The time for resolving the name and connecting together.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        self.change(|settings| settings.timeout = Some(limit))
    }

    /// The time after which the next address is tried while the previous one has not answered (RFC
    /// 8305 5). The default is [`ATTEMPT_DELAY`](Self::ATTEMPT_DELAY).
    #[must_use]
    pub fn attempt_delay(self, delay: Duration) -> Self {
        self.change(|settings| settings.attempt_delay = delay)
    }

    /// The local address for connections of its family; at most one of each family.
    #[must_use]
    pub fn local_address(self, address: IpAddr) -> Self {
        self.change(|settings| {
            settings
                .local
                .retain(|other| other.is_ipv4() != address.is_ipv4());
            settings.local.push(address);
        })
    }

    /// Changes options of each socket before it connects.
    #[must_use]
    pub fn options(self, change: impl Fn(&mut SocketOptions) + Send + Sync + 'static) -> Self {
        self.change(|settings| settings.options = Some(Arc::new(change)))
    }

    /// Resolves names by a function of the application instead of the operating system.
    #[must_use]
    pub fn resolver<F, A>(self, resolve: F) -> Self
    where
        F: Fn(&str, u16) -> A + Send + Sync + 'static,
        A: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.change(|settings| {
            settings.resolver = Some(Arc::new(move |host, port| Box::pin(resolve(host, port))));
        })
    }

    /// Connects to a host, which is a name or an address; an IPv6 address may be in brackets.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut): the [time limit](Self::timeout) has passed.
    /// [`NotFound`](io::ErrorKind::NotFound): the name has no address. Any error of resolving the
    /// name; the error of the last address that was tried.
    ///
    /// # Cancel safety
    /// When the future is dropped, all attempts end.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        self.in_time(async {
            let addresses = self.resolve(host, port).await?;
            self.race(addresses).await
        })
        .await
    }

    /// Connects to the first of the addresses that answers, as [`connect`](Self::connect) does.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`NotFound`](io::ErrorKind::NotFound) without an address.
    ///
    /// # Cancel safety
    /// When the future is dropped, all attempts end.
    pub async fn connect_any(&self, addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
        self.in_time(self.race(addresses)).await
    }

    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    async fn in_time<T>(&self, connecting: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        match self.settings.timeout {
            None => connecting.await,
            Some(limit) => match tokio::time::timeout(limit, connecting).await {
                Ok(result) => result,
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {limit:?}"),
                )),
            },
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        match &self.settings.resolver {
            Some(resolve) => resolve(host, port).await,
            None => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
        }
    }

    async fn race(&self, addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
        let attempts = happy_eyeballs::order(addresses)
            .into_iter()
            .map(|address| self.attempt(address));
        let delay = self.settings.attempt_delay;
        happy_eyeballs::race(attempts, delay)
            .await
            .unwrap_or_else(|| {
                let error = "the host has no address to connect to";
                Err(io::Error::new(io::ErrorKind::NotFound, error))
            })
    }

    async fn attempt(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = match address {
            SocketAddr::V4(_) => self.stack.socket_v4(),
            SocketAddr::V6(_) => self.stack.socket_v6(),
        };
        socket.set_nodelay(true)?;
        if let Some(change) = &self.settings.options {
            socket.set_options(|options| change(options))?;
        }
        let mut local = self.settings.local.iter();
        if let Some(&local) = local.find(|local| local.is_ipv4() == address.is_ipv4()) {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        socket.connect(address).await
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("timeout", &self.settings.timeout)
            .field("attempt_delay", &self.settings.attempt_delay)
            .field("local", &self.settings.local)
            .finish_non_exhaustive()
    }
}
