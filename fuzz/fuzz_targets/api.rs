//! Two stacks, joined by a link in memory, under any sequence of the calls that an application may
//! make: some run to their end, some are cancelled halfway, and some run at the same time. On
//! tokio's paused clock nothing hangs: transfers over a link without loss complete, a stack that is
//! shut down ends, every waiting task is notified, and no connection is left.
#![no_main]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use millstream::device::PairConfig;
use millstream::{
    AnyListener, Attempt, Cidr, OwnedReadHalf, OwnedWriteHalf, Stack, TcpListener, TcpSocket,
    TcpStream,
};
use millstream_fuzz::options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const ADDRESSES: [[u8; 4]; 2] = [[10, 0, 0, 1], [10, 0, 0, 2]];
/// The port of the echo service.
const ECHO: u16 = 7;
/// Longer than any transfer takes, and longer than a stack takes to end.
const LONG: Duration = Duration::from_secs(600);
const MOST: usize = 8;

type Halves = (Option<OwnedReadHalf>, Option<OwnedWriteHalf>);

struct World {
    stacks: [Stack; 2],
    listeners: Vec<TcpListener>,
    any: Vec<AnyListener>,
    attempts: Vec<Attempt>,
    streams: Vec<Arc<TcpStream>>,
    halves: Vec<Halves>,
    /// Calls that run in the background.
    tasks: JoinSet<()>,
    transfers: JoinSet<io::Result<()>>,
    /// Whether the stacks have the default options and none was ended, so that every transfer must
    /// succeed.
    plain: bool,
}

/// The index of an element, usually the last one; `None` if there is none.
fn which<T>(u: &mut Unstructured<'_>, among: &[T]) -> Result<Option<usize>> {
    if among.is_empty() || u.arbitrary()? {
        return Ok(among.len().checked_sub(1));
    }
    u.choose_index(among.len()).map(Some)
}

fn keep<T>(all: &mut Vec<T>, one: T) {
    if all.len() >= MOST {
        all.remove(0);
    }
    all.push(one);
}

fn stacks(u: &mut Unstructured<'_>, plain: bool) -> Result<[Stack; 2]> {
    let config = PairConfig {
        mtu: *u.choose(&[576, 1500, 9000])?,
        capacity: *u.choose(&[1, 2, 16, 1024])?,
        capacity_bytes: *u.choose(&[1, 3000, 1 << 20])?,
        max_segment: *u.choose(&[0, 0, 16_000, 65_000])?,
        checksum_offload: u.arbitrary()?,
    };
    // Each device of a stack has a shard of its own.
    let (left, right): (Vec<_>, Vec<_>) = (0..u.int_in_range(1..=2u8)?)
        .map(|_| config.build())
        .unzip();
    let mut make = |devices, address: [u8; 4]| {
        let mut builder = Stack::builder()
            .devices(devices)
            .address(format!("{}/24", std::net::Ipv4Addr::from(address)));
        if !plain {
            let mtu = config.mtu;
            let chosen = options::config(u, vec![Cidr::new(address.into(), 24)])?;
            builder = builder.config(move |config| {
                *config = chosen;
                config.mtu = config.mtu.min(mtu);
            });
        }
        Ok(builder.seed([address[3]; 32]).build().expect("a stack"))
    };
    Ok([make(left, ADDRESSES[0])?, make(right, ADDRESSES[1])?])
}

