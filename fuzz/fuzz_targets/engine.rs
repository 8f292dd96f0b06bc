//! A stack under segments, commands and time chosen by the fuzzer: it must not panic, its output must
//! end, and what it holds must stay bounded.
#![no_main]

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millstream_engine::{
    Admission, AttemptId, Cidr, Config, ConnectionId, Instant, ListenOptions, ListenerId, RxChecksum,
    SocketOptions, Stack, SynCookies, Transmit,
};
use millstream_wire::tcp::{Flags, Header, View};
use millstream_wire::{SeqNum, ip};

const OURS: [u8; 4] = [10, 0, 0, 1];
const PEER: [u8; 4] = [10, 0, 0, 2];
/// Nobody's; the stack may answer for it.
const ELSEWHERE: [u8; 4] = [198, 51, 100, 7];

/// The fuzzer's bytes, read one by one; zeros when they are used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    fn word(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A small number most of the time, any number sometimes.
    fn near(&mut self) -> u32 {
        match self.byte() {
            255 => self.word(),
            small => i32::from(small as i8) as u32,
        }
    }
}

/// What the stack said last, as a peer would have to answer it.
#[derive(Clone, Copy)]
struct Heard {
    seq: SeqNum,
    ack: SeqNum,
    port: u16,
    peer_port: u16,
}

struct World {
    stack: Stack,
    now: Instant,
    heard: Heard,
    ids: Vec<ConnectionId>,
    /// The listener of every address.
    any: ListenerId,
    attempts: Vec<AttemptId>,
}

impl World {
    fn drain(&mut self) {
        let mut out = Transmit::new();
        let mut count = 0;
        while self.stack.poll_transmit(self.now, &mut out) {
            count += 1;
            assert!(count < 5000, "output does not end");
            let mut bytes = Vec::new();
            out.write_to(&mut bytes);
            let packet = ip::Packet::parse(&bytes).expect("our own packet parses");
            if packet.protocol() == ip::TCP {
                let view = View::parse(packet.payload()).expect("our own segment parses");
                self.heard = Heard {
                    seq: view.ack(),
                    ack: view.seq() + packet.payload_len() as u32,
                    port: view.src_port(),
                    peer_port: view.dst_port(),
                };
            }
        }
        while self.stack.poll_event().is_some() {}
    }

    fn segment(&mut self, input: &mut Input<'_>) {
        let options_len = usize::from(input.byte() % 11) * 4;
        let length = usize::from(input.byte());
        let header = Header {
            src_port: self.heard.peer_port,
            dst_port: self.heard.port,
            seq: self.heard.seq + input.near(),
            ack: self.heard.ack + input.near(),
            flags: Flags::from_bits_retain(input.byte()),
            window: u16::from_be_bytes([input.byte(), input.byte()]),
            urgent: u16::from(input.byte()),
            ..Header::default()
        };
        let ip_header = ip::Header {
            payload_len: 20 + options_len + length,
            ..ip::Header::new(PEER.into(), self.destination(length), ip::TCP)
        };
        let mut bytes = vec![0; ip_header.len() + 20];
        ip_header.emit(&mut bytes);
        header.emit(&mut bytes[ip_header.len()..]);
        bytes[ip_header.len() + 12] = ((20 + options_len) as u8 / 4) << 4;
        for _ in 0..options_len + length {
            bytes.push(input.byte());
        }
        self.stack.handle_packet(self.now, bytes.into(), RxChecksum::Trusted);
    }

    fn destination(&self, length: usize) -> IpAddr {
        let elsewhere = length % 4 == 3;
        if elsewhere { ELSEWHERE } else { OURS }.into()
    }

    /// Decides on an attempt, or looks what has become of one.
    fn decide(&mut self, input: &mut Input<'_>) {
        self.attempts
            .extend(self.stack.next_attempt(self.any).map(|attempt| attempt.id));
        let which = usize::from(input.byte()) % self.attempts.len().max(1);
        let Some(&id) = self.attempts.get(which) else {
            return;
        };
        let now = self.now;
        match input.byte() % 4 {
            0 => self.stack.admit(now, id),
            1 => self.stack.refuse(now, id),
            2 => self.stack.ignore(now, id),
            _ => {}
        }
        match self.stack.admission(id) {
            Admission::Pending => {}
            Admission::Established(accepted) => self.ids.push(accepted.id),
            Admission::Gone => self.attempts.retain(|&other| other != id),
        }
    }

    fn command(&mut self, input: &mut Input<'_>) {
        let which = input.byte();
        if which < 40 && self.ids.len() < 4 {
            let remote = (PEER, 1000 + u16::from(which)).into();
            let options = SocketOptions::default();
            self.ids.extend(self.stack.connect(self.now, None, remote, options));
            return;
        }
        let Some(&id) = self.ids.get(usize::from(which) % self.ids.len().max(1)) else {
            return;
        };
        let mut chunks: Vec<Bytes> = Vec::new();
        match input.byte() % 6 {
            0 | 1 => {
                let data = vec![1; usize::from(input.byte()) * 40];
                let _ = self.stack.write(self.now, id, &data);
            }
            2 | 3 => {
                let _ = self.stack.read(self.now, id, usize::from(input.byte()) * 40, &mut chunks);
            }
            4 => {
                let _ = self.stack.shutdown_write(self.now, id);
            }
            _ => {
                self.stack.close(self.now, id);
                self.ids.retain(|&other| other != id);
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let config = Config::default().syn_cookies(if input.byte() % 4 == 3 { SynCookies::Always } else { SynCookies::InFlood }).addresses(vec![Cidr::new(OURS.into(), 24)]);
    let mut stack = Stack::new(config, [9; 32]);
    let binding = stack.bind((OURS, 80).into(), true).expect("nobody has it");
    let listener = stack.listen(binding, ListenOptions::default()).expect("nobody listens");
    let any = stack.listen_any(ListenOptions::default()).expect("nobody listens");
    let mut world = World {
        stack,
        now: Instant::from_millis(1),
        heard: Heard {
            seq: SeqNum::new(0),
            ack: SeqNum::new(0),
            port: 80,
            peer_port: 5000,
        },
        ids: Vec::new(),
        any,
        attempts: Vec::new(),
    };
    while !input.0.is_empty() {
        match input.byte() % 9 {
            0..=4 => world.segment(&mut input),
            8 => world.decide(&mut input),
            5 | 6 => world.command(&mut input),
            _ => {
                world.now += Duration::from_millis(1 << (input.byte() % 18));
                world.stack.handle_timeout(world.now);
            }
        }
        world.drain();
        while let Some(accepted) = world.stack.accept(listener) {
            world.ids.push(accepted.id);
        }
    }
    assert!(world.stack.connection_count() < 1000);
});
