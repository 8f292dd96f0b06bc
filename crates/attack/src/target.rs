//! What packets are thrown at: our engine on virtual time, or the Linux kernel behind a TUN interface.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;

use crate::bare::Bare;
use crate::kernel::Kernel;
use crate::report::Report;

/// See the module.
pub(crate) trait Target {
    /// A packet arrives there.
    ///
    /// # Errors
    /// The interface does not take it.
    fn take(&mut self, packet: Bytes) -> Result<()>;

    /// What it has sent since the last call.
    ///
    /// # Errors
    /// The interface gives nothing.
    fn collect(&mut self) -> Result<Vec<Bytes>>;

    /// Lets time pass.
    ///
    /// # Errors
    /// As for the others.
    fn wait(&mut self, time: Duration) -> Result<()>;
}

impl Target for Bare {
    fn take(&mut self, packet: Bytes) -> Result<()> {
        Bare::take(self, packet);
        Ok(())
    }

    fn collect(&mut self) -> Result<Vec<Bytes>> {
        let mut packets = Vec::new();
        self.drain_to(|packet| packets.push(Bytes::copy_from_slice(packet)));
        Ok(packets)
    }

    fn wait(&mut self, time: Duration) -> Result<()> {
        Bare::wait(self, time);
        Ok(())
    }
}

/// Figures of an attack that only sends packets and looks at the answers.
pub(crate) type Figures = Vec<(&'static str, f64)>;

/// Plays the attack against the engine, and against the kernel where that is wanted and may be.
pub(crate) fn on_both(
    report: &mut Report,
    play: impl Fn(&mut dyn Target) -> Result<Figures>,
) -> Result<()> {
    let mut bare = Bare::new(1024, |_| {})?;
    for (name, value) in play(&mut bare)? {
        report.note(name, value);
    }
    if let Some(mut kernel) = Kernel::if_wanted()? {
        for (name, value) in play(&mut kernel)? {
            report.note_linux(name, value);
        }
    }
    Ok(())
}
