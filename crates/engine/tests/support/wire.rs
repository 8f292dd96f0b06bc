//! One stack and a peer driven by hand: segments go in, and the sent packets are compared as text.
//!
//! Sequence numbers are relative on both sides: a SYN is `0:1`, the first byte of data 1. A segment
//! is written as `FLAGS SEQ:END ack ACK`, with tcpdump's flags (`S`, `F`, `R`, `P`, `.` for ACK,
//! `U`).

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use millstream_engine::{
    Config, ConnectionId, Instant, ListenOptions, ListenerId, RxChecksum, SocketOptions, Stack,
    Transmit,
};
use millstream_wire::checksum::Sum;
use millstream_wire::tcp::{Flags, Header, Options, SackBlock, Timestamps};
use millstream_wire::{SeqNum, ip, tcp};

use super::{ADDR_A, ADDR_B, config, packet};

/// The peer's initial sequence number: near the end of the space, so that all numbers wrap around.
const PEER_ISN: SeqNum = SeqNum::new(u32::MAX - 300);

/// A segment of the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seg {
    pub(crate) flags: Flags,
    pub(crate) seq: i64,
    pub(crate) ack: Option<i64>,
    pub(crate) len: usize,
    pub(crate) win: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Options,
}

/// A segment with the given flags at the given position; `.` among the flags requires an
/// acknowledgment number, which [`Seg::ack`] sets.
pub(crate) fn seg(flags: &str, seq: i64, len: usize) -> Seg {
    let mut bits = Flags::empty();
    for c in flags.chars() {
        bits |= match c {
            'S' => Flags::SYN,
            'F' => Flags::FIN,
            'R' => Flags::RST,
            'P' => Flags::PSH,
            'U' => Flags::URG,
            '.' => Flags::ACK,
            _ => panic!("no flag {c}"),
        };
    }
    Seg {
        flags: bits,
        seq,
        ack: None,
        len,
        win: 65_535,
        urgent: 0,
        options: Options::default(),
    }
}

impl Seg {
    pub(crate) fn ack(mut self, ack: i64) -> Self {
        self.ack = Some(ack);
        self
    }

    pub(crate) fn win(mut self, win: u16) -> Self {
        self.win = win;
        self
    }

    pub(crate) fn urgent(mut self, urgent: u16) -> Self {
        self.urgent = urgent;
        self
    }

    pub(crate) fn mss(mut self, mss: u16) -> Self {
        self.options.mss = Some(mss);
        self
    }

    pub(crate) fn sack_ok(mut self) -> Self {
        self.options.sack_permitted = true;
        self
    }

    pub(crate) fn wscale(mut self, shift: u8) -> Self {
        self.options.window_scale = Some(shift);
        self
    }

    pub(crate) fn ts(mut self, value: u32, echo: u32) -> Self {
        self.options.timestamps = Some(Timestamps { value, echo });
        self
    }
}

/// The stack under test, at address A; the peer is B.
pub(crate) struct Wire {
    pub(crate) now: Instant,
    pub(crate) stack: Stack,
    pub(crate) listener: Option<ListenerId>,
    pub(crate) id: Option<ConnectionId>,
    /// Our initial sequence number, once seen.
    isn: SeqNum,
    address: IpAddr,
    port: u16,
    peer_port: u16,
    out: Vec<Vec<u8>>,
}

