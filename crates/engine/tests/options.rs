//! Option values: impossible values are rejected, and no accepted value keeps a timer due for ever.

mod support;

use std::time::Duration;

use millstream_engine::{
    Cidr, Config, CongestionControl, ConnectError, ConnectionOptions, Instant, InvalidOption,
    Keepalive, ListenError, ListenOptions, Route, SocketOptions, Stack,
};
use proptest::prelude::*;
use support::wire::{Wire, seg};
use support::{Fate, Pair, Side};

fn keepalive(idle: Duration) -> Option<Keepalive> {
    Some(Keepalive::default().idle(idle))
}

/// Linux: setsockopt(TCP_KEEPIDLE, 0) is EINVAL.
#[test]
fn keepalive_without_idle_time_is_refused_and_changes_nothing() {
    let mut wire = Wire::established();
    let id = wire.id();
    wire.write(10);
    let had = wire.stack.options(id).cloned();
    let refused = wire.stack.set_options(wire.now, id, |options| {
        options.nodelay = true;
        options.keepalive = keepalive(Duration::ZERO);
    });
    assert_eq!(refused, Err(InvalidOption::KeepaliveIdle));
    assert_eq!(wire.stack.options(id).cloned(), had);
    wire.wait(Duration::from_secs(60));
}

#[test]
fn nobody_listens_or_connects_with_an_impossible_option() {
    let mut pair = Pair::new();
    let options = SocketOptions::default().hop_limit(0);
    let refused = InvalidOption::HopLimit;
    let remote = Pair::addr(Side::B, 80);
    let now = pair.now;
    assert_eq!(
        pair.a.connect(now, None, remote, options.clone()),
        Err(ConnectError::InvalidOption(refused))
    );
    let binding = pair.b.bind(remote, false).unwrap();
    let listen = ListenOptions::default().socket(options);
    assert_eq!(
        pair.b.listen(binding, listen.clone()),
        Err(ListenError::InvalidOption(refused))
    );
    assert_eq!(
        pair.b.listen_any(listen),
        Err(ListenError::InvalidOption(refused))
    );
    let listener = pair.listen(Side::B, 80);
    let result = pair
        .b
        .set_listener_options(listener, |options| options.hop_limit = 0);
    assert_eq!(result, Err(refused));
    assert_eq!(pair.b.listener_options(listener).unwrap().hop_limit, 64);
}

/// The overtaken segment becomes due, and then losses are no longer detected by time.
#[test]
fn rack_switched_off_while_its_timer_runs() {
    let mut wire = Wire::listening(|_| {}, ListenOptions::default());
    wire.inject(seg("S", 0, 0).mss(1000).sack_ok());
    wire.sent();
    wire.wait_ms(40);
    wire.inject(seg(".", 1, 0).ack(1));
    wire.accept();
    let id = wire.id();
    wire.write(4000);
    wire.wait_ms(40);
    wire.sent();
    // The first segment was overtaken by one, and may still arrive.
    let ack = wire.sack(seg(".", 1, 0).ack(1), &[(1001, 2001)]);
    wire.inject(ack);
    wire.expect([]);
    let due = wire.now + Duration::from_millis(10);
    assert_eq!(wire.stack.poll_timeout(), Some(due));
    wire.stack
        .set_options(wire.now, id, |options| options.rack = false)
        .unwrap();
    wire.wait_ms(100);
    assert_eq!(wire.stack.counters().timers_put_off, 0);
    wire.expect([]);
    // The retransmission timer remains.
    wire.wait_ms(1000);
    assert!(wire.sent().contains(&". 1:1001 ack 1".to_owned()));
}

/// RFC 6298 2.4, 2.5, and Linux's TCP_RTO_MIN_US and TCP_RTO_MAX_MS.
#[test]
fn the_bounds_of_the_retransmission_timeout_change_on_a_live_connection() {
    let mut wire = Wire::established();
    let id = wire.id();
    let rto = |wire: &Wire| wire.stack.info(id).unwrap().rto;
    let srtt = wire.stack.info(id).unwrap().rtt.unwrap();
    let min = Duration::from_secs(3);
    wire.stack
        .set_options(wire.now, id, |options| options.min_rto = min)
        .unwrap();
    assert!(rto(&wire) >= srtt + min, "{:?}", rto(&wire));
    let max = Duration::from_secs(1);
    wire.stack
        .set_options(wire.now, id, |options| {
            (options.min_rto, options.max_rto) = (max / 2, max);
        })
        .unwrap();
    wire.write(10);
    wire.wait(Duration::from_secs(4));
    assert_eq!(rto(&wire), max);
}

