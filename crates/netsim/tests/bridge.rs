//! Two Linux kernels, in network namespaces of their own, connected by a bridge.
//!
//! The tests need root and a TUN device. Without them they report that they were skipped and pass,
//! or fail if `CI` is set.
#![cfg(target_os = "linux")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millstream::device::Tun;
use millstream_netsim::{Bridge, Corruption, LinkConfig, LinkStats, MtuLimit, Way};
use nix::sched::{CloneFlags, unshare};
use skipped_tests::Skipped;

const MS: Duration = Duration::from_millis(1);
const SERVER: &str = "10.99.0.2:7";

type Task = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own, with one interface.
struct Kernel {
    tasks: Sender<Task>,
    _thread: JoinHandle<()>,
}

impl Kernel {
    /// Starts the thread, and also returns the interface's descriptor.
    fn start(address: &'static str) -> io::Result<(Self, OwnedFd)> {
        let (tasks, todo) = mpsc::channel();
        let (answer, made) = mpsc::channel();
        let thread = std::thread::spawn(move || live(address, &answer, &todo));
        let tun = made.recv().map_err(io::Error::other)??;
        let kernel = Self {
            tasks,
            _thread: thread,
        };
        Ok((kernel, tun))
    }

    /// Runs `task` on the thread; its result can be received.
    fn go<R: Send + 'static>(&self, task: impl FnOnce() -> R + Send + 'static) -> Receiver<R> {
        let (answer, result) = mpsc::channel();
        let task: Task = Box::new(move || drop(answer.send(task())));
        self.tasks.send(task).expect("the thread lives");
        result
    }
}

fn live(address: &str, answer: &Sender<io::Result<OwnedFd>>, todo: &Receiver<Task>) {
    let made = make_interface(address);
    answer.send(made).expect("somebody waits");
    todo.iter().for_each(|task| task());
}

fn make_interface(address: &str) -> io::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _inside = runtime.enter();
    let interface = Tun::builder().name("sim0").address(address).up();
    let tun = interface.offload(false).build()?;
    tun.as_fd().try_clone_to_owned()
}

/// Two kernels and the bridge between them; `None` if the machine does not permit that.
fn kernels(config: LinkConfig) -> Option<(Kernel, Kernel, Bridge)> {
    let made = Kernel::start("10.99.0.1/24").and_then(|client| {
        let server = Kernel::start("10.99.0.2/24")?;
        Ok((client, server))
    });
    let ((client, first), (server, second)) = match made {
        Ok(made) => made,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{error}");
            note_skipped(&error);
            return None;
        }
    };
    let bridge = Bridge::start(first, second, config.clone(), config, 1).expect("starts");
    Some((client, server, bridge))
}

fn note_skipped(error: &io::Error) {
    let test = std::thread::current();
    skipped_tests::note(
        Path::new(env!("CARGO_TARGET_TMPDIR")),
        &Skipped {
            test: test.name().unwrap_or("over a bridge").to_owned(),
            why: format!("no network namespace with a TUN interface: {error}"),
            packages: Vec::new(),
        },
    );
}

/// Accepts the next connection on the server; the stream can be received.
fn accept(server: &Kernel) -> Receiver<TcpStream> {
    let listening = server.go(|| TcpListener::bind(SERVER).expect("free"));
    let listener = listening.recv().expect("the thread lives");
    server.go(move || listener.accept().expect("comes").0)
}

fn connect(client: &Kernel) -> TcpStream {
    let connecting = client.go(|| TcpStream::connect(SERVER).expect("is accepted"));
    connecting.recv().expect("the thread lives")
}

/// Sends `len` bytes from one kernel to the other and checks them.
fn transfer(client: &Kernel, server: &Kernel, len: usize) -> Duration {
    let mut rng = fastrand::Rng::with_seed(1);
    let data: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
    let accepted = accept(server);
    let began = Instant::now();
    let mut sender = connect(client);
    let expected = data.clone();
    let sending = std::thread::spawn(move || sender.write_all(&data));
    let mut received = Vec::with_capacity(len);
    let mut receiver = accepted.recv().expect("the thread lives");
    receiver.read_to_end(&mut received).expect("arrives");
    let took = began.elapsed();
    sending.join().expect("no panic").expect("is taken");
    assert!(
        received == expected,
        "the received bytes differ from the sent ones"
    );
    took
}

