//! Samples of `TCP_INFO` from the sender's stack during a flow, from the kernel or from millstream.

use std::io;

use millstream_testbed::tcp_info;
use tokio::time::Instant;

/// One sample of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Seconds since the SYN.
    pub(super) at: f64,
    /// The congestion window in bytes.
    pub(super) cwnd: u64,
    /// Bytes acknowledged.
    pub(super) acked: u64,
    /// Bytes retransmitted.
    pub(super) again: u64,
    /// Segments that the receiver reported as duplicates.
    pub(super) spurious: u64,
}

/// A connection that can be sampled.
pub(super) trait Witness {
    /// Takes a sample of the connection, which began at `began`.
    fn look(&self, began: Instant) -> io::Result<Look>;
}

impl Witness for tokio::net::TcpStream {
    fn look(&self, began: Instant) -> io::Result<Look> {
        let info = tcp_info::of(self)?;
        Ok(Look {
            at: began.elapsed().as_secs_f64(),
            cwnd: u64::from(info.tcpi_snd_cwnd) * u64::from(info.tcpi_snd_mss),
            acked: info.tcpi_bytes_acked,
            again: info.tcpi_bytes_retrans,
            spurious: info.tcpi_dsack_dups.into(),
        })
    }
}

impl Witness for millstream::TcpStream {
    fn look(&self, began: Instant) -> io::Result<Look> {
        let info = self.info()?;
        Ok(Look {
            at: began.elapsed().as_secs_f64(),
            cwnd: info.cwnd.into(),
            acked: info.bytes_acked,
            again: info.bytes_retrans,
            spurious: info.dsack_dups.into(),
        })
    }
}
