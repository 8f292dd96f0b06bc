//! Stacks for tokio over impaired devices, on a paused clock.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use millstream::device::{Device, Pair};
use millstream::{Stack, TcpStream};
use millstream_netsim::device::pair;
use millstream_netsim::{Impaired, LinkConfig, MtuLimit, Schedule, Seed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

/// Two stacks and the link between them.
struct Ends {
    left: Stack,
    right: Stack,
    link: Arc<Impaired<Pair>>,
}

fn stack(device: impl Device, address: &str, seed: u8) -> Stack {
    let builder = Stack::builder().device(device).address(address);
    builder.seed([seed; 32]).build().expect("can be built")
}

fn ends(config: impl Into<Schedule>, seed: impl Into<Seed>) -> Ends {
    let config = config.into();
    let (left, right) = pair(config.clone(), config, seed);
    let link = Arc::new(left);
    Ends {
        left: stack(Arc::clone(&link), "10.0.0.1/24", 1),
        right: stack(right, "10.0.0.2/24", 2),
        link,
    }
}

impl Ends {
    async fn connect(&self) -> io::Result<(TcpStream, TcpStream)> {
        let listener = self.right.listen("10.0.0.2:7").await?;
        let client = self.left.connect("10.0.0.2:7").await?;
        let (server, _) = listener.accept().await?;
        Ok((client, server))
    }

    async fn transfer(&self, data: &[u8]) -> io::Result<Vec<u8>> {
        let (mut client, mut server) = self.connect().await?;
        let send = async {
            client.write_all(data).await?;
            client.shutdown().await
        };
        let mut received = Vec::new();
        let (sent, read) = tokio::join!(send, server.read_to_end(&mut received));
        sent?;
        read?;
        Ok(received)
    }
}

fn pattern(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

#[tokio::test(start_paused = true)]
async fn a_megabyte_crosses_a_lossy_link_in_virtual_time() -> io::Result<()> {
    let config = LinkConfig::new().rate(20_000_000).delay(20 * MS).loss(0.01);
    let ends = ends(config, 1);
    let data = pattern(1 << 20);
    let began = Instant::now();
    let received = ends.transfer(&data).await?;
    assert!(
        received == data,
        "the received bytes differ from the sent ones"
    );
    let stats = ends.link.outgoing();
    assert!(stats.lost > 0, "{stats:?}");
    // 8 Mbit at 20 Mbit/s.
    assert!(began.elapsed() > 419 * MS, "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_transfer_succeeds_with_any_seed() -> io::Result<()> {
    let config = LinkConfig::new().delay(5 * MS).loss(0.05).duplication(0.05);
    let ends = ends(config, Seed::from_env());
    let data = pattern(100_000);
    assert!(ends.transfer(&data).await? == data);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_takes_the_configured_delay() -> io::Result<()> {
    let ends = ends(LinkConfig::new().delay(50 * MS), 1);
    let (mut client, mut server) = ends.connect().await?;
    for _ in 0..5 {
        let began = Instant::now();
        client.write_all(b"ping").await?;
        server.read_exact(&mut [0; 4]).await?;
        server.write_all(b"pong").await?;
        client.read_exact(&mut [0; 4]).await?;
        let took = began.elapsed();
        assert!((100 * MS..=102 * MS).contains(&took), "{took:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cut_and_mended_link_delays() -> io::Result<()> {
    let ends = ends(LinkConfig::new().delay(MS), 1);
    let (mut client, mut server) = ends.connect().await?;
    ends.link.configure_outgoing(LinkConfig::cut);
    client.write_all(b"late").await?;
    let mut buf = [0; 4];
    let early = tokio::time::timeout(10_000 * MS, server.read_exact(&mut buf)).await;
    assert!(early.is_err(), "nothing passes a cut link");
    ends.link.configure_outgoing(LinkConfig::mended);
    server.read_exact(&mut buf).await?;
    assert_eq!(&buf, b"late");
    assert!(ends.link.outgoing().cut > 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_stack_learns_the_path_mtu() -> io::Result<()> {
    let ends = ends(LinkConfig::new().delay(MS).mtu(MtuLimit::Icmp(1200)), 1);
    let data = pattern(50_000);
    let began = Instant::now();
    assert!(ends.transfer(&data).await? == data);
    assert!(ends.link.outgoing().too_big > 0);
    assert!(
        began.elapsed() < 1000 * MS,
        "an ICMP message, not a timeout"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn sent_packets_still_arrive_after_the_device_is_dropped() -> io::Result<()> {
    let (left, right) = pair(LinkConfig::new().delay(30 * MS), LinkConfig::new(), 1);
    left.try_send(&[io::IoSlice::new(b"last words")])?;
    drop(left);
    let began = Instant::now();
    std::future::poll_fn(|cx| right.poll_recv_ready(cx)).await?;
    let mut buf = [0; 64];
    let len = right.try_recv(&mut buf)?;
    assert_eq!(&buf[..len], b"last words");
    assert!(began.elapsed() >= 30 * MS);
    let end = std::future::poll_fn(|cx| right.poll_recv_ready(cx)).await;
    assert_eq!(
        end.expect_err("the device is gone").kind(),
        io::ErrorKind::BrokenPipe
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_device_is_reported_after_its_last_packet() -> io::Result<()> {
    let (left, right) = pair(LinkConfig::new(), LinkConfig::new().delay(30 * MS), 1);
    right.try_send(&[io::IoSlice::new(b"last words")])?;
    drop(right);
    std::future::poll_fn(|cx| left.poll_recv_ready(cx)).await?;
    let mut buf = [0; 64];
    assert_eq!(left.try_recv(&mut buf)?, 10);
    let end = std::future::poll_fn(|cx| left.poll_recv_ready(cx)).await;
    assert_eq!(
        end.expect_err("the device is gone").kind(),
        io::ErrorKind::BrokenPipe
    );
    Ok(())
}

/// A packet that crosses the link while the executor is blocked keeps its time of arrival, and is
/// read before timers fire.
#[tokio::test(start_paused = true)]
async fn a_blocked_executor_does_not_lengthen_the_measured_round_trip() {
    let link = LinkConfig::new().delay(20 * MS);
    let ends = ends(link, 1);
    let (mut client, _server) = ends.connect().await.expect("connects");
    client.write_all(&[7; 1000]).await.expect("writes");
    // The reply to the last of three is on its way back.
    tokio::time::sleep(150 * MS).await;
    client.write_all(&[7; 10_000]).await.expect("writes");
    tokio::time::sleep(30 * MS).await;
    tokio::time::advance(500 * MS).await;
    tokio::time::sleep(MS).await;
    let info = client.info().expect("has information");
    assert_eq!(info.bytes_in_flight, 0);
    assert!(info.rtt < Some(50 * MS), "{info:?}");
    assert_eq!(ends.left.counters().segments_retransmitted, 0);
}
