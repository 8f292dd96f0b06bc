//! The allocation of ports, and its duration (RFC 9293 3.6.1, RFC 6056; scenario S2).

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use millstream_engine::{
    BindError, ConnectError, ConnectionId, ListenError, ListenOptions, SocketOptions, Stack, State,
};
use support::{ADDR_A, Pair, Side, config};

const SOON: Duration = Duration::from_secs(1);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn stack() -> Stack {
    Stack::new(config(ADDR_A), [1; 32])
}

/// Binds `first` and keeps it, then returns whether `second` can be bound as well.
fn both(first: (&str, bool), second: (&str, bool)) -> bool {
    let mut stack = stack();
    let _held = stack.bind(addr(first.0), first.1).unwrap();
    let result = stack.bind(addr(second.0), second.1);
    assert!(
        matches!(result, Ok(_) | Err(BindError::AddrInUse(_))),
        "{result:?}"
    );
    result.is_ok()
}

/// The classic case of the 2MSL wait: A serves port 6666, B connects from port 1098, A stops first.
fn classic() -> Pair {
    let mut pair = Pair::new();
    let listener = pair.listen(Side::A, 6666);
    let binding = pair.b.bind(Pair::addr(Side::B, 1098), false).unwrap();
    let (now, options) = (pair.now, SocketOptions::default());
    let client = pair
        .b
        .connect(now, Some(&binding), Pair::addr(Side::A, 6666), options)
        .unwrap();
    pair.b.unbind(binding);
    let mut server = None;
    pair.run_until(SOON, |p| {
        server = server.or_else(|| p.a.accept(listener));
        server.is_some()
    });
    let now = pair.now;
    pair.a.close(now, server.unwrap().id);
    pair.a.close_listener(now, listener);
    pair.run_for(SOON);
    let now = pair.now;
    pair.b.close(now, client);
    pair.run_for(SOON);
    assert_eq!((pair.a.time_wait_count(), pair.b.time_wait_count()), (1, 0));
    pair
}

fn connect_from(pair: &mut Pair, reuse: bool, port: u16) -> Result<ConnectionId, ConnectError> {
    let local = Pair::addr(Side::A, 6666);
    let binding = pair.a.bind(local, reuse).unwrap();
    let (now, remote) = (pair.now, Pair::addr(Side::B, port));
    let options = SocketOptions::default();
    let result = pair.a.connect(now, Some(&binding), remote, options);
    pair.a.unbind(binding);
    result
}

#[test]
fn without_reuse_a_port_in_time_wait_cannot_be_bound() {
    let mut pair = classic();
    let local = Pair::addr(Side::A, 6666);
    assert_eq!(
        pair.a.bind(local, false).map(|_| ()),
        Err(BindError::AddrInUse(local))
    );
}

#[test]
fn with_reuse_the_very_four_tuple_is_still_in_use_until_2msl_is_over() {
    let mut pair = classic();
    let in_use = ConnectError::AddrInUse {
        local: Pair::addr(Side::A, 6666),
        remote: Pair::addr(Side::B, 1098),
    };
    assert_eq!(connect_from(&mut pair, true, 1098), Err(in_use));
    assert!(connect_from(&mut pair, true, 1099).is_ok(), "another port");
    // TIME-WAIT began when the client's FIN arrived, 990 milliseconds ago.
    pair.run_for(Duration::from_millis(59_005));
    assert_eq!(connect_from(&mut pair, true, 1098), Err(in_use));
    pair.run_for(Duration::from_millis(10));
    assert!(connect_from(&mut pair, true, 1098).is_ok());
}

#[test]
fn a_server_that_reuses_listens_again_while_its_connections_are_in_time_wait() {
    let mut pair = classic();
    let listener = pair.listen(Side::A, 6666);
    let b = pair.connect(Side::B, 6666);
    pair.run_for(SOON);
    assert_eq!(pair.b.finish_connect(b), Ok(true));
    assert!(pair.a.accept(listener).is_some());
    assert_eq!(pair.a.time_wait_count(), 1, "the old one is still there");
}

