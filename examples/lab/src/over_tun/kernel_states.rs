//! The states of the kernel's ends, from /proc/net/tcp.
//!
//! The file does not report changes. [`KernelStates::look`] must run after everything that may
//! cause a change, and then sees all of them: the kernel has processed a packet when the interface
//! has accepted it, and a call when it returns.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use millstream::State;
use tokio::time::Instant;

use super::stage::KERNEL;
use crate::trace::Change;

/// The addresses of both ends, the kernel's first.
type Pair = (SocketAddr, SocketAddr);

/// The changes seen so far. Clones share them.
#[derive(Clone)]
pub(super) struct KernelStates {
    address: IpAddr,
    shared: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    now: BTreeMap<Pair, State>,
    changes: Vec<(Instant, Change)>,
}

impl KernelStates {
    /// Observes the connections from `address`.
    pub(super) fn of(address: IpAddr) -> Self {
        Self {
            address,
            shared: Arc::default(),
        }
    }

    /// Records the changes since the last look.
    pub(super) fn look(&self) {
        let now = self.connections();
        let mut seen = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut seen.now, now.clone());
        let gone = before.keys().filter(|pair| !now.contains_key(pair));
        let gone = gone.map(|pair| (*pair, State::Closed));
        for (pair, to) in now.iter().map(|(pair, to)| (*pair, *to)).chain(gone) {
            let from = before.get(&pair).copied().unwrap_or(match to {
                State::SynReceived => State::Listen,
                _ => State::Closed,
            });
            if from != to {
                let change = Change {
                    host: KERNEL,
                    local: pair.0,
                    peer: pair.1,
                    from,
                    to,
                    stimulus: None,
                };
                seen.changes.push((Instant::now(), change));
            }
        }
    }

    /// All recorded changes, in order.
    pub(super) fn changes(&self) -> Vec<(Instant, Change)> {
        let seen = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        seen.changes.clone()
    }

    fn connections(&self) -> BTreeMap<Pair, State> {
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
        let lines = table.lines().skip(1).filter_map(parse);
        lines
            .filter(|((local, peer), _)| local.ip() == self.address && peer.port() != 0)
            .collect()
    }
}

/// Parses a line of the table: its second and third columns are the ends, the fourth the state.
fn parse(line: &str) -> Option<(Pair, State)> {
    let mut columns = line.split_whitespace().skip(1);
    let (local, peer) = (columns.next()?, columns.next()?);
    let state = match columns.next()? {
        "01" => State::Established,
        "02" => State::SynSent,
        "03" => State::SynReceived,
        "04" => State::FinWait1,
        "05" => State::FinWait2,
        "06" => State::TimeWait,
        "08" => State::CloseWait,
        "09" => State::LastAck,
        "0A" => State::Listen,
        "0B" => State::Closing,
        _ => State::Closed,
    };
    Some(((end(local)?, end(peer)?), state))
}

/// Parses an address in the kernel's byte order, and a port, in hexadecimal: `0100007F:0016`.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?;
    let address = Ipv4Addr::from(address.to_ne_bytes());
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((address, port).into())
}
