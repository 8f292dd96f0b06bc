//! A bulk transfer allocates nothing per packet: memory is allocated per write, and reused.
//!
//! Two stacks on one thread transfer data over a link in memory, while a counting allocator
//! observes them. This is a test file of its own, because the allocator counts all allocations of
//! the process.

use std::alloc::System;
use std::io;

use millstream::device::pair;
use millstream::{Stack, TcpStream};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes sent before counting begins: the windows open and the buffers fill.
const WARM_UP: usize = 8 << 20;
const COUNTED: usize = 32 << 20;

/// Moves `bytes` from one end to the other in writes of `size` bytes.
async fn bulk(
    from: &mut TcpStream,
    to: &mut TcpStream,
    bytes: usize,
    size: usize,
) -> io::Result<()> {
    let data = vec![7; size];
    let mut sink = vec![0; size];
    let send = async {
        for _ in 0..bytes / size {
            from.write_all(&data).await?;
        }
        io::Result::Ok(())
    };
    let receive = async {
        let mut left = bytes / size * size;
        while left > 0 {
            left -= to.read(&mut sink).await?;
        }
        Ok(())
    };
    tokio::try_join!(send, receive)?;
    Ok(())
}

/// Payload of a full packet at an MTU of 1500 bytes.
const FULL: usize = 1448;

/// Allocations during the transfer, for each of the fewest packets that the link can carry it in.
macro_rules! allocations_per_packet {
    ($work:expr) => {{
        let region = Region::new(ALLOCATOR);
        $work.await.expect("the work is done");
        let stats = region.change();
        let count = stats.allocations + stats.reallocations;
        let packets = COUNTED / FULL;
        println!("{count} allocations, {packets} packets");
        count as f64 / packets as f64
    }};
}

#[tokio::test]
async fn bulk_data_allocates_nothing_per_packet() {
    let (left, right) = pair();
    let client = Stack::builder()
        .device(left)
        .address("10.0.0.1/24")
        .build()
        .expect("builds");
    let server = Stack::builder()
        .device(right)
        .address("10.0.0.2/24")
        .build()
        .expect("builds");
    let listener = server.listen("10.0.0.2:80").await.expect("listens");
    let connect = client.connect("10.0.0.2:80");
    let (ours, accepted) = tokio::try_join!(connect, listener.accept()).expect("connects");
    let (mut a, mut b) = (ours, accepted.0);
    for (size, most) in [(64 << 10, 0.1), (1400, 0.5)] {
        bulk(&mut a, &mut b, WARM_UP, size).await.expect("moves");
        let rate = allocations_per_packet!(bulk(&mut a, &mut b, COUNTED, size));
        assert!(rate < most, "writes of {size} bytes: {rate} per packet");
    }
}