fn stop(bridge: Bridge) -> (LinkStats, LinkStats) {
    bridge.stop().expect("the bridge is running")
}

#[test]
fn kernels_communicate_over_a_bad_link() {
    let config = LinkConfig::new()
        .rate(200_000_000)
        .delay(2 * MS)
        .loss(0.005)
        .corruption(Corruption::new(0.002))
        .duplication(0.002);
    let Some((client, server, bridge)) = kernels(config) else {
        return;
    };
    transfer(&client, &server, 8 << 20);
    let (there, _) = stop(bridge);
    assert!(
        there.lost > 0 && there.corrupted > 0 && there.duplicated > 0,
        "{there:?}"
    );
}

#[test]
fn packets_arrive_on_time() {
    let Some((client, server, bridge)) = kernels(LinkConfig::new().delay(10 * MS)) else {
        return;
    };
    let accepted = accept(&server);
    let mut client = connect(&client);
    let mut server = accepted.recv().expect("the thread lives");
    client.set_nodelay(true).expect("is possible");
    server.set_nodelay(true).expect("is possible");
    let mut round_trips: Vec<Duration> = (0..40)
        .map(|_| {
            let began = Instant::now();
            client.write_all(b"?").expect("is taken");
            server.read_exact(&mut [0]).expect("arrives");
            server.write_all(b"!").expect("is taken");
            client.read_exact(&mut [0]).expect("arrives");
            began.elapsed()
        })
        .collect();
    round_trips.sort();
    assert!(
        round_trips[0] >= 20 * MS,
        "{:?} is too early",
        round_trips[0]
    );
    // Only the best one is checked: the machine may be busy, and a halted processor wakes late.
    assert!(round_trips[0] < 21 * MS, "{round_trips:?}");
    stop(bridge);
}

#[test]
fn the_rate_is_kept_in_real_time() {
    let config = LinkConfig::new().rate(40_000_000).delay(MS).queue(100_000);
    let Some((client, server, bridge)) = kernels(config) else {
        return;
    };
    // 4 MB at 40 Mbit/s.
    let took = transfer(&client, &server, 4_000_000);
    assert!(took >= 800 * MS, "{took:?}");
    let (there, _) = stop(bridge);
    assert!(there.queue_high_water <= 100_000);
}

#[test]
fn a_kernel_learns_the_path_mtu() {
    let config = LinkConfig::new().delay(MS).mtu(MtuLimit::Icmp(1000));
    let Some((client, server, bridge)) = kernels(config) else {
        return;
    };
    transfer(&client, &server, 1 << 20);
    let (there, _) = stop(bridge);
    assert!(
        there.too_big > 0 && there.delivered_bytes <= 1000 * there.delivered,
        "{there:?}"
    );
}

#[test]
fn a_running_bridge_can_be_reconfigured() {
    let Some((client, server, bridge)) = kernels(LinkConfig::new().delay(MS)) else {
        return;
    };
    let accepted = accept(&server);
    let mut client = connect(&client);
    let mut server = accepted.recv().expect("the thread lives");
    bridge.configure(Way::There, LinkConfig::cut);
    client.write_all(b"late").expect("is taken");
    server
        .set_read_timeout(Some(100 * MS))
        .expect("is possible");
    let mut buf = [0; 4];
    server
        .read_exact(&mut buf)
        .expect_err("nothing passes a cut link");
    assert!(bridge.stats(Way::There).cut > 0);
    bridge.configure(Way::There, LinkConfig::mended);
    server.set_read_timeout(None).expect("is possible");
    server.read_exact(&mut buf).expect("is sent again");
    assert_eq!(&buf, b"late");
    stop(bridge);
}
