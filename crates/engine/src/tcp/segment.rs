//! A TCP segment from the network, checked and extracted from its packet.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use bytes::Bytes;
use millstream_wire::SeqNum;
use millstream_wire::ip::Ecn;
use millstream_wire::tcp::{self, Flags};

use crate::tcp::connection::space::after;
use crate::tcp::recovery::heard::Heard;
use crate::tuple::FourTuple;

/// The SEG variables of RFC 9293 3.3.1, options and payload.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// The connection of the segment; `local` is the local end.
    pub(crate) tuple: FourTuple,
    /// Arrival time. Times in transit are measured by it, whenever the segment is processed.
    pub(crate) heard: Heard,
    pub(crate) seq: SeqNum,
    pub(crate) ack: SeqNum,
    pub(crate) flags: Flags,
    /// The window field of the header, unscaled.
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    /// The codepoint of the packet's IP header.
    pub(crate) ecn: Ecn,
    pub(crate) options: tcp::Options,
    /// Shares the memory of the packet.
    pub(crate) payload: Bytes,
}

impl Segment {
    /// The contents of the header. The caller, which owns the packet, adds the payload and the
    /// codepoint.
    pub(crate) fn without_payload(tuple: FourTuple, heard: Heard, view: &tcp::View<'_>) -> Self {
        Self {
            tuple,
            heard,
            seq: view.seq(),
            ack: view.ack(),
            flags: view.flags(),
            window: view.window(),
            urgent: view.urgent(),
            ecn: Ecn::NotEct,
            options: tcp::Options::parse(view.options_bytes()),
            payload: Bytes::new(),
        }
    }

    pub(crate) fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }

    /// SEG.LEN: the sequence space that the segment occupies, including SYN and FIN.
    pub(crate) fn len(&self) -> u64 {
        let controls = u64::from(self.has(Flags::SYN)).saturating_add(self.has(Flags::FIN).into());
        after(controls, self.payload.len())
    }
}