#[test]
fn the_same_client_may_reopen_its_connection_in_time_wait() {
    let mut pair = classic();
    let listener = pair.listen(Side::A, 6666);
    let binding = pair.b.bind(Pair::addr(Side::B, 1098), false).unwrap();
    let (now, options) = (pair.now, SocketOptions::default());
    let b = pair
        .b
        .connect(now, Some(&binding), Pair::addr(Side::A, 6666), options)
        .unwrap();
    pair.run_for(SOON);
    // RFC 6191: its timestamps are newer.
    assert_eq!(pair.b.finish_connect(b), Ok(true), "{}", pair.trace());
    assert!(pair.a.accept(listener).is_some());
    assert_eq!(pair.a.time_wait_count(), 0);
}

#[test]
fn an_ephemeral_client_never_notices_time_wait() {
    let mut pair = Pair::new();
    let listener = pair.listen(Side::B, 80);
    let mut ports = BTreeSet::new();
    for _ in 0..200 {
        let a = pair.connect(Side::A, 80);
        let port = pair.a.local_addr(a).unwrap().port();
        assert!((32_768..=60_999).contains(&port));
        assert!(ports.insert(port), "port {port} was given twice");
        let mut server = None;
        pair.run_until(SOON, |p| {
            server = server.or_else(|| p.b.accept(listener));
            server.is_some()
        });
        let now = pair.now;
        pair.a.close(now, a);
        pair.run_for(Duration::from_millis(50));
        let now = pair.now;
        pair.b.close(now, server.unwrap().id);
        pair.run_for(Duration::from_millis(50));
    }
    assert!(pair.a.time_wait_count() > 150);
}

#[test]
fn ports_to_one_destination_ascend_and_to_others_start_elsewhere() {
    let mut stack = stack();
    let port = |stack: &mut Stack, remote: &str| {
        let (now, options) = (Pair::new().now, SocketOptions::default());
        let id = stack.connect(now, None, addr(remote), options).unwrap();
        stack.local_addr(id).unwrap().port()
    };
    // RFC 6056 3.3.4, algorithm 4: a counter on top of a keyed offset for each destination.
    let first: Vec<u16> = (0..5).map(|_| port(&mut stack, "10.0.0.2:80")).collect();
    assert!(
        first.windows(2).all(|pair| pair[1].abs_diff(pair[0]) < 16),
        "{first:?}"
    );
    let others: BTreeSet<u16> = (0..20)
        .map(|host| port(&mut stack, &format!("10.0.0.{}:80", 3 + host)) / 256)
        .collect();
    assert!(
        others.len() > 10,
        "destinations share one region: {others:?}"
    );
}

#[test]
fn when_all_ports_are_taken_connecting_fails_and_other_destinations_still_work() {
    let mut config = config(ADDR_A);
    config.ephemeral_ports = 50_000..=50_009;
    let mut stack = Stack::new(config, [1; 32]);
    let now = Pair::new().now;
    let remote = addr("10.0.0.2:80");
    for _ in 0..10 {
        stack
            .connect(now, None, remote, SocketOptions::default())
            .unwrap();
    }
    assert_eq!(
        stack.connect(now, None, remote, SocketOptions::default()),
        Err(ConnectError::AddrNotAvailable(remote))
    );
    let other = addr("10.0.0.2:81");
    let id = stack
        .connect(now, None, other, SocketOptions::default())
        .unwrap();
    // A released port can be allocated again.
    stack.close(now, id);
    assert!(
        stack
            .connect(now, None, other, SocketOptions::default())
            .is_ok()
    );
    assert_eq!(
        stack.bind(addr("10.0.0.1:0"), false).map(|_| ()),
        Err(BindError::NoPortFree)
    );
}

#[test]
fn two_sockets_share_a_port_only_if_both_allow_it() {
    for (first, second, expected) in [
        (false, false, false),
        (false, true, false),
        (true, false, false),
        (true, true, true),
    ] {
        let found = both(("10.0.0.1:5000", first), ("10.0.0.1:5000", second));
        assert_eq!(found, expected, "{first} {second}");
    }
}

#[test]
fn an_unspecified_address_overlaps_what_it_receives_for() {
    for (first, second, expected) in [
        ("0.0.0.0:5000", "10.0.0.1:5000", false),
        ("10.0.0.1:5000", "0.0.0.0:5000", false),
        ("[::]:5000", "10.0.0.1:5000", false),
        ("[::]:5000", "[fd00::1]:5000", false),
        ("0.0.0.0:5000", "[fd00::1]:5000", true),
        ("10.0.0.1:5000", "[fd00::1]:5000", true),
        ("10.0.0.1:5000", "10.0.0.1:5001", true),
    ] {
        assert_eq!(
            both((first, false), (second, false)),
            expected,
            "{first} {second}"
        );
    }
}

