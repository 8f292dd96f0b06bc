//! A congestion control of one's own: a window of fixed size, as some experiments use.
//!
//! ```text
//! cargo run --example custom_congestion_control -p millstream
//! ```

use std::time::Duration;

use millstream::congestion::{AckSample, Algorithm, Congestion, CongestionEvent, Instant};
use millstream::{CongestionControl, Stack, device};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[derive(Debug)]
struct Fixed {
    window: u32,
}

static FIXED: Algorithm = Algorithm::new("fixed", |_initial_window, mss| {
    Box::new(Fixed { window: 20 * mss })
});

impl Congestion for Fixed {
    fn name(&self) -> &'static str {
        FIXED.name
    }

    fn cwnd(&self) -> u32 {
        self.window
    }

    fn ssthresh(&self) -> u32 {
        u32::MAX
    }

    fn on_ack(&mut self, _sample: &AckSample) {}

    fn on_congestion(&mut self, _event: &CongestionEvent) {}

    fn on_rto(&mut self, _now: Instant, _flight: u32, _first: bool) {}

    fn undo(&mut self, _now: Instant) {}

    fn on_idle_restart(&mut self, _now: Instant, _timeouts: u32) {}

    fn set_mss(&mut self, mss: u32) {
        self.window = 20 * mss;
    }

    fn pacing_rate(&self, _srtt: Option<Duration>) -> Option<u64> {
        None
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (near, far) = device::pair();
    let server = Stack::builder()
        .device(near)
        .address("10.0.0.1/24")
        .build()?;
    let client = Stack::builder()
        .device(far)
        .address("10.0.0.2/24")
        .config(|config| config.socket.congestion = CongestionControl::Custom(&FIXED))
        .build()?;

    let listener = server.listen("10.0.0.1:9").await?;
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut data = Vec::new();
        stream.read_to_end(&mut data).await
    });

    let mut stream = client.connect("10.0.0.1:9").await?;
    stream.write_all(&vec![0; 10_000_000]).await?;
    let info = stream.info()?;
    stream.shutdown().await?;
    println!(
        "{} bytes arrived with a window of {} bytes",
        received.await??,
        info.cwnd
    );
    assert_eq!(stream.options()?.congestion.name(), "fixed");
    Ok(())
}
