//! Segments larger than the path's, which the device cuts.

mod support;

use std::time::Duration;

use support::{Pair, Side};

/// With its checksum computed or left to the device.
#[test]
fn a_stream_in_super_segments_both_ways_at_once() {
    for transmit_checksum in [false, true] {
        stream_both_ways(transmit_checksum);
    }
}

fn stream_both_ways(transmit_checksum: bool) {
    let mut pair = Pair::with(|config| {
        config.offload.max_segment = 60_000;
        config.offload.transmit_checksum = transmit_checksum;
    });
    pair.trust_checksums = transmit_checksum;
    pair.latency = Duration::from_micros(10);
    let (a, b) = pair.established();
    let data: Vec<u8> = (0..4_000_000u32)
        .map(|i| (i * 31 + 7) as u8 ^ (i >> 8) as u8)
        .collect();
    let mut written = [0; 2];
    let mut received = [Vec::new(), Vec::new()];
    pair.run_until(Duration::from_secs(2), |p| {
        let now = p.now;
        for (i, (side, id)) in [(Side::A, a), (Side::B, b)].into_iter().enumerate() {
            written[i] += p.stack(side).write(now, id, &data[written[i]..]).unwrap();
            received[1 - i].extend(p.read(side, id));
        }
        received.iter().all(|r| r.len() >= data.len())
    });
    assert!(received[0] == data && received[1] == data);
    assert_eq!(pair.a.counters().segments_retransmitted, 0);
    let largest = pair.seen.iter().map(|seen| seen.bytes.len()).max();
    assert!(largest > Some(50_000), "{largest:?}");
}
