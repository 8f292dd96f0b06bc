//! Receivers that lie: acknowledgments in parts, ahead of time, or repeated, and D-SACKs for
//! segments that were not duplicates.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use millstream_engine::ConnectionId;
use millstream_wire::tcp::Flags;

use super::{Attack, Scale};
use crate::bare::Bare;
use crate::puppet::Puppet;
use crate::report::Report;
use crate::scene::{service, stranger};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "ack-division",
        about: "each segment is acknowledged byte by byte (RFC 3465)",
        play: division,
    },
    Attack {
        name: "duplicate-acks",
        about: "1,000 duplicate acknowledgments without SACK after the initial window",
        play: duplicates,
    },
    Attack {
        name: "optimistic-acks",
        about: "acknowledgments of what was sent but cannot have arrived yet",
        play: optimistic,
    },
    Attack {
        name: "tiny-mss",
        about: "a segment size of 1 byte is asked for",
        play: tiny_mss,
    },
];

/// Bytes that the application writes ahead.
const AHEAD: usize = 1 << 20;

/// A connection whose application always has something to send.
struct Flow {
    bare: Bare,
    puppet: Puppet,
    id: ConnectionId,
}

impl Flow {
    fn new(mss: u16, sack: bool) -> Result<Self> {
        let mut bare = Bare::new(16, |config| {
            config.socket.send_buffer = 2 * AHEAD;
            config.socket.max_segment_size = None;
        })?;
        let mut puppet = Puppet::new(stranger(1), service(), mss);
        puppet.options.sack_permitted = sack;
        let id = bare.establish(&mut puppet)?;
        Ok(Self { bare, puppet, id })
    }

    /// Fills the send buffer, and lets the peer receive the sent packets.
    fn send(&mut self) {
        let room = self.bare.stack.write_capacity(self.id).min(AHEAD);
        let data = Bytes::from(vec![b'x'; room]);
        let _ = self
            .bare
            .stack
            .write_bytes(self.bare.now, self.id, &mut data.clone());
        let puppet = &mut self.puppet;
        self.bare.drain_to(|packet| {
            // Retransmitted data is not new.
            let before = puppet.rcv_nxt;
            if puppet.hear(packet).is_ok() && puppet.rcv_nxt.distance_from(before) < 0 {
                puppet.rcv_nxt = before;
            }
        });
    }

    fn cwnd(&self) -> u32 {
        self.bare.stack.info(self.id).map_or(0, |info| info.cwnd)
    }
}

fn division(_: Scale, report: &mut Report) -> Result<()> {
    let mut flow = Flow::new(1000, true)?;
    let base = flow.puppet.rcv_nxt;
    flow.send();
    let before = flow.cwnd();
    flow.bare.now += Duration::from_millis(20);
    for n in 1..=1000 {
        let mut ack = flow.puppet.segment(Flags::ACK);
        ack.header.ack = base + n;
        flow.bare.take(ack.packet(&[]));
        flow.bare.drain();
    }
    // One segment acknowledged in parts opens the window by no more than one segment.
    let grown = f64::from(flow.cwnd() - before) / 1000.0;
    report.note("segments that the window grew for one acknowledged", grown);
    Ok(())
}

fn duplicates(_: Scale, report: &mut Report) -> Result<()> {
    let mut flow = Flow::new(1000, false)?;
    let base = flow.puppet.rcv_nxt;
    flow.send();
    let sent = flow.bare.sent;
    flow.bare.now += Duration::from_millis(20);
    let mut duplicate = flow.puppet.segment(Flags::ACK);
    duplicate.header.ack = base;
    for _ in 0..1000 {
        flow.bare.take(duplicate.packet(&[]));
        flow.bare.drain();
    }
    report.note(
        "segments sent for 1,000 duplicates",
        (flow.bare.sent - sent) as f64,
    );
    Ok(())
}

fn optimistic(scale: Scale, report: &mut Report) -> Result<()> {
    let mut flow = Flow::new(1460, true)?;
    let (before, mut acks) = (flow.bare.sent_bytes, 0_u64);
    let deadline = flow.bare.now + Duration::from_secs(scale.pick(1, 3));
    while flow.bare.now < deadline {
        flow.send();
        flow.bare.now += Duration::from_millis(10);
        let ack = flow.puppet.ack();
        flow.bare.take(ack);
        acks += 1;
    }
    let info = flow.bare.stack.info(flow.id);
    report.note("acknowledgments", acks as f64);
    report.note("MB sent", (flow.bare.sent_bytes - before) as f64 / 1e6);
    report.note(
        "state kept in flight, MB",
        info.map_or(0, |info| info.bytes_in_flight) as f64 / 1e6,
    );
    // Data that was never sent cannot be acknowledged (RFC 9293 3.10.7.4, RFC 5961 5).
    let mut beyond = flow.puppet.segment(Flags::ACK);
    beyond.header.ack = flow.puppet.rcv_nxt + (1 << 24);
    let sent = flow.bare.sent;
    flow.bare.take(beyond.packet(&[]));
    flow.bare.drain();
    report.note(
        "segments sent for one beyond what was sent",
        (flow.bare.sent - sent) as f64,
    );
    Ok(())
}

fn tiny_mss(_: Scale, report: &mut Report) -> Result<()> {
    let mut flow = Flow::new(1, true)?;
    let before = (flow.bare.sent, flow.bare.sent_bytes);
    flow.send();
    let segments = (flow.bare.sent - before.0) as f64;
    let bytes = (flow.bare.sent_bytes - before.1) as f64;
    report.note("bytes a packet", bytes / segments.max(1.0));
    Ok(())
}
