//! Putting IP fragments together (RFC 791 3.2, RFC 8200 4.5), within limits: a datagram whose
//! fragments overlap is dropped whole (RFC 5722), as is one that takes too long, and there is room for a
//! bounded number of datagrams and bytes.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use millstream_wire::ip::{self, Fragment};

use super::demux::Place;
use super::slab::Slab;
use super::{Datagram, Stack};
use crate::buf::range_set::RangeSet;
use crate::error::DropReason;
use crate::time::Instant;
use crate::timer::wheel::TimerId;

/// How long the fragments of a datagram may take (Linux's `ipfrag_time`; RFC 8200 says 60 s).
const TIMEOUT: Duration = Duration::from_secs(30);

/// Datagrams and bytes under reassembly at the most. When there are more, the fragment is dropped.
const MAX_DATAGRAMS: usize = 64;
const MAX_BYTES: usize = 1 << 20;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    id: u32,
}

#[derive(Debug)]
struct Partial {
    key: Key,
    bytes: Vec<u8>,
    received: RangeSet,
    /// Length of the whole, once the last fragment has come.
    total: Option<u64>,
    /// One fragment with a mark marks the datagram (RFC 3168 5.3).
    marked: bool,
    timer: Option<TimerId>,
}

/// Datagrams of which some fragments have come.
#[derive(Debug)]
pub(super) struct Reassembly {
    partial: Slab<Partial>,
    /// Bytes allocated for all of them.
    held: usize,
}

impl Reassembly {
    pub(super) fn new() -> Self {
        Self {
            partial: Slab::new(),
            held: 0,
        }
    }

    /// There are few at a time: looking at each is the simplest that is bounded.
    fn find(&self, key: &Key) -> Option<u32> {
        self.partial
            .iter()
            .find(|(_, partial)| partial.key == *key)
            .map(|(index, _)| index)
    }
}

/// A fragment contradicts those before it.
struct Contradiction;

impl Partial {
    /// Takes one fragment. Returns by how much the buffer has grown.
    fn insert(&mut self, fragment: &Fragment, payload: &[u8]) -> Result<usize, Contradiction> {
        let start = u64::from(fragment.offset);
        let end = start + payload.len() as u64;
        let beyond = self
            .total
            .is_some_and(|total| end > total || (!fragment.more && end != total));
        let covered = self.received.iter().next_back().map_or(0, |last| last.1);
        if beyond || (!fragment.more && covered > end) {
            return Err(Contradiction);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        let mut fresh = 0;
        self.received
            .insert(start, end, &mut |from, to| fresh += to - from);
        if fresh == 0 && !payload.is_empty() {
            // The same once more: a duplicate on the way, if its bytes are the same too.
            let held = &self.bytes[start as usize..end as usize];
            return if held == payload {
                Ok(0)
            } else {
                Err(Contradiction)
            };
        }
        if fresh < payload.len() as u64 {
            return Err(Contradiction);
        }
        let before = self.bytes.len();
        self.bytes.resize(before.max(end as usize), 0);
        self.bytes[start as usize..end as usize].copy_from_slice(payload);
        Ok(self.bytes.len() - before)
    }

    fn is_complete(&self) -> bool {
        self.total == Some(self.received.covered_bytes())
    }
}

impl Stack {
    /// Takes a fragment; returns the datagram if it was the last one missing.
    pub(super) fn reassemble(
        &mut self,
        now: Instant,
        arrived: Instant,
        packet: &ip::Packet<'_>,
        fragment: &Fragment,
    ) -> Option<Datagram> {
        let key = Key {
            src: packet.src(),
            dst: packet.dst(),
            protocol: packet.protocol(),
            id: fragment.id,
        };
        let payload = packet.payload();
        let full = self.reassembly.held + payload.len() > MAX_BYTES;
        let place = self.reassembly.find(&key);
        if full || (place.is_none() && self.reassembly.partial.len() >= MAX_DATAGRAMS) {
            self.counters.count_drop(DropReason::Fragment);
            return None;
        }
        let index = place.unwrap_or_else(|| self.begin_reassembly(now, key));
        let partial = self.reassembly.partial.at_mut(index)?;
        partial.marked |= packet.ecn() == ip::Ecn::Ce;
        match partial.insert(fragment, payload) {
            Ok(grown) => self.reassembly.held += grown,
            Err(Contradiction) => {
                self.counters.count_drop(DropReason::Fragment);
                self.end_reassembly(index);
                return None;
            }
        }
        if !partial.is_complete() {
            return None;
        }
        let ecn = if partial.marked {
            ip::Ecn::Ce
        } else {
            packet.ecn()
        };
        let bytes = Bytes::from(self.end_reassembly(index)?);
        Some(Datagram {
            arrived,
            src: key.src,
            dst: key.dst,
            protocol: key.protocol,
            ecn,
            body: 0..bytes.len(),
            packet: bytes,
        })
    }

    pub(super) fn on_reassembly_timeout(&mut self, index: u32) {
        self.counters.count_drop(DropReason::Fragment);
        self.end_reassembly(index);
    }

    /// Forgets all datagrams of which fragments are missing.
    pub(super) fn end_reassemblies(&mut self) {
        for index in self.reassembly.partial.indices() {
            self.end_reassembly(index);
        }
    }

    fn begin_reassembly(&mut self, now: Instant, key: Key) -> u32 {
        let (index, _) = self.reassembly.partial.insert(Partial {
            key,
            bytes: Vec::new(),
            received: RangeSet::default(),
            total: None,
            marked: false,
            timer: None,
        });
        let timer = self
            .wheel
            .insert(now + TIMEOUT, Place::Reassembly(index).key());
        if let Some(partial) = self.reassembly.partial.at_mut(index) {
            partial.timer = Some(timer);
        }
        index
    }

    /// Takes the record out, whatever has come of it.
    fn end_reassembly(&mut self, index: u32) -> Option<Vec<u8>> {
        let partial = self.reassembly.partial.remove(index)?;
        if let Some(timer) = partial.timer {
            self.wheel.cancel(timer);
        }
        self.reassembly.held -= partial.bytes.len();
        Some(partial.bytes)
    }
}
