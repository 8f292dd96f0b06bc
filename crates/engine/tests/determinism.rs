//! The same calls and the same seed give the same packets; another seed gives others.

mod support;

use std::time::Duration;

use millstream_engine::Stack;
use support::{ADDR_A, ADDR_B, Fate, Pair, Side, config};

/// A varied exchange of two stacks over a bad link; returns the packets on it with their times.
fn run(seed_a: u8, seed_b: u8) -> Vec<(u64, Vec<u8>)> {
    let mut pair = Pair::new();
    pair.a = Stack::new(config(ADDR_A), [seed_a; 32]);
    pair.b = Stack::new(config(ADDR_B), [seed_b; 32]);
    pair.judge(|_, bytes, count| match (count * 7919 + bytes.len()) % 23 {
        0 => Fate::Drop,
        1 => Fate::Duplicate,
        2..4 => Fate::Delay(Duration::from_millis(35)),
        4 => Fate::Corrupt(count * 31),
        _ => Fate::Deliver,
    });
    let listener = pair.listen(Side::B, 80);
    let clients: Vec<_> = (0..20).map(|_| pair.connect(Side::A, 80)).collect();
    let refused = pair.connect(Side::B, 9);
    let mut servers = Vec::new();
    pair.run_until(Duration::from_secs(100), |p| {
        while let Some(accepted) = p.b.accept(listener) {
            servers.push(accepted.id);
        }
        servers.len() == clients.len()
    });
    for (index, &client) in clients.iter().enumerate() {
        pair.write(Side::A, client, &vec![index as u8; 3000 * index]);
    }
    for &server in &servers {
        pair.write(Side::B, server, &[1; 20_000]);
    }
    for _ in 0..50 {
        pair.run_for(Duration::from_millis(100));
        for (&client, &server) in clients.iter().zip(&servers) {
            pair.read(Side::A, client);
            pair.read(Side::B, server);
        }
    }
    let now = pair.now;
    pair.b.close(now, refused);
    for (&client, &server) in clients.iter().zip(&servers) {
        pair.a.close(now, client);
        pair.b.close(now, server);
    }
    pair.run_for(Duration::from_secs(200));
    let all = pair.seen.iter();
    all.map(|seen| (seen.at.as_nanos(), seen.bytes.to_vec()))
        .collect()
}

#[test]
fn equal_seeds_give_equal_packets() {
    let first = run(1, 2);
    assert!(first.len() > 500, "{} packets", first.len());
    assert!(first == run(1, 2));
}

/// RFC 6528 3, RFC 9293 3.4.1.
#[test]
fn another_seed_gives_other_ports_and_sequence_numbers() {
    let (first, second) = (run(1, 2), run(3, 2));
    // Source port and sequence number of the first SYN (RFC 6056, RFC 6528).
    assert_ne!(first[0].1[20..22], second[0].1[20..22]);
    assert_ne!(first[0].1[24..28], second[0].1[24..28]);
}
