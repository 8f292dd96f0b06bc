//! The order in which several connections with data send.

mod support;

use std::time::Duration;

use millstream_engine::{ConnectionId, ListenOptions, SocketOptions, Transmit};
use millstream_wire::ip;
use millstream_wire::tcp::View;
use support::{Pair, Side};

/// The largest packet.
const PACKET: usize = 65_535;
/// Bytes that all connections together may send in a round.
const ROUND: usize = 256 * 1024;
/// Bytes that each connection has to send.
const DATA: usize = 1 << 20;
/// Bytes that the congestion window releases at once, at least.
const WINDOW: usize = DATA / 4;

/// A stack with `count` connections whose windows are large, and that have nothing to send.
fn connections(count: usize) -> (Pair, Vec<ConnectionId>) {
    let mut pair = Pair::with(|config| config.offload.max_segment = PACKET);
    let mut options = SocketOptions::default()
        // Small data does not wait for an acknowledgment.
        .nodelay(true);
    options.fix_send_buffer(4 << 20);
    options.fix_receive_buffer(4 << 20);
    let listen = ListenOptions::default().socket(options.clone());
    let listener = pair.listen_with(Side::B, 80, listen);
    let mut ends = Vec::new();
    for _ in 0..count {
        let a = pair.connect_with(Side::A, 80, options.clone());
        let mut accepted = None;
        pair.run_until(Duration::from_secs(1), |pair| {
            accepted = accepted.take().or_else(|| pair.b.accept(listener));
            accepted.is_some() && pair.a.finish_connect(a) == Ok(true)
        });
        ends.push((a, accepted.unwrap().id));
    }
    // All at the same time: the congestion window is reduced while a connection is idle.
    let mut left = vec![2 * DATA; count];
    let mut received = 0;
    pair.run_until(Duration::from_secs(10), |pair| {
        let now = pair.now;
        for ((a, b), left) in ends.iter().zip(&mut left) {
            *left -= pair.a.write(now, *a, &vec![7; *left]).unwrap();
            received += pair.read(Side::B, *b).len();
        }
        received == count * 2 * DATA
    });
    pair.run_for(Duration::from_millis(50));
    (pair, ends.into_iter().map(|(a, _)| a).collect())
}

/// The sender's port, and the length of the packet.
fn port(packet: &Transmit) -> (u16, usize) {
    let mut bytes = Vec::new();
    packet.write_to(&mut bytes);
    let ip = ip::Packet::parse(&bytes).unwrap();
    (View::parse(ip.payload()).unwrap().src_port(), bytes.len())
}

fn next(pair: &mut Pair) -> Option<(u16, usize)> {
    let mut out = Transmit::new();
    let now = pair.now;
    pair.a.poll_transmit(now, &mut out).then(|| port(&out))
}

fn port_of(pair: &Pair, id: ConnectionId) -> u16 {
    pair.a.local_addr(id).unwrap().port()
}

fn give(pair: &mut Pair, id: ConnectionId, len: usize) {
    let now = pair.now;
    assert_eq!(pair.a.write(now, id, &vec![7; len]), Ok(len));
}

#[test]
fn all_have_sent_alike_at_any_time() {
    for count in [2, 3, 16] {
        let (mut pair, ids) = connections(count);
        let ports: Vec<_> = ids.iter().map(|id| port_of(&pair, *id)).collect();
        for id in &ids {
            give(&mut pair, *id, DATA);
        }
        let mut sent = vec![0; count];
        let quantum = (ROUND / count).max(64 << 10);
        while sent.iter().all(|&sent| sent < WINDOW) {
            let (port, len) = next(&mut pair).expect("there is more");
            sent[ports.iter().position(|&p| p == port).unwrap()] += len;
            let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
            assert!(most - least <= quantum + PACKET, "{count}: {sent:?}");
        }
    }
}

#[test]
fn a_newcomer_waits_for_one_packet() {
    let (mut pair, ids) = connections(16);
    let (newcomer, others) = ids.split_first().unwrap();
    for id in others {
        give(&mut pair, *id, DATA);
    }
    // All have had a turn.
    for _ in 0..2 * others.len() {
        next(&mut pair).expect("there is more");
    }
    for _ in 0..3 {
        give(&mut pair, *newcomer, 1000);
        let port = port_of(&pair, *newcomer);
        let sent: Vec<_> = (0..2).map(|_| next(&mut pair).expect("more").0).collect();
        assert!(sent.contains(&port), "{sent:?}");
        for _ in 0..others.len() {
            next(&mut pair).expect("there is more");
        }
    }
}

#[test]
fn a_connection_that_sends_little_and_often_is_not_always_first() {
    let (mut pair, ids) = connections(3);
    let (busy, others) = ids.split_first().unwrap();
    for id in others {
        give(&mut pair, *id, DATA);
    }
    let busy_port = port_of(&pair, *busy);
    let mut sent = [0; 2];
    for _ in 0..60 {
        if pair.a.write_capacity(*busy) > 30_000 {
            give(&mut pair, *busy, 30_000);
        }
        let Some((port, len)) = next(&mut pair) else {
            break;
        };
        sent[usize::from(port != busy_port)] += len;
    }
    assert!(sent[0] < 2 * sent[1], "{sent:?}");
}

#[test]
fn a_connection_that_asks_out_of_turn_gets_its_share_while_others_wait() {
    let (mut pair, ids) = connections(4);
    let mut out = Transmit::new();
    let now = pair.now;
    let mut sent_alone = 0;
    give(&mut pair, ids[0], DATA);
    while pair.a.poll_transmit_of(now, ids[0], &mut out) {
        sent_alone += out.len();
    }
    assert!(sent_alone > WINDOW, "{sent_alone}");

    for id in &ids[1..] {
        give(&mut pair, *id, DATA);
    }
    let mut sent = 0;
    while pair.a.poll_transmit_of(now, ids[1], &mut out) {
        sent += out.len();
    }
    assert!(
        (64 << 10..sent_alone / 2).contains(&sent),
        "{sent} of {sent_alone}"
    );
    // The rest is sent in its turn.
    let mut rest = 0;
    let port = port_of(&pair, ids[1]);
    while let Some((from, len)) = next(&mut pair) {
        rest += if from == port { len } else { 0 };
    }
    assert!(sent + rest > WINDOW, "{sent} and {rest}");
}
