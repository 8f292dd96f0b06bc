//! One host of a lab: its stack, and the pending calls of its applications.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_engine::{Cidr, Config, ConnectionId, Stack, Transition};

use crate::segment::Segment;

/// One host of a lab.
pub(super) struct Machine {
    pub(super) stack: Stack,
    pub(super) address: IpAddr,
    pub(super) configure: fn(&mut Config),
    transitions: Arc<Mutex<Vec<Transition>>>,
    /// The call that each connection's opening will answer.
    pub(super) connecting: BTreeMap<ConnectionId, String>,
    /// Connections whose applications are still reading.
    pub(super) reading: Vec<ConnectionId>,
    pub(super) accepted: Vec<ConnectionId>,
}

impl Machine {
    pub(super) fn new(address: IpAddr, configure: fn(&mut Config), seed: u8) -> Self {
        let mut config = Config::default().addresses(vec![Cidr::new(address, 24)]);
        configure(&mut config);
        let transitions = Arc::new(Mutex::new(Vec::new()));
        let mut stack = Stack::new(config, [seed; 32]);
        let log = Arc::clone(&transitions);
        stack.set_observer(Some(Box::new(move |transition: &Transition| {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(*transition);
        })));
        Self {
            stack,
            address,
            configure,
            transitions,
            connecting: BTreeMap::new(),
            reading: Vec::new(),
            accepted: Vec::new(),
        }
    }

    /// The congestion window of the connection to which an outgoing segment of this host belongs.
    pub(super) fn cwnd(&self, segment: &Segment) -> Option<u32> {
        let ends = (segment.from, Some(segment.to));
        let mut sockets = self.stack.sockets();
        let socket = sockets.find(|socket| (socket.local, socket.peer) == ends)?;
        Some(self.stack.info(socket.id?)?.cwnd)
    }

    /// Removes and returns the changes of state since the last call.
    pub(super) fn take_transitions(&mut self) -> Vec<Transition> {
        let mut log = self
            .transitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *log)
    }
}