/// RFC 9293 MUST-43.
#[test]
fn only_own_addresses_can_be_bound() {
    let mut stack = stack();
    for other in ["10.0.0.9:1", "[fd00::9]:1"] {
        let other = addr(other);
        assert_eq!(
            stack.bind(other, true).map(|_| ()),
            Err(BindError::AddrNotAvailable(other.ip()))
        );
    }
}

/// RFC 9293 MUST-41.
#[test]
fn a_port_has_one_listener() {
    let mut stack = stack();
    let local = addr("10.0.0.1:80");
    let (first, second) = (
        stack.bind(local, true).unwrap(),
        stack.bind(local, true).unwrap(),
    );
    let listener = stack.listen(first, ListenOptions::default()).unwrap();
    assert_eq!(
        stack.listen(second, ListenOptions::default()),
        Err(ListenError::AddrInUse(local))
    );
    // A port with a listener cannot be shared.
    assert!(stack.bind(local, true).is_err());
    stack.close_listener(Pair::new().now, listener);
    let binding = stack.bind(local, false).unwrap();
    assert!(stack.listen(binding, ListenOptions::default()).is_ok());
}

/// RFC 9293 MUST-42, and MUST-41: neither disturbs the other.
#[test]
fn a_port_that_connects_can_be_listened_on() {
    let mut pair = Pair::new();
    let local = Pair::addr(Side::A, 7000);
    let binding = pair.a.bind(local, true).unwrap();
    let (now, options) = (pair.now, SocketOptions::default());
    let client = pair
        .a
        .connect(now, Some(&binding), Pair::addr(Side::B, 9), options)
        .unwrap();
    assert_eq!(pair.a.state(client), Some(State::SynSent));
    let listener = pair.listen(Side::A, 7000);
    assert_eq!(pair.a.state(client), Some(State::SynSent));
    let (now, options) = (pair.now, SocketOptions::default());
    pair.b.connect(now, None, local, options).unwrap();
    let mut accepted = None;
    pair.run_until(SOON, |p| {
        accepted = accepted.or_else(|| p.a.accept(listener));
        accepted.is_some()
    });
    assert!(accepted.is_some());
}

#[test]
fn port_zero_gives_a_free_port() {
    let mut stack = stack();
    let mut given = BTreeSet::new();
    for _ in 0..100 {
        let binding = stack.bind(addr("0.0.0.0:0"), false).unwrap();
        assert!(given.insert(binding.local_addr().port()));
    }
}

#[test]
fn a_bound_port_is_not_given_to_others() {
    let mut config = config(ADDR_A);
    config.ephemeral_ports = 50_000..=50_001;
    let mut stack = Stack::new(config, [1; 32]);
    let _bound = stack.bind(addr("10.0.0.1:50000"), false).unwrap();
    let (now, options) = (Pair::new().now, SocketOptions::default());
    let id = stack
        .connect(now, None, addr("10.0.0.2:80"), options.clone())
        .unwrap();
    assert_eq!(stack.local_addr(id), Some(addr("10.0.0.1:50001")));
    assert!(
        stack
            .connect(now, None, addr("10.0.0.2:80"), options)
            .is_err()
    );
}

#[test]
fn connections_of_a_server_keep_its_port_after_the_listener_is_gone() {
    let mut pair = Pair::new();
    let listener = pair.listen(Side::B, 80);
    pair.connect(Side::A, 80);
    let mut server = None;
    pair.run_until(SOON, |p| {
        server = server.or_else(|| p.b.accept(listener));
        server.is_some()
    });
    let (now, local) = (pair.now, Pair::addr(Side::B, 80));
    pair.b.close_listener(now, listener);
    assert_eq!(pair.b.state(server.unwrap().id), Some(State::Established));
    assert_eq!(
        pair.b.bind(local, false).map(|_| ()),
        Err(BindError::AddrInUse(local))
    );
    pair.b.abort(now, server.unwrap().id);
    assert!(pair.b.bind(local, false).is_ok(), "nothing is left of them");
}
