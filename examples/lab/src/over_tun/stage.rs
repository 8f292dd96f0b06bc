//! The link of one scenario with its two hosts, and the record of all events.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use millstream::{Config, State};
use millstream_testbed::gate::GateControl;
use millstream_testbed::lab::{Family, Lab, Net, Setup};
use millstream_testbed::trace::{self, Limits};
use tokio::time::Instant;

use super::kernel_states::KernelStates;
use crate::trace::{Change, Fate, Host, Trace, What};

/// The index of the millstream stack in the trace.
pub(super) const OURS: usize = 0;
/// The index of the kernel in the trace.
pub(super) const KERNEL: usize = 1;

/// A link with its hosts; see the module.
pub(super) struct Stage {
    pub(super) net: Net,
    told: RefCell<Vec<(Instant, What)>>,
    kernel_states: KernelStates,
}

impl Stage {
    /// A link whose TIME-WAIT is 400 ms.
    pub(super) async fn new(lab: &Lab) -> Result<Self> {
        Self::configured(lab, short_msl).await
    }

    /// A link whose millstream stack is configured by `configure`.
    pub(super) async fn configured(lab: &Lab, configure: fn(&mut Config)) -> Result<Self> {
        let net = lab.net_with(Setup {
            configure,
            trace: Limits::EVERYTHING,
            ..Setup::default()
        });
        let net = net.await?;
        let kernel_states = KernelStates::of(net.kernel(Family::V4, 0).ip());
        let watcher = kernel_states.clone();
        net.gate.trace().watch(move || watcher.look());
        Ok(Self {
            net,
            kernel_states,
            told: RefCell::default(),
        })
    }

    pub(super) fn gate(&self) -> &GateControl<millstream::device::Tun> {
        &self.net.gate
    }

    /// Releases the held packets, and lets all further packets pass.
    pub(super) fn release(&self) -> io::Result<()> {
        self.gate().open();
        self.gate().release()?;
        self.kernel_states.look();
        Ok(())
    }

    /// The millstream stack's address with this port.
    pub(super) fn ours(&self, port: u16) -> SocketAddr {
        self.net.stack(Family::V4, port)
    }

    /// The kernel's address with this port.
    pub(super) fn theirs(&self, port: u16) -> SocketAddr {
        self.net.kernel(Family::V4, port)
    }

    /// Waits until the millstream end has passed through exactly these states.
    pub(super) async fn expect(
        &self,
        (local, peer): (SocketAddr, SocketAddr),
        states: &[&[State]],
    ) -> Result<()> {
        self.net.history.expect(local, peer, &states.concat()).await
    }

    /// Records a remark.
    pub(super) fn remark(&self, text: &str) {
        let text = text.to_owned();
        self.push(What::Remark { text });
    }

    pub(super) fn push(&self, what: What) {
        self.told.borrow_mut().push((Instant::now(), what));
        self.kernel_states.look();
    }

    /// The record, in the order of time.
    pub(super) fn finish(self) -> Result<Trace> {
        let hosts = [("millstream", self.ours(0)), ("linux", self.theirs(0))];
        let hosts = hosts.map(|(name, address)| Host {
            name: name.to_owned(),
            address: address.ip(),
        });
        let mut trace = Trace::new(hosts.into());
        let packets = self.net.gate.trace();
        let records = packets.records();
        let history = self.net.history.timed();
        // Time starts with the first event, as over memory.
        let sent = records.first().map(|record| packets.began() + record.at);
        let changed = history.first().map(|(at, _)| *at);
        let told = self.told.borrow().first().map(|(at, _)| *at);
        let beginnings = [sent, changed, told].into_iter().flatten();
        let zero = beginnings.min().context("nothing happened")?;
        for record in records {
            let fate = match record.fate {
                trace::Fate::Passed => Fate::Passed,
                trace::Fate::Dropped => Fate::Lost,
                trace::Fate::Held => Fate::Held,
            };
            let at = packets.began() + record.at - zero;
            trace.push_packet(at, &record.packet, |segment| segment.fate = fate);
        }
        for (at, change) in history {
            let what = What::State(Change {
                host: OURS,
                local: change.local,
                peer: change.peer,
                from: change.from,
                to: change.to,
                stimulus: Some(change.stimulus),
            });
            trace.push(at - zero, what);
        }
        self.kernel_states.look();
        for (at, change) in self.kernel_states.changes() {
            trace.push(at - zero, What::State(change));
        }
        for (at, what) in self.told.into_inner() {
            trace.push(at - zero, what);
        }
        trace.finish();
        Ok(trace)
    }
}

fn short_msl(config: &mut Config) {
    config.msl = super::MSL;
}
