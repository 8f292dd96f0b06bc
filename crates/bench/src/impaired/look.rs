//! What a sender's stack tells of a flow while it lasts: `TCP_INFO`, the kernel's or ours.

use std::io;

use millstream_integration_tests::tcp_info;
use tokio::time::Instant;

/// One look at a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Seconds since the SYN.
    pub(super) at: f64,
    /// The congestion window in bytes.
    pub(super) cwnd: u64,
    /// Bytes acknowledged.
    pub(super) acked: u64,
    /// Bytes sent again.
    pub(super) again: u64,
    /// Segments that the receiver reported to have received twice.
    pub(super) spurious: u64,
}

/// A connection that can be looked at.
pub(super) trait Witness {
    /// Looks at the connection, which began at `began`.
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
