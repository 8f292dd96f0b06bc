//! Faults of the machine under the stack: devices that fail in every way, executors that stand
//! still, clocks that jump, applications that panic, and runtimes that end.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream::device::{Capabilities, Device, Pair, pair};
use millstream::{Stack, TcpStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::time;

use super::{Attack, Scale};
use crate::report::Report;

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "device-gone",
        about: "the device ends while tasks wait for connections, data and room",
        play: |_, report| device(report, Fault::Gone),
    },
    Attack {
        name: "device-send-error",
        about: "every send fails, for a minute",
        play: |_, report| device(report, Fault::SendError),
    },
    Attack {
        name: "device-full",
        about: "the device is full for ever: every send would block",
        play: |_, report| device(report, Fault::Full),
    },
    Attack {
        name: "device-interrupted",
        about: "every send and every receive is interrupted, for ever",
        play: |_, report| device(report, Fault::Interrupted),
    },
    Attack {
        name: "executor-stall",
        about: "the executor stands still for 1.5 s in the middle of a transfer",
        play: stall,
    },
    Attack {
        name: "clock-jump",
        about: "the clock jumps by ten minutes in the middle of a transfer",
        play: jump,
    },
    Attack {
        name: "application-panics",
        about: "tasks panic with connections open, and the observer of state changes panics",
        play: panics,
    },
    Attack {
        name: "runtime-dropped",
        about: "the runtime is dropped in the middle of 16 transfers",
        play: runtime_dropped,
    },
];

/// The fault of a device that carries no packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Fault {
    None,
    Gone,
    SendError,
    Full,
    Interrupted,
}

/// A device with a switch for faults.
struct Faulty {
    device: Pair,
    fault: Arc<AtomicU8>,
}

impl Faulty {
    fn is(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::Relaxed) == fault as u8
    }
}

impl Device for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is(Fault::Gone) {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        self.device.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is(Fault::Gone) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if self.is(Fault::Interrupted) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.device.try_recv(buf)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is(Fault::Full) {
            return Poll::Pending;
        }
        self.device.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        let kind = match self.fault.load(Ordering::Relaxed) {
            fault if fault == Fault::SendError as u8 => io::ErrorKind::Other,
            fault if fault == Fault::Full as u8 => io::ErrorKind::WouldBlock,
            fault if fault == Fault::Interrupted as u8 => io::ErrorKind::Interrupted,
            fault if fault == Fault::Gone as u8 => io::ErrorKind::NotConnected,
            _ => return self.device.try_send(frame),
        };
        Err(kind.into())
    }
}

fn paused() -> Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    Ok(builder.enable_all().start_paused(true).build()?)
}

fn stack(device: impl Device, address: &str) -> Result<Stack> {
    Ok(Stack::builder().device(device).address(address).build()?)
}

/// Two ends of a connection, the first on a stack whose device has the switch.
struct Ends {
    stack: Stack,
    peer: Stack,
    near: TcpStream,
    far: TcpStream,
    fault: Arc<AtomicU8>,
}

async fn ends() -> Result<Ends> {
    let (left, right) = pair();
    let fault = Arc::new(AtomicU8::new(Fault::None as u8));
    let faulty = Faulty {
        device: left,
        fault: Arc::clone(&fault),
    };
    let (stack, peer) = (stack(faulty, "10.0.0.1/24")?, stack(right, "10.0.0.2/24")?);
    let listener = peer.listen("10.0.0.2:7").await?;
    let (near, far) = tokio::join!(stack.connect("10.0.0.2:7"), listener.accept());
    Ok(Ends {
        stack,
        peer,
        near: near?,
        far: far?.0,
        fault,
    })
}

fn device(report: &mut Report, fault: Fault) -> Result<()> {
    paused()?.block_on(async {
        let Ends {
            stack,
            peer: _peer,
            near,
            far: _far,
            fault: switch,
        } = ends().await?;
        let listener = stack.listen("10.0.0.1:80").await?;
        let (mut reader, mut writer) = near.into_split();
        // One task waits for a connection, one for data, one for room.
        let told = Arc::new(AtomicU64::new(0));
        let note = |told: &Arc<AtomicU64>| told.fetch_add(1, Ordering::Relaxed);
        let (a, b, c) = (Arc::clone(&told), Arc::clone(&told), Arc::clone(&told));
        let tasks = [
            tokio::spawn(async move {
                let _ = listener.accept().await;
                note(&a);
            }),
            tokio::spawn(async move {
                let _ = reader.read(&mut [0; 16]).await;
                note(&b);
            }),
            tokio::spawn(async move {
                while writer.write_all(&[1; 1 << 16]).await.is_ok() {}
                note(&c);
            }),
        ];
        time::sleep(Duration::from_millis(10)).await;
        switch.store(fault as u8, Ordering::Relaxed);
        // Another task that must run meanwhile. The runtime's clock stands still while a driver is
        // busy; therefore no time passes for a device that keeps the driver busy.
        let mut turns = 0;
        for _ in 0..600 {
            tokio::task::yield_now().await;
            if fault != Fault::Interrupted {
                time::sleep(Duration::from_millis(100)).await;
            }
            turns += 1;
        }
        report.note("turns of another task", f64::from(turns));
        if fault == Fault::Gone {
            report.note("waiting tasks told", told.load(Ordering::Relaxed) as f64);
            report.note("connections left", stack.sockets().len() as f64);
        }
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        Ok(())
    })
}