impl World {
    async fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let plain = u.arbitrary()?;
        let stacks = stacks(u, plain)?;
        let mut tasks = JoinSet::new();
        for (stack, address) in stacks.iter().zip(ADDRESSES) {
            let listener = stack
                .listen(SocketAddr::from((address, ECHO)))
                .await
                .expect("nobody listens");
            tasks.spawn(echo(listener));
        }
        Ok(Self {
            stacks,
            listeners: Vec::new(),
            any: Vec::new(),
            attempts: Vec::new(),
            streams: Vec::new(),
            halves: Vec::new(),
            tasks,
            transfers: JoinSet::new(),
            plain,
        })
    }

    async fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=15u8)? {
            0 | 1 => self.listen(u).await,
            2..=4 => self.connect(u).await,
            5..=7 => self.use_stream(u).await,
            8 => self.set(u),
            9 | 10 => self.use_halves(u).await,
            11 => self.decide(u).await,
            12 => self.transfer(u),
            13 => self.let_go(u),
            14 => {
                sleep(Duration::from_micros(1 << u.int_in_range(0..=26u8)?)).await;
                Ok(())
            }
            _ => self.ask(u).await,
        }
    }

    fn stack(&self, u: &mut Unstructured<'_>) -> Result<&Stack> {
        u.choose(&self.stacks)
    }

    fn socket(&self, u: &mut Unstructured<'_>) -> Result<TcpSocket> {
        let socket = self.stack(u)?.socket_v4();
        let mut result = Ok(());
        for _ in 0..u.int_in_range(0..=3u8)? {
            let _ = socket.set_options(|options| result = options::change(u, options));
        }
        let _ = socket.set_reuseaddr(u.arbitrary()?);
        if u.ratio(1, 4)? {
            let address = *u.choose(&[[0; 4], ADDRESSES[0], ADDRESSES[1], [127, 0, 0, 1]])?;
            let _ = socket.bind((address, *u.choose(&[0, 80, 81])?).into());
        }
        result.map(|()| socket)
    }

    async fn listen(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let place = which(u, &self.listeners)?;
        match (u.int_in_range(0..=7u8)?, place) {
            (0, _) => {
                let backlog = *u.choose(&[0, 1, 2, u32::MAX])?;
                self.any.extend(self.socket(u)?.listen_any(backlog));
            }
            (1, _) => {
                let backlog = *u.choose(&[0, 1, 2, u32::MAX])?;
                self.listeners.extend(self.socket(u)?.listen(backlog));
            }
            (2, Some(at)) => drop(self.listeners.remove(at)),
            (3, Some(at)) => {
                let ttl = u.arbitrary()?;
                let _ = (self.listeners[at].set_ttl(ttl), self.listeners[at].ttl());
            }
            (4..=7, Some(at)) => {
                if let Some(Ok((stream, _))) = within(u, self.listeners[at].accept()).await? {
                    keep(&mut self.streams, Arc::new(stream));
                }
            }
            _ => {
                let listener = self.stack(u)?.listen(SocketAddr::from(([0; 4], 80))).await;
                self.listeners.extend(listener);
            }
        }
        Ok(())
    }

    async fn connect(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let destinations = [ADDRESSES[0], ADDRESSES[1], [10, 0, 0, 3], [127, 0, 0, 1]];
        let port = *u.choose(&[80, 80, ECHO, 81, 443, 0])?;
        let destination = SocketAddr::from((*u.choose(&destinations)?, port));
        let socket = self.socket(u)?;
        if u.ratio(1, 4)? {
            self.tasks.spawn(async move {
                let _ = socket.connect(destination).await;
            });
        } else if let Some(Ok(stream)) = within(u, socket.connect(destination)).await? {
            keep(&mut self.streams, Arc::new(stream));
        }
        Ok(())
    }

    async fn use_stream(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(at) = which(u, &self.streams)? else {
            return Ok(());
        };
        let stream = Arc::clone(&self.streams[at]);
        let length = length(u)?;
        let (kind, mut buffer) = (u.int_in_range(0..=11u8)?, vec![0; length]);
        let interest = *u.choose(&[Interest::READABLE, Interest::WRITABLE])?;
        match kind {
            0 => drop(stream.try_read(&mut buffer)),
            1 => drop(stream.try_write(&buffer)),
            2 => drop(stream.try_write_bytes(&mut Bytes::from(buffer))),
            // Calls that need exclusive access to the stream.
            3..=6 => {
                drop(stream);
                let Some(stream) = Arc::get_mut(&mut self.streams[at]) else {
                    return Ok(());
                };
                match kind {
                    3 => drop(within(u, stream.read(&mut buffer)).await?),
                    4 => drop(within(u, stream.write_all(&buffer)).await?),
                    5 => drop(within(u, stream.flush()).await?),
                    _ => drop(within(u, stream.shutdown()).await?),
                }
            }
            _ => {
                let work = async move {
                    match kind {
                        7 => drop(stream.read_bytes(length).await),
                        8 => drop(stream.write_bytes(buffer.into()).await),
                        9 => drop(stream.peek(&mut buffer).await),
                        10 => drop(stream.ready(interest).await),
                        _ => {
                            // The end of a stream stays ready, as in tokio: one that never did
                            // anything with it would be asked for ever.
                            let mut refusals = 3_u8;
                            let work = || {
                                refusals -= 1;
                                if refusals > 0 {
                                    return Err(io::ErrorKind::WouldBlock.into());
                                }
                                Ok(())
                            };
                            drop(stream.async_io(interest, work).await);
                        }
                    }
                };
                if u.arbitrary()? {
                    self.tasks.spawn(work);
                } else {
                    within(u, work).await?;
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some(at) = which(u, &self.streams)? else {
            return Ok(());
        };
        let stream = &self.streams[at];
        match u.int_in_range(0..=9u8)? {
            0 => drop(stream.set_nodelay(u.arbitrary()?)),
            1 => drop(stream.set_ttl(u.arbitrary()?)),
            2 => drop(stream.set_tos(u.arbitrary()?)),
            3 => drop(stream.set_zero_linger()),
            4 => drop(stream.set_linger(Some(options::time(u)?))),
            5 => drop(stream.set_user_timeout(Some(options::time(u)?))),
            6 => drop(stream.set_congestion(u.choose(&["reno", "cubic", "bbr", "none"])?)),
            _ => {
                let mut result = Ok(());
                let _ =
                    stream.set_options(|options| result = options::change_connection(u, options));
                result?;
            }
        }
        Ok(())
    }

    async fn use_halves(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let at = which(u, &self.halves)?
            .filter(|_| self.streams.is_empty() || u.arbitrary().unwrap_or(true));
        let Some(at) = at else {
            let stream = self.streams.pop().map(Arc::try_unwrap);
            if let Some(Ok(stream)) = stream {
                let (read, write) = stream.into_split();
                keep(&mut self.halves, (Some(read), Some(write)));
            }
            return Ok(());
        };
        let mut buffer = vec![0; length(u)?];
        let (read, write) = &mut self.halves[at];
        match (u.int_in_range(0..=8u8)?, read, write) {
            (0, read, _) => drop(read.take()),
            (1, _, write) => drop(write.take()),
            (2, _, write) => write.take().into_iter().for_each(OwnedWriteHalf::forget),
            (3, read @ Some(_), write @ Some(_)) => {
                let both = read.take().zip(write.take());
                let whole = both.map(|(read, write)| read.reunite(write));
                self.streams
                    .extend(whole.into_iter().flatten().map(Arc::new));
            }
            // The halves of two streams.
            (4, read @ Some(_), _) if self.streams.is_empty() => {
                let read = read.take();
                let other = self.halves[0].1.take();
                if let Some((read, other)) = read.zip(other) {
                    self.streams.extend(read.reunite(other).map(Arc::new));
                }
            }
            (5, Some(read), Some(write)) => {
                let (mut other, both): (_, bool) = (buffer.clone(), u.arbitrary()?);
                let work = async {
                    tokio::select! {
                        _ = read.read(&mut other) => {}
                        _ = write.write_all(&buffer), if both => {}
                    }
                };
                within(u, work).await?;
            }
            (6, Some(read), _) => drop(within(u, read.read(&mut buffer)).await?),
            (7, _, Some(write)) => drop(within(u, write.write_all(&buffer)).await?),
            (8, _, Some(write)) => drop(within(u, write.shutdown()).await?),
            _ => {}
        }
        Ok(())
    }

    async fn decide(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if let Some(at) = which(u, &self.any)? {
            if u.ratio(1, 8)? {
                self.any.remove(at);
            } else if let Some(Ok(attempt)) = within(u, self.any[at].accept()).await? {
                keep(&mut self.attempts, attempt);
            }
        }
        let Some(at) = which(u, &self.attempts)? else {
            return Ok(());
        };
        if u.ratio(1, 4)? {
            within(u, self.attempts[at].closed()).await?;
            return Ok(());
        }
        let attempt = self.attempts.remove(at);
        match u.int_in_range(0..=4u8)? {
            0 => attempt.reject(),
            1 => attempt.ignore(),
            2 => drop(attempt),
            _ => {
                if let Some(Ok(stream)) = within(u, attempt.accept()).await? {
                    keep(&mut self.streams, Arc::new(stream));
                }
            }
        }
        Ok(())
    }

    /// Starts a transfer to an echo service and back.
    fn transfer(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.transfers.len() < 4 {
            let from = u.choose_index(2)?;
            let to = u.choose_index(2)?;
            let data = vec![u.arbitrary()?; length(u)?];
            let stack = self.stacks[from].clone();
            self.transfers
                .spawn(carry(stack, (ADDRESSES[to], ECHO).into(), data));
        }
        Ok(())
    }

    fn let_go(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=3u8)? {
            0 if !self.halves.is_empty() => drop(self.halves.remove(0)),
            1 if self.streams.len() > 1 => drop(self.streams.remove(0)),
            // Cancels the calls in the background, unless transfers depend on them.
            2 if !self.plain => self.tasks.abort_all(),
            _ => drop(self.streams.pop()),
        }
        Ok(())
    }

    async fn ask(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        for stream in &self.streams {
            let _ = (
                stream.info(),
                stream.state(),
                stream.options(),
                stream.take_error(),
            );
            let _ = (
                stream.local_addr(),
                stream.peer_addr(),
                stream.nodelay(),
                stream.linger(),
            );
        }
        let stack = self.stack(u)?.clone();
        let _ = (stack.sockets(), stack.counters());
        if u.ratio(1, 16)? {
            self.plain = false;
            ends(&stack).await;
        }
        Ok(())
    }

    async fn end(mut self, u: &mut Unstructured<'_>) {
        if u.arbitrary().unwrap_or(false) {
            self.streams.clear();
            self.halves.clear();
        }
        if self.plain {
            let all = async {
                while let Some(transfer) = self.transfers.join_next().await {
                    transfer.expect("no panic").expect("the link loses nothing");
                }
            };
            timeout(LONG, all).await.expect("a transfer hangs");
        }
        for stack in &self.stacks {
            ends(stack).await;
        }
        // Every task that still waits is told that the stack has ended.
        let all = async {
            while let Some(done) = self.tasks.join_next().await {
                panicked(done);
            }
            while let Some(done) = self.transfers.join_next().await {
                panicked(done);
            }
        };
        timeout(LONG, all)
            .await
            .expect("a task waits for a stack that is over");
    }
}

fn panicked<T>(done: std::result::Result<T, tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn ends(stack: &Stack) {
    timeout(LONG, stack.shutdown())
        .await
        .expect("a stack does not end");
    assert!(stack.sockets().is_empty(), "left: {:?}", stack.sockets());
}

fn length(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(match u.arbitrary::<u8>()? {
        short @ 0..=127 => usize::from(short),
        other => usize::from(other - 127) * 2000,
    })
}

/// The result of `work`; `None` if it takes too long, so that it is dropped.
async fn within<T>(u: &mut Unstructured<'_>, work: impl Future<Output = T>) -> Result<Option<T>> {
    let most = Duration::from_micros(1 << u.int_in_range(0..=24u8)?);
    Ok(timeout(most, work).await.ok())
}

async fn echo(listener: TcpListener) {
    let mut served = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        served.spawn(async move {
            let (mut read, mut write) = stream.into_split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
    }
    while served.join_next().await.is_some() {}
}

async fn carry(stack: Stack, to: SocketAddr, data: Vec<u8>) -> io::Result<()> {
    let (mut read, mut write) = stack.connect(to).await?.into_split();
    let mut back = Vec::new();
    let there = async {
        write.write_all(&data).await?;
        write.shutdown().await
    };
    let both = tokio::try_join!(there, read.read_to_end(&mut back));
    both?;
    assert!(
        data == back,
        "{} of {} bytes came back",
        back.len(),
        data.len()
    );
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(async {
        let mut u = Unstructured::new(data);
        let Ok(mut world) = World::new(&mut u).await else {
            return;
        };
        while !u.is_empty() && world.step(&mut u).await.is_ok() {}
        world.end(&mut u).await;
    });
});