impl Wire {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(ADDR_A);
        change(&mut config);
        Self {
            now: Instant::from_millis(10_000),
            stack: Stack::new(config, [5; 32]),
            listener: None,
            id: None,
            isn: SeqNum::new(0),
            address: ADDR_A.into(),
            port: 80,
            peer_port: 5000,
            out: Vec::new(),
        }
    }

    /// A stack that listens on port 80.
    pub(crate) fn listening(change: impl FnOnce(&mut Config), options: ListenOptions) -> Self {
        let mut wire = Self::new(change);
        let addr = (ADDR_A, 80).into();
        let binding = wire.stack.bind(addr, true).unwrap();
        wire.listener = Some(wire.stack.listen(binding, options).unwrap());
        wire
    }

    /// A stack that listens on every address and port; the peer connects to 198.51.100.7, port 443.
    pub(crate) fn listening_any(options: ListenOptions) -> Self {
        let mut wire = Self::new(|_| {});
        wire.listener = Some(wire.stack.listen_any(options).unwrap());
        wire.aim_at([198, 51, 100, 7].into());
        wire.aim_at_port(443);
        wire
    }

    /// A stack that connects to the peer's port 5000; the SYN has been sent, and not yet examined.
    pub(crate) fn connecting(change: impl FnOnce(&mut Config), options: SocketOptions) -> Self {
        let mut wire = Self::new(change);
        let remote = (ADDR_B, 5000).into();
        let id = wire.stack.connect(wire.now, None, remote, options).unwrap();
        wire.port = wire.stack.local_addr(id).unwrap().port();
        wire.id = Some(id);
        wire.collect();
        wire
    }

    /// A connection opened by the peer, with a segment size of 1000, window scaling as given, SACK
    /// and no timestamps.
    pub(crate) fn established() -> Self {
        Self::established_with(
            |_| {},
            SocketOptions::default(),
            seg("S", 0, 0).mss(1000).sack_ok(),
        )
    }

    pub(crate) fn established_with(
        change: impl FnOnce(&mut Config),
        options: SocketOptions,
        syn: Seg,
    ) -> Self {
        let listen = ListenOptions::default().socket(options);
        let mut wire = Self::listening(change, listen);
        let stamped = syn.options.timestamps;
        let win = syn.win;
        wire.inject(syn);
        wire.sent();
        let mut last = seg(".", 1, 0).ack(1).win(win);
        last.options.timestamps = stamped;
        wire.inject(last);
        wire.accept();
        wire.expect([]);
        wire
    }

    pub(crate) fn accept(&mut self) {
        let accepted = self.stack.accept(self.listener.unwrap());
        self.id = Some(accepted.expect("a connection to accept").id);
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id.unwrap()
    }

    /// Our initial sequence number, from the last SYN examined.
    pub(crate) fn isn(&self) -> SeqNum {
        self.isn
    }

    /// The peer sends `seg`.
    pub(crate) fn inject(&mut self, seg: Seg) {
        self.inject_batch([seg]);
    }

    /// The peer sends to this address from now on.
    pub(crate) fn aim_at(&mut self, address: IpAddr) {
        self.address = address;
    }

    /// The peer sends to this port of ours from now on.
    pub(crate) fn aim_at_port(&mut self, port: u16) {
        self.port = port;
    }

    /// The peer sends `seg` from another of its ports.
    pub(crate) fn inject_from_port(&mut self, seg: Seg, port: u16) {
        let usual = std::mem::replace(&mut self.peer_port, port);
        self.inject(seg);
        self.peer_port = usual;
    }

    /// The peer sends `seg`, and one bit of it flips on the way.
    pub(crate) fn inject_corrupted(&mut self, seg: Seg) {
        let mut bytes = self.packet(&seg).to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        self.stack
            .handle_packet(self.now, bytes.into(), RxChecksum::Unverified);
        self.collect();
    }

    /// The peer sends `seg` with options in the IPv4 header: a timestamp, an unknown one, and the
    /// end.
    pub(crate) fn inject_with_ip_options(&mut self, seg: Seg) {
        const OPTIONS: [u8; 12] = [68, 8, 5, 0, 1, 2, 3, 4, 0x9e, 3, 7, 0];
        let mut bytes = self.packet(&seg).to_vec();
        bytes.splice(20..20, OPTIONS);
        bytes[0] += OPTIONS.len() as u8 / 4;
        let length = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[10..12].fill(0);
        let mut sum = Sum::new();
        sum.add(&bytes[..20 + OPTIONS.len()]);
        bytes[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        self.stack
            .handle_packet(self.now, bytes.into(), RxChecksum::Unverified);
        self.collect();
    }

    /// The peer's segments arrive together.
    pub(crate) fn inject_batch(&mut self, segs: impl IntoIterator<Item = Seg>) {
        for seg in segs {
            let bytes = self.packet(&seg);
            self.stack
                .handle_packet(self.now, bytes, RxChecksum::Unverified);
        }
        self.collect();
    }

    /// The peer's segments arrived at the given times, and are passed to the stack together only
    /// now.
    pub(crate) fn inject_late(&mut self, segs: impl IntoIterator<Item = (Instant, Seg)>) {
        for (arrived, seg) in segs {
            let bytes = self.packet(&seg);
            let checksum = RxChecksum::Unverified;
            self.stack
                .handle_late_packet(self.now, arrived, bytes, checksum);
        }
        self.collect();
    }

    /// Adds SACK blocks: the peer has `left..right` of the data that we sent, each relative.
    pub(crate) fn sack(&self, seg: Seg, blocks: &[(i64, i64)]) -> Seg {
        let mut seg = seg;
        for &(left, right) in blocks {
            let _ = seg.options.sack.push(SackBlock {
                left: self.isn + left as u32,
                right: self.isn + right as u32,
            });
        }
        seg
    }

    pub(crate) fn packet(&self, seg: &Seg) -> Bytes {
        let header = Header {
            src_port: self.peer_port,
            dst_port: self.port,
            seq: PEER_ISN + seg.seq as u32,
            ack: seg.ack.map_or(SeqNum::new(0), |ack| self.isn + ack as u32),
            flags: seg.flags,
            window: seg.win,
            urgent: seg.urgent,
            options: seg.options,
        };
        let payload: Vec<u8> = (0..seg.len).map(|i| (seg.seq + i as i64) as u8).collect();
        packet(ADDR_B.into(), self.address, &header, &payload)
    }

    /// Lets time pass, and fires timers when they are due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.stack.poll_timeout().filter(|&next| next <= until) {
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            self.collect();
        }
        self.now = until;
    }

    pub(crate) fn wait_ms(&mut self, millis: u64) {
        self.wait(Duration::from_millis(millis));
    }

    pub(crate) fn write(&mut self, len: usize) {
        let id = self.id();
        assert_eq!(self.stack.write(self.now, id, &vec![b'x'; len]), Ok(len));
        self.collect();
    }

    /// Reads all available data; returns its length.
    pub(crate) fn read(&mut self) -> usize {
        let id = self.id();
        let mut chunks: Vec<Bytes> = Vec::new();
        let _ = self
            .stack
            .read(self.now, id, usize::MAX, &mut chunks)
            .unwrap();
        self.collect();
        chunks.iter().map(Bytes::len).sum()
    }

    pub(crate) fn shutdown(&mut self) {
        let id = self.id();
        self.stack.shutdown_write(self.now, id).unwrap();
        self.collect();
    }

    pub(crate) fn close(&mut self) {
        let id = self.id();
        self.stack.close(self.now, id);
        self.collect();
    }

    /// Takes the packets that the stack has to send.
    pub(crate) fn collect(&mut self) {
        let mut out = Transmit::new();
        while self.stack.poll_transmit(self.now, &mut out) {
            let mut bytes = Vec::new();
            out.write_to(&mut bytes);
            self.note_isn(&bytes);
            self.out.push(bytes);
        }
        while self.stack.poll_event().is_some() {}
    }

    fn note_isn(&mut self, bytes: &[u8]) {
        let packet = ip::Packet::parse(bytes).unwrap();
        if let Ok(view) = tcp::View::parse(packet.payload())
            && packet.protocol() == ip::TCP
            && view.flags().contains(Flags::SYN)
        {
            self.isn = view.seq();
        }
    }

    /// Asserts that exactly these packets have been sent since the last call.
    #[track_caller]
    pub(crate) fn expect<const N: usize>(&mut self, expected: [&str; N]) {
        let found = self.sent();
        assert_eq!(
            found, expected,
            "sent (left) is not what was expected (right)"
        );
    }

    /// The packets that have been sent since the last call.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let packets = std::mem::take(&mut self.out);
        packets.iter().map(|bytes| self.describe(bytes)).collect()
    }

    /// The windows and options of the packets that have been sent since the last call.
    pub(crate) fn headers(&mut self) -> Vec<(u16, Options)> {
        let packets = std::mem::take(&mut self.out);
        let header = |bytes: &Vec<u8>| {
            self.describe(bytes);
            let packet = ip::Packet::parse(bytes).unwrap();
            let view = tcp::View::parse(packet.payload()).unwrap();
            (view.window(), Options::parse(view.options_bytes()))
        };
        packets.iter().map(header).collect()
    }

    /// A relative position in the peer's stream, from a sequence number.
    pub(crate) fn peer_relative(seq: SeqNum) -> i64 {
        i64::from(seq.distance_from(PEER_ISN))
    }

    fn describe(&self, bytes: &[u8]) -> String {
        let packet = ip::Packet::parse(bytes).unwrap();
        let view = tcp::View::parse(packet.payload()).unwrap();
        assert!(
            view.checksum_ok(packet.src(), packet.dst()),
            "our checksum is wrong" // RFC 9293 MUST-2.
        );
        let flags = view.flags();
        let letters = [
            (Flags::SYN, 'S'),
            (Flags::FIN, 'F'),
            (Flags::RST, 'R'),
            (Flags::PSH, 'P'),
            (Flags::URG, 'U'),
            (Flags::ACK, '.'),
        ];
        let text: String = letters
            .iter()
            .filter(|(flag, _)| flags.contains(*flag))
            .map(|(_, letter)| *letter)
            .collect();
        let own = view.seq() == SeqNum::new(0) && !flags.contains(Flags::ACK | Flags::SYN);
        let start = if own || (flags.contains(Flags::RST) && view.seq() == SeqNum::new(0)) {
            0
        } else {
            i64::from(view.seq().distance_from(self.isn))
        };
        let len = view.payload().len() as i64
            + i64::from(flags.contains(Flags::SYN))
            + i64::from(flags.contains(Flags::FIN));
        let mut line = format!("{text} {start}:{}", start + len);
        if flags.contains(Flags::ACK) {
            line += &format!(" ack {}", Self::peer_relative(view.ack()));
        }
        for block in Options::parse(view.options_bytes()).sack.as_slice() {
            let (left, right) = (
                Self::peer_relative(block.left),
                Self::peer_relative(block.right),
            );
            line += &format!(" sack {left}:{right}");
        }
        line
    }
}