/// Transfers a megabyte through an echo, and runs `between` when half of it has arrived.
async fn transfer(ends: &mut Ends, between: impl Future<Output = ()>) -> Result<()> {
    const HALF: usize = 1 << 19;
    let data = vec![0x5A; HALF];
    for half in 0..2 {
        let (near, far) = (&mut ends.near, &mut ends.far);
        let mut received = vec![0; HALF];
        let (sent, got) = tokio::join!(near.write_all(&data), far.read_exact(&mut received));
        sent?;
        got?;
        ensure!(received == data, "half {half} arrived changed");
        if half == 0 {
            // Data is in transit while the clock jumps.
            ends.near.write_all(b"under way").await?;
            break;
        }
    }
    between.await;
    let mut rest = [0; 9];
    ends.far.read_exact(&mut rest).await?;
    ensure!(&rest == b"under way", "what was under way arrived changed");
    let (sent, mut received) = (ends.near.write_all(&data), vec![0; HALF]);
    let (sent, got) = tokio::join!(sent, ends.far.read_exact(&mut received));
    sent?;
    got?;
    ensure!(received == data, "the second half arrived changed");
    Ok(())
}

fn stall(_: Scale, report: &mut Report) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ends = ends().await?;
        transfer(&mut ends, async {
            std::thread::sleep(Duration::from_millis(1500));
        })
        .await?;
        let sent_again = ends.stack.counters().segments_retransmitted;
        report.note("segments sent again", sent_again as f64);
        let rto = ends.near.info()?.rto;
        report.note(
            "retransmission timeout after it, ms",
            rto.as_secs_f64() * 1e3,
        );
        Ok(())
    })
}

fn jump(_: Scale, report: &mut Report) -> Result<()> {
    paused()?.block_on(async {
        let mut ends = ends().await?;
        transfer(&mut ends, time::advance(Duration::from_secs(600))).await?;
        report.note("transfers that went on", 1.0);
        Ok(())
    })
}

fn panics(_: Scale, report: &mut Report) -> Result<()> {
    // The panics are intended: their messages are suppressed.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let played = paused()?.block_on(async {
        let mut ends = ends().await?;
        let mut opened = Vec::new();
        let listener = ends.peer.listen("10.0.0.2:9").await?;
        for _ in 0..16 {
            let (near, far) = tokio::join!(ends.stack.connect("10.0.0.2:9"), listener.accept());
            let (near, far) = (near?, far?);
            opened.push(tokio::spawn(async move {
                let _held = (near, far);
                panic!("an application's own fault");
            }));
        }
        for task in opened {
            ensure!(task.await.is_err(), "a task that panics returned");
        }
        transfer(&mut ends, std::future::ready(())).await?;
        report.note("transfers that went on", 1.0);
        time::sleep(Duration::from_secs(200)).await;
        // The two ends of the transfer are on two stacks.
        report.note("connections left", ends.stack.sockets().len() as f64 - 1.0);
        anyhow::Ok(())
    });
    std::panic::set_hook(usual);
    played
}

fn runtime_dropped(_: Scale, report: &mut Report) -> Result<()> {
    let before = crate::heap::live();
    for _ in 0..2 {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let kept = runtime.block_on(async {
            let Ends {
                stack,
                peer,
                near,
                far,
                ..
            } = ends().await?;
            let listener = peer.listen("10.0.0.2:9").await?;
            for _ in 0..16 {
                let (near, far) = tokio::join!(stack.connect("10.0.0.2:9"), listener.accept());
                let (mut near, (mut far, _)) = (near?, far?);
                tokio::spawn(async move { while near.write_all(&[1; 1 << 16]).await.is_ok() {} });
                tokio::spawn(async move {
                    while far.read(&mut [0; 1 << 16]).await.is_ok_and(|read| read > 0) {}
                });
            }
            time::sleep(Duration::from_millis(20)).await;
            anyhow::Ok((stack, peer, near, far))
        });
        let kept = kept.context("making the transfers")?;
        drop(runtime);
        // Handles that outlive the runtime return an error, and release everything when dropped.
        ensure!(
            kept.2.try_write(b"x").is_err() || kept.0.sockets().is_empty(),
            "a dead stack writes"
        );
        drop(kept);
    }
    let left = crate::heap::live().saturating_sub(before);
    report.note("bytes left", left as f64);
    Ok(())
}