/// Linux: `ip route add ... rto_min 3s`.
#[test]
fn a_route_sets_the_least_timeout_toward_its_destinations() {
    let min = Duration::from_secs(3);
    let network = |last: u8, prefix| Cidr::new([10, 9, last, 0].into(), prefix);
    let routes = vec![
        Route::new(network(0, 16)).min_rto(Some(min)),
        Route::new(network(7, 24)),
    ];
    let config = Config::default()
        .addresses(vec![Cidr::new([10, 0, 0, 1].into(), 24)])
        .routes(routes);
    let mut stack = Stack::new(config, [1; 32]);
    let mut min_rto = |ip: [u8; 4]| {
        let options = SocketOptions::default();
        let id = stack.connect(Instant::ZERO, None, (ip, 80).into(), options);
        stack.options(id.unwrap()).unwrap().min_rto
    };
    assert_eq!(min_rto([10, 9, 1, 1]), min);
    let usual = SocketOptions::default().min_rto;
    assert_eq!(min_rto([10, 9, 7, 1]), usual, "the longest prefix counts");
    assert_eq!(min_rto([10, 0, 0, 2]), usual);
}

/// `None` means no limit; a rate of zero would never send.
#[test]
fn a_pacing_rate_of_zero_is_refused() {
    let options = SocketOptions::default().max_pacing_rate(Some(0));
    assert_eq!(options.validate(), Err(InvalidOption::MaxPacingRate));
}

/// One option and its new value.
#[derive(Clone, Debug)]
enum Change {
    Keepalive(Option<(Duration, Duration, u8)>),
    UserTimeout(Option<Duration>),
    Rto(Duration, Duration),
    DelayedAck(Duration),
    Linger(Option<Duration>),
    HopLimit(u8),
    Retries(u8, u8),
    Buffers(usize, usize),
    LowWater(usize),
    WindowStep(Option<u32>),
    Flags(u8),
    Congestion(usize),
    MaxPacingRate(Option<u64>),
}

impl Change {
    fn apply(&self, options: &mut ConnectionOptions) {
        match *self {
            Self::Keepalive(times) => {
                options.keepalive = times.map(|(idle, interval, count)| {
                    Keepalive::default()
                        .idle(idle)
                        .interval(interval)
                        .count(count)
                });
            }
            Self::UserTimeout(limit) => options.user_timeout = limit,
            Self::Rto(min, max) => (options.min_rto, options.max_rto) = (min, max),
            Self::DelayedAck(time) => options.delayed_ack = time,
            Self::Linger(time) => options.linger = time,
            Self::HopLimit(limit) => options.hop_limit = limit,
            Self::Retries(first, second) => {
                (options.retries1, options.retries2) = (first, second);
            }
            Self::Buffers(send, receive) => {
                (options.send_buffer, options.receive_buffer) = (send, receive);
            }
            Self::LowWater(bytes) => options.receive_low_water = bytes,
            Self::WindowStep(bytes) => options.window_step = bytes,
            Self::Flags(bits) => {
                let bit = |n: u8| bits & 1 << n != 0;
                (options.nodelay, options.cork) = (bit(0), bit(1));
                (options.rack, options.tail_loss_probe) = (bit(2), bit(3));
                (options.frto, options.pacing) = (bit(4), bit(5));
                (options.dsack, options.slow_start_after_idle) = (bit(6), bit(7));
            }
            Self::Congestion(n) => options.congestion = CongestionControl::ALL[n % 3],
            Self::MaxPacingRate(rate) => options.max_pacing_rate = rate,
        }
    }
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::MAX),
        (0u64..3_000).prop_map(Duration::from_millis),
        (0u64..100_000).prop_map(Duration::from_secs),
    ]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(usize::MAX), 0usize..100, 0usize..100_000]
}

