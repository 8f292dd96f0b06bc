//! The target of packets: the engine on virtual time, or the Linux kernel behind a TUN interface.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;

use crate::bare::Bare;
use crate::kernel::Kernel;
use crate::report::Report;

/// A host that is attacked.
pub(crate) trait Target {
    /// Passes a packet to the target.
    ///
    /// # Errors
    /// The interface rejects the packet.
    fn take(&mut self, packet: Bytes) -> Result<()>;

    /// The packets that the target has sent since the last call.
    ///
    /// # Errors
    /// The interface cannot be read.
    fn collect(&mut self) -> Result<Vec<Bytes>>;

    /// Lets time pass.
    ///
    /// # Errors
    /// Those of the other methods.
    fn wait(&mut self, time: Duration) -> Result<()>;
}

/// An engine, and the packets that it has sent and that have not been collected.
struct Engine {
    bare: Bare,
    sent: Vec<Bytes>,
}

impl Target for Engine {
    fn take(&mut self, packet: Bytes) -> Result<()> {
        self.bare.take(packet);
        Ok(())
    }

    fn collect(&mut self) -> Result<Vec<Bytes>> {
        let sent = &mut self.sent;
        self.bare
            .drain_to(|packet| sent.push(Bytes::copy_from_slice(packet)));
        Ok(std::mem::take(sent))
    }

    fn wait(&mut self, time: Duration) -> Result<()> {
        let sent = &mut self.sent;
        self.bare
            .wait_seeing(time, |packet| sent.push(Bytes::copy_from_slice(packet)));
        Ok(())
    }
}

/// Figures of an attack that only sends packets and examines the answers.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// Plays the attack against the engine, and against the kernel if that was requested and is
/// possible.
pub(crate) fn on_both(
    report: &mut Report,
    play: impl Fn(&mut dyn Target) -> Result<Figures>,
) -> Result<()> {
    let mut engine = Engine {
        bare: Bare::new(1024, |_| {})?,
        sent: Vec::new(),
    };
    for (name, value) in play(&mut engine)? {
        report.note(name, value);
    }
    if let Some(mut kernel) = Kernel::if_wanted()? {
        for (name, value) in play(&mut kernel)? {
            report.note_linux(name, value);
        }
    }
    Ok(())
}
