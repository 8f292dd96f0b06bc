//! Runs a model, which is a future that builds stacks and uses them, in many interleavings of its
//! tasks.
#![cfg(shuttle)]

use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;

use millstream::device::{Device, PairConfig};
use millstream::{Stack, StackBuilder, TcpListener, TcpSocket, TcpStream};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime;

/// Bytes of the stack of a task.
const STACK_SIZE: usize = 1 << 20;

/// Bytes of the buffers of a connection.
const BUFFER: u32 = 64 << 10;

/// The number of preemptions that PCT tries to place.
const DEPTH: usize = 3;

/// Runs `model` in `schedules` random interleavings, and in as many with few preemptions at
/// decisive places (PCT). Time stands still, so that no timer makes up for a lost wake-up: the
/// model fails if any task waits when none can run.
pub fn explore<F: Future<Output = ()> + 'static>(schedules: usize, model: fn() -> F) {
    let schedules = schedules * number("SCHEDULES_TIMES", 1) as usize;
    let seed = number("SCHEDULES_SEED", 1);
    let random = RandomScheduler::new_from_seed(seed, schedules);
    run(random, model);
    run(PctScheduler::new_from_seed(seed, DEPTH, schedules), model);
}

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

fn run<F: Future<Output = ()> + 'static>(scheduler: impl Scheduler + 'static, model: fn() -> F) {
    // All tasks run on this thread, and find the clock of this runtime, which nothing moves. It is
    // not dropped: that would call the wakers that a failed model has left in its timers.
    let runtime = ManuallyDrop::new(
        runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime"),
    );
    let _entered = runtime.enter();
    let mut config = Config::new();
    config.stack_size = STACK_SIZE;
    config.silence_warnings = true;
    // The same seed gives the same schedules.
    config.failure_persistence = FailurePersistence::None;
    Runner::new(scheduler, config).run(move || shuttle::future::block_on(model()));
}

/// Starts a task. Its result must be awaited: a task whose result is dropped need not end.
pub fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    let handle = shuttle::future::spawn(task);
    async { handle.await.expect("the task was not cancelled") }
}

/// Where the server listens.
pub const SERVER: &str = "10.0.0.1:7";

/// A server and a client at the two ends of a link.
pub fn stacks(link: PairConfig) -> (Stack, Stack) {
    let (left, right) = link.build();
    (server(left), client(right))
}

/// The stack with the address [`SERVER`].
pub fn server(device: impl Device) -> Stack {
    stack("10.0.0.1/24").device(device).build().expect("builds")
}

/// The stack that connects to it.
pub fn client(device: impl Device) -> Stack {
    stack("10.0.0.2/24").device(device).build().expect("builds")
}

/// A stack whose device is still to be given.
pub fn stack(address: &str) -> StackBuilder {
    Stack::builder().address(address).seed([7; 32])
}

/// A listener of the server.
pub fn listen(server: &Stack) -> TcpListener {
    let socket = server.socket_v4();
    configure(&socket);
    socket.set_reuseaddr(true).expect("sets");
    let addr = SERVER.parse().expect("parses");
    socket.bind(addr).expect("binds");
    socket.listen(8).expect("listens")
}

/// Connects to the server.
///
/// # Errors
/// As [`TcpSocket::connect`].
pub async fn connect(client: &Stack) -> io::Result<TcpStream> {
    let socket = client.socket_v4();
    configure(&socket);
    socket.connect(SERVER.parse().expect("parses")).await
}

/// What a writer waits for does not depend on an acknowledgment that a timer delays; and it waits,
/// because its buffer is small.
fn configure(socket: &TcpSocket) {
    socket.set_nodelay(true).expect("sets");
    socket.set_send_buffer_size(BUFFER).expect("sets");
    socket.set_recv_buffer_size(BUFFER).expect("sets");
}

/// A connection: the server's stream and the client's.
pub async fn connection(server: &Stack, client: &Stack) -> (TcpStream, TcpStream) {
    let listener = listen(server);
    let (accepted, connected) = futures::join!(listener.accept(), connect(client));
    (accepted.expect("accepts").0, connected.expect("connects"))
}

/// `len` bytes that differ from place to place.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// Reads to the end of the stream with a buffer of `size` bytes.
///
/// # Errors
/// Those of reading.
pub async fn read_all(stream: &mut (impl AsyncRead + Unpin), size: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buf = vec![0; size];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(all),
            len => all.extend_from_slice(&buf[..len]),
        }
    }
}
