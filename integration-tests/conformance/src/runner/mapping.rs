//! The mapping of one flow's numbers: each end's initial sequence number is 0 in the script.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use millstream_wire::SeqNum;
use millstream_wire::tcp::Flags;

use crate::script::{Segment, TcpOpt};

/// The peer's initial sequence number on the wire: shortly before the wrap, so that every script
/// crosses it.
const PEER_ISN: u32 = u32::MAX - 500;

/// A flow and the mapping of its numbers.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// The stack's initial sequence number on the wire, and in the script.
    local_isn: Option<(u32, u32)>,
    /// The peer's initial sequence number in the script.
    peer_isn: u32,
    /// The MSS option of the peer's SYN.
    peer_mss: Option<u16>,
    /// The stack's timestamps: from the script's value to the value on the wire.
    timestamps: BTreeMap<u32, u32>,
    /// The first pair of `timestamps`.
    timestamp_base: Option<(u32, u32)>,
    /// The end of the sequence space that the stack has sent, on the wire.
    sent_end: Option<SeqNum>,
    /// The last segment sent by the stack: its sequence number on the wire, and its length.
    last_sent: (u32, u32),
}

impl Flow {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            remote,
            local_isn: None,
            peer_isn: 0,
            peer_mss: None,
            timestamps: BTreeMap::new(),
            timestamp_base: None,
            sent_end: None,
            last_sent: (0, 0),
        }
    }

    /// Records a segment from the stack with `len` sequence numbers. Returns whether all of it, or
    /// for an empty segment a lower sequence number, had been sent before: a retransmission or a
    /// probe.
    pub(super) fn note_sent(&mut self, seq: u32, len: u32, flags: Flags) -> bool {
        self.last_sent = (seq, len);
        let (seq, end) = (SeqNum::new(seq), SeqNum::new(seq) + len);
        let known = self.sent_end.filter(|_| {
            !flags.contains(Flags::SYN) || self.local_isn.is_none_or(|(isn, _)| isn == seq.raw())
        });
        let again = known
            .is_some_and(|known| end.le(known) && seq.lt(known) && !flags.contains(Flags::RST));
        if !flags.contains(Flags::RST) {
            self.sent_end = known.filter(|known| end.le(*known)).or(Some(end));
        }
        again
    }

    /// Sequence number and length of the stack's last segment, in the script's numbers.
    pub(super) fn last_sent(&self) -> (u32, u32) {
        let (seq, len) = self.last_sent;
        (self.local_to_script(seq), len)
    }

    /// Converts the peer's number from the script to the wire.
    pub(super) fn peer_to_wire(&self, script: u32) -> u32 {
        script.wrapping_add(PEER_ISN)
    }

    /// Converts the peer's number from the wire to the script.
    pub(super) fn peer_to_script(&self, wire: u32) -> u32 {
        wire.wrapping_sub(PEER_ISN)
    }

    /// Converts the stack's number from the script to the wire; unchanged before the stack has sent
    /// a SYN.
    pub(super) fn local_to_wire(&self, script: u32) -> u32 {
        let (wire_isn, script_isn) = self.local_isn.unwrap_or_default();
        script.wrapping_sub(script_isn).wrapping_add(wire_isn)
    }

    /// Converts the stack's number from the wire to the script.
    pub(super) fn local_to_script(&self, wire: u32) -> u32 {
        let (wire_isn, script_isn) = self.local_isn.unwrap_or_default();
        wire.wrapping_sub(wire_isn).wrapping_add(script_isn)
    }

    /// Records the stack's SYN, whose number in the script is `script`.
    pub(super) fn learn_local_isn(&mut self, wire: u32, script: u32) {
        if self.local_isn.is_none_or(|(known, _)| known != wire) {
            self.timestamps.clear();
            self.timestamp_base = None;
        }
        self.local_isn = Some((wire, script));
    }

    /// Records the peer's SYN, which begins a connection.
    pub(super) fn learn_peer_syn(&mut self, syn: &Segment) {
        self.peer_isn = syn.seq.unwrap_or_default();
        let options = syn.options.as_deref().unwrap_or_default();
        self.peer_mss = options.iter().find_map(|option| match option {
            TcpOpt::Mss(mss) => Some(*mss),
            _ => None,
        });
    }

    /// The largest payload of a segment that peer and device accept, less `options` bytes.
    pub(super) fn segment_size(&self, mtu: usize, options: usize) -> usize {
        let (headers, default) = if self.local.is_ipv4() {
            (40, 536)
        } else {
            (60, 1220)
        };
        let offered = self.peer_mss.map_or(default, usize::from);
        offered.min(mtu - headers).saturating_sub(options)
    }

    /// The offset of a segment's first payload byte in the stack's stream.
    pub(super) fn local_offset(&self, script_seq: u32, flags: Flags) -> i64 {
        let script_isn = self.local_isn.unwrap_or_default().1;
        stream_offset(script_seq, script_isn, flags)
    }

    /// The offset of a segment's first payload byte in the peer's stream.
    pub(super) fn peer_offset(&self, script_seq: u32, flags: Flags) -> i64 {
        stream_offset(script_seq, self.peer_isn, flags)
    }

    /// Records that the stack's timestamp `script` was `wire`.
    pub(super) fn learn_timestamp(&mut self, script: u32, wire: u32) {
        self.timestamp_base.get_or_insert((script, wire));
        self.timestamps.insert(script, wire);
    }

    /// The value that the peer echoes for the script's value: the recorded one, or one extrapolated
    /// from the first.
    pub(super) fn echo_to_wire(&self, script: u32) -> u32 {
        match (self.timestamps.get(&script), self.timestamp_base) {
            (Some(wire), _) => *wire,
            (None, Some((first, wire))) if script != 0 => {
                script.wrapping_sub(first).wrapping_add(wire)
            }
            _ => script,
        }
    }

    /// The stack's timestamp in the script's numbers, counted from the first one.
    pub(super) fn timestamp_to_script(&self, wire: u32) -> Option<u32> {
        let (script, first) = self.timestamp_base?;
        Some(wire.wrapping_sub(first).wrapping_add(script))
    }
}

fn stream_offset(seq: u32, isn: u32, flags: Flags) -> i64 {
    let relative = i64::from(seq.wrapping_sub(isn).cast_signed());
    relative - 1 + i64::from(flags.contains(Flags::SYN))
}

/// The byte at an offset of either stream.
pub(super) fn stream_byte(offset: i64) -> u8 {
    (31 * offset + 7).rem_euclid(251) as u8
}

/// `len` bytes of either stream from `offset` on.
pub(super) fn stream_bytes(offset: i64, len: usize) -> Vec<u8> {
    (offset..).take(len).map(stream_byte).collect()
}
