//! A link between two TUN interfaces, in real time.
//!
//! One thread reads, delays and writes the packets. It sleeps in `poll`; with a small timer slack
//! the kernel ends that sleep within a few microseconds of its timeout.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use fastrand::Rng;
use millstream_engine::Instant;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, ioctl_fionbio, read, write};

use crate::model::{Link, LinkConfig, LinkStats, Schedule};
use crate::seed::Seed;

/// Packets read from one side before the other side is served.
const BATCH: usize = 64;

/// The largest IP packet.
const MAX_PACKET: usize = 65_535;

/// The direction in which packets pass the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the first interface to the second.
    There,
    /// From the second to the first.
    Back,
}

/// Two TUN interfaces joined by a link in each direction, so that the hosts behind them communicate
/// through it: two kernels in two network namespaces, or a kernel and a stack. On a machine that is
/// not overloaded, each packet is delivered within a fraction of a millisecond of its due time.
/// Dropping the bridge stops it.
///
/// The interfaces must carry plain IP packets, without packet information or a virtio-net header.
/// They belong to the namespaces in which they were opened; the bridge can run in any namespace.
///
/// ```no_run
/// # async fn f() -> std::io::Result<()> {
/// use std::os::fd::AsFd;
/// use std::time::Duration;
/// use millstream::device::Tun;
/// use millstream_netsim::{Bridge, LinkConfig};
///
/// // Each in a network namespace of its own, or one of them for a stack's device.
/// let interface = || Tun::builder().offload(false).up();
/// let left = interface().name("left").address("10.0.0.1/24").build()?;
/// let right = interface().name("right").address("10.0.0.2/24").build()?;
/// let link = LinkConfig::new().rate(100_000_000).delay(Duration::from_millis(10)).loss(0.001);
/// let (left, right) = (left.as_fd().try_clone_to_owned()?, right.as_fd().try_clone_to_owned()?);
/// let bridge = Bridge::start(left, right, link.clone(), link, 1)?;
/// // ...
/// let (there, back) = bridge.stop()?;
/// println!("{} packets were lost", there.lost + back.lost);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Bridge {
    shared: Arc<Shared>,
    seed: Seed,
    /// `None` after it has been joined.
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    /// From the first interface to the second, and in the opposite direction.
    links: Mutex<[Link; 2]>,
    origin: Clock,
    stopped: AtomicBool,
    /// Wakes the thread.
    wake: OwnedFd,
}

impl Bridge {
    /// Starts to carry packets between two interfaces. The times of a schedule count from this
    /// call. The seed is printed if the thread panics while the bridge is alive (see [`Seed`]).
    ///
    /// # Errors
    /// If the kernel refuses the thread or one of its descriptors.
    pub fn start(
        first: OwnedFd,
        second: OwnedFd,
        there: impl Into<Schedule>,
        back: impl Into<Schedule>,
        seed: impl Into<Seed>,
    ) -> io::Result<Self> {
        let seed = seed.into();
        ioctl_fionbio(&first, true)?;
        ioctl_fionbio(&second, true)?;
        let mut seeds = Rng::with_seed(seed.value());
        let there = Link::new(there, seeds.u64(..));
        let back = Link::new(back, seeds.u64(..));
        let shared = Arc::new(Shared {
            links: Mutex::new([there, back]),
            origin: Clock::now(),
            stopped: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let carrier = Carrier {
            shared: Arc::clone(&shared),
            sides: [first, second],
            readable: [true; 2],
            buffer: vec![0; MAX_PACKET],
        };
        let thread = std::thread::Builder::new().name("netsim-bridge".to_owned());
        Ok(Self {
            shared,
            seed,
            thread: Some(thread.spawn(|| carrier.run())?),
        })
    }

    /// The link's counters so far.
    #[must_use]
    pub fn stats(&self, way: Way) -> LinkStats {
        *self.shared.links()[way as usize].stats()
    }

    /// The seed of all random decisions.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Changes a link now; see [`Link::configure`].
    pub fn configure(&self, way: Way, change: impl FnOnce(LinkConfig) -> LinkConfig) {
        let mut links = self.shared.links();
        links[way as usize].configure(self.shared.now(), change);
        drop(links);
        self.shared.wake();
    }

    /// Stops carrying packets, and returns the counters of the links there and back.
    ///
    /// # Errors
    /// If the bridge had ended before because an interface was removed.
    pub fn stop(mut self) -> io::Result<(LinkStats, LinkStats)> {
        self.end()?;
        Ok((self.stats(Way::There), self.stats(Way::Back)))
    }

    fn end(&mut self) -> io::Result<()> {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.wake();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the bridge's thread has panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // The reason for an earlier end is reported by `stop`.
        let _ = self.end();
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, [Link; 2]> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    fn wake(&self) {
        // The write fails only if the counter is full, and then the thread wakes anyway.
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
    }
}

/// The state of the bridge's thread.
struct Carrier {
    shared: Arc<Shared>,
    sides: [OwnedFd; 2],
    /// The sides that may have packets to read.
    readable: [bool; 2],
    buffer: Vec<u8>,
}

impl Carrier {
    fn run(mut self) -> io::Result<()> {
        // With the default slack the kernel may wake the thread 50 us late.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        while !self.shared.stopped.load(Ordering::Acquire) {
            let next = self.turn()?;
            self.wait(next)?;
        }
        Ok(())
    }

    /// Reads arrived packets, delivers those that are due, and returns the time of the next
    /// delivery.
    fn turn(&mut self) -> io::Result<Option<Instant>> {
        let shared = Arc::clone(&self.shared);
        let mut links = shared.links();
        for (side, link) in links.iter_mut().enumerate() {
            if self.readable[side] {
                self.receive(side, link)?;
            }
        }
        let now = shared.now();
        for (side, link) in links.iter_mut().enumerate() {
            while let Some(packet) = link.poll(now) {
                deliver(&self.sides[1 - side], &packet);
            }
        }
        let next = links.iter().filter_map(Link::next_at).min();
        Ok(next)
    }

    fn receive(&mut self, side: usize, link: &mut Link) -> io::Result<()> {
        for _ in 0..BATCH {
            match read(&self.sides[side], &mut self.buffer) {
                Ok(len) => {
                    let packet = Bytes::copy_from_slice(&self.buffer[..len]);
                    link.send(self.shared.now(), packet);
                    while let Some(reply) = link.poll_reply() {
                        deliver(&self.sides[side], &reply);
                    }
                }
                Err(Errno::AGAIN) => {
                    self.readable[side] = false;
                    break;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sleeps until a side has packets, `next` is reached, or another thread wakes this one.
    fn wait(&mut self, next: Option<Instant>) -> io::Result<()> {
        let timeout = if self.readable.contains(&true) {
            Some(Duration::ZERO)
        } else {
            next.map(|next| next - self.shared.now())
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let [first, second] = &self.sides;
        let mut fds = [first, second, &self.shared.wake].map(|fd| PollFd::new(fd, PollFlags::IN));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for (readable, fd) in self.readable.iter_mut().zip(&fds) {
            // An error condition also counts: the read reports it.
            *readable |= !fd.revents().is_empty();
        }
        if !fds[2].revents().is_empty() {
            // The read only resets the counter; the caller checks all sources of work in any case.
            let _ = read(&self.shared.wake, &mut [0; 8]);
        }
        Ok(())
    }
}

/// Writes a packet to an interface. A packet that the interface refuses is lost: the interface is
/// down, or corruption has made the packet invalid.
fn deliver(side: &OwnedFd, packet: &[u8]) {
    while write(side, packet) == Err(Errno::INTR) {}
}