fn change() -> impl Strategy<Value = Change> {
    let times = (time(), time(), any::<u8>());
    let rate = prop_oneof![Just(0), Just(u64::MAX), 0u64..1000, 0u64..10_000_000];
    prop_oneof![
        prop::option::of(times).prop_map(Change::Keepalive),
        prop::option::of(time()).prop_map(Change::UserTimeout),
        (time(), time()).prop_map(|(min, max)| Change::Rto(min, max)),
        time().prop_map(Change::DelayedAck),
        prop::option::of(time()).prop_map(Change::Linger),
        any::<u8>().prop_map(Change::HopLimit),
        any::<(u8, u8)>().prop_map(|(one, two)| Change::Retries(one, two)),
        (size(), size()).prop_map(|(send, receive)| Change::Buffers(send, receive)),
        size().prop_map(Change::LowWater),
        prop::option::of(any::<u32>()).prop_map(Change::WindowStep),
        any::<u8>().prop_map(Change::Flags),
        any::<usize>().prop_map(Change::Congestion),
        prop::option::of(rate).prop_map(Change::MaxPacingRate),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Set(bool, Change),
    Write(bool, usize),
    Read(bool, usize),
    Wait(Duration),
    /// The percentage of packets that are lost from now on.
    Lose(u64),
    Shutdown(bool),
    Close(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (any::<bool>(), change()).prop_map(|(a, change)| Op::Set(a, change)),
        4 => (any::<bool>(), 1usize..50_000).prop_map(|(a, bytes)| Op::Write(a, bytes)),
        2 => (any::<bool>(), 1usize..50_000).prop_map(|(a, bytes)| Op::Read(a, bytes)),
        6 => (0u64..300).prop_map(|ms| Op::Wait(Duration::from_millis(ms))),
        2 => (0u64..20_000).prop_map(|ms| Op::Wait(Duration::from_millis(ms))),
        1 => (0u64..=100).prop_map(Op::Lose),
        1 => any::<bool>().prop_map(Op::Shutdown),
        1 => any::<bool>().prop_map(Op::Close),
    ]
}

/// Lets time pass. At each of its moments the timers settle: none is due after it.
fn pass(pair: &mut Pair, time: Duration) {
    let until = pair.now + time;
    let mut steps = 0;
    while pair.step(until) {
        steps += 1;
        assert!(steps < 100_000, "livelock at {:?}", pair.now);
        let now = pair.now;
        for stack in [&mut pair.a, &mut pair.b] {
            stack.handle_timeout(now);
            let later = |due: Instant| due > now;
            assert!(stack.poll_timeout().is_none_or(later), "due for ever");
        }
    }
}

fn run(ops: Vec<Op>) {
    let mut pair = Pair::new();
    let (a, b) = pair.established();
    let ends = [(Side::A, a), (Side::B, b)];
    for op in ops {
        let now = pair.now;
        let pick = |first: bool| ends[usize::from(first)];
        match op {
            Op::Set(first, change) => {
                let (side, id) = pick(first);
                let stack = pair.stack(side);
                let had = stack.options(id).cloned();
                let set = stack.set_options(now, id, |options| change.apply(options));
                if let Some(has) = stack.options(id) {
                    assert_eq!(has.validate(), Ok(()));
                    assert!(set.is_ok() || Some(has) == had.as_ref());
                }
            }
            Op::Write(first, bytes) => {
                let (side, id) = pick(first);
                // A connection that has ended rejects it.
                let _ = pair.stack(side).write(now, id, &vec![b'x'; bytes]);
            }
            Op::Read(first, bytes) => {
                let (side, id) = pick(first);
                let mut chunks: Vec<bytes::Bytes> = Vec::new();
                let _ = pair.stack(side).read(now, id, bytes, &mut chunks);
            }
            Op::Wait(time) => pass(&mut pair, time),
            Op::Lose(percent) => {
                let mut lost = 0;
                pair.judge(move |_, _, _| {
                    lost += percent;
                    if lost >= 100 {
                        lost -= 100;
                        Fate::Drop
                    } else {
                        Fate::Deliver
                    }
                });
            }
            Op::Shutdown(first) => {
                let (side, id) = pick(first);
                let _ = pair.stack(side).shutdown_write(now, id);
            }
            Op::Close(first) => {
                let (side, id) = pick(first);
                pair.stack(side).close(now, id);
            }
        }
        pair.flush();
    }
    pass(&mut pair, Duration::from_secs(300));
    for stack in [&pair.a, &pair.b] {
        assert_eq!(stack.counters().timers_put_off, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_value_keeps_a_timer_due(ops in prop::collection::vec(op(), 1..40)) {
        run(ops);
    }
}
