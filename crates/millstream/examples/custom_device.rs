//! A device of one's own: it wraps another one and loses every tenth packet that is sent.
//!
//! ```text
//! cargo run --example custom_device -p millstream
//! ```

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use millstream::device::{Capabilities, Device};
use millstream::{Stack, device};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

struct Lossy<D> {
    inner: D,
    sent: AtomicU64,
}

impl<D: Device> Device for Lossy<D> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_recv_ready(cx)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.try_recv(buf)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_send_ready(cx)
    }

    fn try_send(&self, frame: &[IoSlice<'_>]) -> io::Result<()> {
        if self.sent.fetch_add(1, Ordering::Relaxed) % 10 == 9 {
            return Ok(());
        }
        self.inner.try_send(frame)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (near, far) = device::pair();
    let lossy = Lossy {
        inner: far,
        sent: AtomicU64::new(0),
    };
    let server = Stack::builder()
        .device(near)
        .address("10.0.0.1/24")
        .build()?;
    let client = Stack::builder()
        .device(lossy)
        .address("10.0.0.2/24")
        .build()?;

    let listener = server.listen("10.0.0.1:9").await?;
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut data = Vec::new();
        stream.read_to_end(&mut data).await?;
        io::Result::Ok(data)
    });

    let data: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let mut stream = client.connect("10.0.0.1:9").await?;
    stream.write_all(&data).await?;
    stream.shutdown().await?;
    assert_eq!(received.await??, data);
    let resent = stream.info()?.total_retrans;
    println!("1,000,000 bytes arrived; {resent} segments were sent again");
    assert!(resent > 0);
    Ok(())
}
