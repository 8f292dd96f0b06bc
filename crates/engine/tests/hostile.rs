//! Arbitrary network input. The stack never panics, every input has a bounded answer, and a
//! connection survives an attacker that does not see it.

mod support;

use millstream_engine::{ConnectionId, Instant, RxChecksum, Stack, State, Transmit};
use millstream_wire::tcp::{Flags, Header, Options, SackBlock, Timestamps};
use millstream_wire::{SeqNum, ip, tcp};
use proptest::prelude::*;
use support::{ADDR_A, ADDR_B, Pair, Side, packet};

/// The relation of a random segment to the connection that it attacks.
#[derive(Clone, Debug)]
struct Aim {
    flags: u8,
    seq: i32,
    ack: i32,
    window: u16,
    urgent: u16,
    payload: usize,
    timestamps: Option<(u32, u32)>,
    sack: Vec<(i32, i32)>,
    mss: Option<u16>,
    window_scale: Option<u8>,
    /// Milliseconds that pass before the segment.
    wait: u64,
}

fn edge() -> impl Strategy<Value = i32> {
    prop_oneof![
        6 => -3..4i32,
        2 => -70_000..70_000i32,
        1 => any::<i32>(),
        1 => Just(i32::MAX),
        1 => Just(i32::MIN),
    ]
}

fn aim() -> impl Strategy<Value = Aim> {
    let payload = prop_oneof![3 => Just(0usize), 3 => 1..20usize, 1 => 1000..1400usize];
    let sack = prop::collection::vec((edge(), edge()), 0..3);
    let options = (
        any::<Option<(u32, u32)>>(),
        sack,
        any::<Option<u16>>(),
        any::<Option<u8>>(),
    );
    let wait = prop_oneof![4 => Just(0u64), 2 => 1..500u64, 1 => 1_000..200_000u64];
    (
        any::<u8>(),
        edge(),
        edge(),
        any::<u16>(),
        any::<u16>(),
        payload,
        options,
        wait,
    )
        .prop_map(
            |(flags, seq, ack, window, urgent, payload, options, wait)| Aim {
                flags,
                seq,
                ack,
                window,
                urgent,
                payload,
                timestamps: options.0,
                sack: options.1,
                mss: options.2,
                window_scale: options.3,
                wait,
            },
        )
}

/// The ports and numbers of A's last segment, at which an attacker that sees the wire would aim.
fn last_sent(pair: &Pair) -> Option<(SeqNum, SeqNum, u16, u16)> {
    let seen = pair.seen.iter().rev().find(|seen| seen.from == Side::A)?;
    let packet = ip::Packet::parse(&seen.bytes).ok()?;
    let view = tcp::View::parse(packet.payload()).ok()?;
    Some((view.ack(), view.seq(), view.dst_port(), view.src_port()))
}

fn shift(seq: SeqNum, by: i32) -> SeqNum {
    seq + by as u32
}

/// Injects `aim` into A and returns the number of packets in answer before time passes.
fn inject(pair: &mut Pair, aim: &Aim) -> usize {
    let Some((seq, ack, src_port, dst_port)) = last_sent(pair) else {
        return 0;
    };
    let mut options = Options {
        mss: aim.mss,
        window_scale: aim.window_scale,
        timestamps: aim
            .timestamps
            .map(|(value, echo)| Timestamps { value, echo }),
        ..Options::default()
    };
    for &(left, right) in &aim.sack {
        let _ = options.sack.push(SackBlock {
            left: shift(ack, left),
            right: shift(ack, right),
        });
    }
    let header = Header {
        src_port,
        dst_port,
        seq: shift(seq, aim.seq),
        ack: shift(ack, aim.ack),
        flags: Flags::from_bits_retain(aim.flags),
        window: aim.window,
        urgent: aim.urgent,
        options,
    };
    let now = pair.now;
    let bytes = packet(ADDR_B.into(), ADDR_A.into(), &header, &vec![7; aim.payload]);
    pair.a.handle_packet(now, bytes, RxChecksum::Trusted);
    drain(&mut pair.a, now)
}

fn drain(stack: &mut Stack, now: Instant) -> usize {
    let mut out = Transmit::new();
    let mut count = 0;
    while stack.poll_transmit(now, &mut out) {
        count += 1;
        assert!(count < 1000, "output does not end");
    }
    while stack.poll_event().is_some() {}
    count
}

/// Brings a connection of A into `state`, as far as two well-behaved stacks can.
fn in_state(state: State) -> (Pair, Option<ConnectionId>) {
    let mut pair = Pair::new();
    let second = std::time::Duration::from_secs(1);
    match state {
        State::Listen => {
            pair.listen(Side::A, 80);
            let now = pair.now;
            // A packet of A for the attacker to see: the refusal of another port.
            let options = pair.b.config().socket.clone();
            let _ = pair.b.connect(now, None, Pair::addr(Side::A, 81), options);
            pair.run_for(second);
            return (pair, None);
        }
        State::SynSent => {
            pair.judge(|_, _, _| support::Fate::Drop);
            let id = pair.connect(Side::A, 80);
            pair.run_for(second);
            return (pair, Some(id));
        }
        State::SynReceived => {
            pair.listen(Side::A, 80);
            pair.connect(Side::B, 80);
            pair.judge(|from, _, _| match from {
                Side::A => support::Fate::Drop,
                Side::B => support::Fate::Deliver,
            });
            pair.run_for(second);
            return (pair, None);
        }
        _ => {}
    }
    let (a, b) = pair.established();
    pair.write(Side::A, a, b"something");
    pair.run_for(second);
    let now = pair.now;
    match state {
        State::FinWait1 | State::Closing => {
            pair.judge(|_, _, _| support::Fate::Drop);
            pair.a.shutdown_write(now, a).unwrap();
        }
        State::FinWait2 => pair.a.shutdown_write(now, a).unwrap(),
        State::CloseWait => pair.b.shutdown_write(now, b).unwrap(),
        State::LastAck => {
            pair.b.shutdown_write(now, b).unwrap();
            pair.run_for(second);
            pair.judge(|_, _, _| support::Fate::Drop);
            let now = pair.now;
            pair.a.shutdown_write(now, a).unwrap();
        }
        State::TimeWait => {
            pair.a.shutdown_write(now, a).unwrap();
            pair.run_for(second);
            let now = pair.now;
            pair.b.shutdown_write(now, b).unwrap();
        }
        _ => {}
    }
    pair.run_for(second);
    (pair, Some(a))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Arbitrary bytes.
    #[test]
    fn any_bytes(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let (mut pair, _) = in_state(State::Established);
        for bytes in packets {
            let now = pair.now;
            pair.a.handle_packet(now, bytes.into(), RxChecksum::Unverified);
            prop_assert!(drain(&mut pair.a, now) <= 2);
        }
    }

    /// Plausible segments, in every state: each is answered by a bounded number of packets, buffers
    /// stay bounded, and timers continue to work.
    #[test]
    fn plausible_segments(
        state in prop::sample::select(&State::ALL[1..]),
        aims in prop::collection::vec(aim(), 1..40),
    ) {
        let (mut pair, id) = in_state(state);
        let now = pair.now;
        drain(&mut pair.a, now);
        for aim in aims {
            let answers = inject(&mut pair, &aim);
            prop_assert!(answers <= 30, "{answers} packets in answer to {aim:?}");
            if let Some(id) = id {
                let limit = pair.a.options(id).map_or(0, |options| options.receive_buffer);
                prop_assert!(pair.a.readable_bytes(id) <= limit.max(1));
            }
            let until = pair.now + std::time::Duration::from_millis(aim.wait);
            let mut steps = 0;
            while let Some(next) = pair.a.poll_timeout().filter(|&next| next <= until) {
                pair.now = next.max(pair.now);
                let now = pair.now;
                pair.a.handle_timeout(now);
                drain(&mut pair.a, now);
                steps += 1;
                prop_assert!(steps < 2000, "timers do not come to rest");
            }
            pair.now = until;
        }
    }

    /// An attacker that knows the four-tuple but sees no packet cannot end a connection or change
    /// its data.
    #[test]
    fn a_blind_attacker_achieves_nothing(
        aims in prop::collection::vec((aim(), 200_000u32..2_000_000_000), 1..100),
    ) {
        let (mut pair, id) = in_state(State::Established);
        let id = id.unwrap();
        for (mut aim, distance) in aims {
            // Outside the window in both directions.
            aim.seq = 600_000 + (distance as i32);
            aim.ack = -600_000 - (distance as i32);
            aim.timestamps = None;
            inject(&mut pair, &aim);
            prop_assert_eq!(pair.a.state(id), Some(State::Established));
        }
        pair.write(Side::A, id, b"still here");
        prop_assert_eq!(pair.a.readable_bytes(id), 0);
    }
}
