//! What a caller may choose: for the whole stack ([`Config`]) and for one socket ([`SocketOptions`]).

pub(crate) mod limits;

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::host::Share;
use crate::tcp::congestion::Algorithm;

/// Everything a [`Stack`](crate::Stack) is told when it is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// The stack's own addresses. Packets to other destinations are dropped, but for those of connections to a
    /// [listener of every address](crate::Stack::listen_any).
    pub addresses: Vec<Cidr>,
    /// Destinations that can be reached through the device. Empty means all of them.
    pub routes: Vec<Cidr>,
    /// Largest IP packet the device carries, in bytes. At least 576; 1280 where IPv6 is used.
    pub mtu: usize,
    /// What the device does for us.
    pub offload: Offload,
    /// Ports given to sockets that did not ask for one (RFC 6056; Linux's range by default).
    pub ephemeral_ports: RangeInclusive<u16>,
    /// Maximum segment lifetime. A connection stays in TIME-WAIT for twice as long (RFC 9293 3.6.1).
    pub msl: Duration,
    /// TIME-WAIT connections kept at the most; beyond it the new one is closed at once.
    pub max_time_wait: usize,
    /// Connections without an application kept at the most: closed, and with something still to
    /// deliver. Beyond it, when one more is closed, the one is reset whose peer has taken nothing
    /// for longest. The connection just closed is reset only if its own peer takes nothing while
    /// those of all others do.
    pub max_orphans: usize,
    /// How long FIN-WAIT-2 lasts where the application has let go (Linux's `tcp_fin_timeout`). Such
    /// connections are records as those in TIME-WAIT are, and count among `max_time_wait`.
    pub fin_timeout: Duration,
    /// End a connection in TIME-WAIT when an exact RST arrives (Linux's default). `false` ignores
    /// every RST in TIME-WAIT (RFC 1337).
    pub time_wait_reset: bool,
    /// Answers to suspicious segments (RFC 5961 section 7, and out-of-window segments): at most
    /// one per connection in this time. Zero does not limit.
    pub challenge_ack_interval: Duration,
    /// When a SYN is answered without keeping anything of it.
    pub syn_cookies: SynCookies,
    /// ICMP messages sent per second, at the most (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
    pub icmp_rate: u32,
    /// The four-tuples that are this stack's, if several stacks are one host.
    pub share: Share,
    /// When the size of segments that a path carries is searched for.
    pub mtu_probing: MtuProbing,
    /// Bytes of the blocks of memory of which the packets that arrive are parts. Payload that waits to be read keeps all of its
    /// block alive; where it is less than half of that it is copied in
    /// [`compact`](crate::Stack::compact), for which zero, the default, says that each packet has memory of its own.
    pub receive_block: usize,
    /// Bytes of memory that the payload of all connections may keep alive together, as the allocator counts them: what waits to
    /// be read, what is out of order, what is not acknowledged, and what it takes to keep account of that. From three quarters of it
    /// on buffers no longer grow; beyond it connections are offered little room and keep little out of order, but
    /// nothing that was offered is taken back (RFC 9293 3.8.6, SHLD-14), and so more may come. Once it is a quarter more,
    /// what comes is dropped, for the peer to send again, where a connection holds 16 KiB unread. So what is held never
    /// exceeds five quarters of this, the largest packet, and 32 KiB for each direction of each connection: 16 KiB of payload,
    /// and as much of memory that is not filled yet.
    ///
    /// A process holds besides: for each connection its record (a kilobyte) and what the scoreboard says of segments in flight; for
    /// each device the packets that it has just read (a few hundred KiB) and memory that is kept to be used again, at most
    /// 12 MiB and about a tenth of this. Altogether that stays below one and a half times this and the 64 KiB of each connection.
    /// What an application hands in as `Bytes` without a copy counts by its length.
    ///
    /// From three quarters on a writer whose data does not move, for a closed window or
    /// retransmissions that bring nothing, has 16 KiB of room: the last quarter is for connections
    /// that move. When all is used up, connections whose last three window probes brought nothing,
    /// or half of their `retries2` retransmissions, are reset, the application's error being
    /// [`TimedOut`](crate::ConnectionError::TimedOut), until a quarter is free again: those first
    /// that no application holds, and that have stood still for longest.
    pub memory: usize,
    /// What sockets start with.
    pub socket: SocketOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            routes: Vec::new(),
            mtu: 1500,
            offload: Offload::default(),
            ephemeral_ports: 32_768..=60_999,
            msl: Duration::from_secs(30),
            max_time_wait: 1 << 20,
            max_orphans: 1 << 16,
            fin_timeout: Duration::from_secs(60),
            time_wait_reset: true,
            challenge_ack_interval: Duration::from_millis(500),
            syn_cookies: SynCookies::default(),
            icmp_rate: 1000,
            share: Share::WHOLE,
            mtu_probing: MtuProbing::default(),
            receive_block: 0,
            memory: 1 << 30,
            socket: SocketOptions::default(),
        }
    }
}

/// When a listener answers a SYN with a cookie and keeps nothing of it (RFC 4987 3.6; Linux's `tcp_syncookies`). The connection
/// has a segment size of one of eight then, and window scaling, SACK and ECN only if it has timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SynCookies {
    /// Never: SYNs that find no room for one more half-open connection are dropped.
    Off,
    /// Where there is no room: a flood of SYNs keeps nobody out. A [listener of every
    /// address](crate::Stack::listen_any) answers so from half of its backlog on.
    #[default]
    InFlood,
    /// Always.
    Always,
}

/// When the size of segments that a path carries is searched for, by what gets through (RFC 4821, RFC 8899; Linux's
/// `tcp_mtu_probing`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MtuProbing {
    /// Never: a path that drops what is too large without a word is a dead one.
    Off,
    /// Where full segments vanish again and again.
    #[default]
    BlackHoles,
    /// From the beginning of every connection, which sends segments of 1024 bytes until larger ones have got through.
    Always,
}

/// What the device takes off the stack's hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Payload bytes of the largest TCP segment the device cuts into packets by itself
    /// (segmentation offload). Zero: every segment must fit the MTU.
    pub max_segment: usize,
    /// The device completes the TCP checksum: only the pseudo-header's sum is written.
    pub transmit_checksum: bool,
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address. Host bits may be set.
    pub address: IpAddr,
    /// Prefix length in bits: at most 32 or 128.
    pub prefix: u8,
}

impl Cidr {
    /// An address with a prefix length, which is cut to the family's width.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let width = if address.is_ipv4() { 32 } else { 128 };
        Self {
            address,
            prefix: prefix.min(width),
        }
    }

    /// Whether `other` lies in this network.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(network), IpAddr::V4(host)) => {
                let differing = network.to_bits() ^ host.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(host)) => {
                let differing = network.to_bits() ^ host.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }

    /// The network's directed broadcast address, where it has one (IPv4 with at least two host bits).
    #[must_use]
    pub fn broadcast(&self) -> Option<IpAddr> {
        match self.address {
            IpAddr::V4(address) if self.prefix <= 30 => {
                let hosts = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                Some(IpAddr::V4((address.to_bits() | hosts).into()))
            }
            _ => None,
        }
    }
}

/// What an application may set on one socket; a connection that was accepted starts with its
/// listener's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Send small segments at once (`TCP_NODELAY`): Nagle's algorithm off (RFC 9293 3.7.4,
    /// MUST-17).
    pub nodelay: bool,
    /// Hold back segments that are not full until this is cleared or 200 ms pass (`TCP_CORK`).
    pub cork: bool,
    /// Probing of idle connections; `None` is off, the default (RFC 9293 3.8.4,
    /// MUST-24, MUST-25, MAY-5).
    pub keepalive: Option<Keepalive>,
    /// How long data may stay unacknowledged before the connection is given up (RFC 5482, RFC 9293
    /// 3.8.3 R2, MUST-21), also while the peer's window is closed and it answers every probe of
    /// that, for which there is no other limit (MUST-37) as long as the stack has memory. `None`:
    /// by `retries`.
    pub user_timeout: Option<Duration>,
    /// What dropping a stream does with what is not sent: `Some(ZERO)` discards it and resets.
    pub linger: Option<Duration>,
    /// Bytes the application may write ahead of what the peer acknowledged, at first.
    pub send_buffer: usize,
    /// What that grows to where the congestion window calls for it. The size is fixed if this is not more.
    pub send_buffer_max: usize,
    /// Bytes received and not yet read at the most, at first; bounds the window offered.
    pub receive_buffer: usize,
    /// What that grows to where the application reads as fast as the peer can send. It
    /// decides on the window scale. The size is fixed if this is not more.
    pub receive_buffer_max: usize,
    /// Bytes that have to wait for the reader before the connection counts as readable (`SO_RCVLOWAT`). At the end of the
    /// stream, after a failure, and where no more has room, less is enough; a read takes what there is.
    pub receive_low_water: usize,
    /// Upper bound of the segment size, offered and used (`TCP_MAXSEG`).
    pub max_segment_size: Option<u16>,
    /// The traffic class or type-of-service byte without its two ECN bits (RFC 9293 3.9.1.9,
    /// MUST-48, SHLD-21).
    pub tos: u8,
    /// Time to live, or hop limit (RFC 9293 3.9.2, MUST-49).
    pub hop_limit: u8,
    /// SYN retransmissions before connecting fails (Linux's `tcp_syn_retries`; RFC 9293 MUST-23).
    pub syn_retries: u8,
    /// SYN-ACK retransmissions before a half-open connection is forgotten.
    pub syn_ack_retries: u8,
    /// Retransmissions after which trouble is reported as a soft error (RFC 9293 3.8.3 R1,
    /// SHLD-10).
    pub retries1: u8,
    /// Retransmissions after which the connection is given up (RFC 9293 3.8.3 R2, MUST-21, SHLD-11);
    /// [`FOR_EVER`](Self::FOR_EVER) is never.
    pub retries2: u8,
    /// Retransmission timeout before the first measurement (RFC 6298 2.1).
    pub initial_rto: Duration,
    /// Lower bound of the retransmission timeout.
    pub min_rto: Duration,
    /// Upper bound of the retransmission timeout.
    pub max_rto: Duration,
    /// Offer and use timestamps (RFC 7323).
    pub timestamps: bool,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: EcnMode,
    /// Offer and use selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Report what arrives twice, where there is SACK (D-SACK, RFC 2883; Linux's `tcp_dsack`).
    pub dsack: bool,
    /// Offer and use window scaling (RFC 7323).
    pub window_scaling: bool,
    /// How long an acknowledgment may wait for company (RFC 9293 3.8.6.3, MUST-40); below 500 ms.
    pub delayed_ack: Duration,
    /// Segments in the initial window (RFC 6928).
    pub initial_window: u8,
    /// After a silence the congestion window counts for less, down to the initial one (RFC 5681 4.1, RFC 2861; Linux's
    /// `tcp_slow_start_after_idle`).
    pub slow_start_after_idle: bool,
    /// Bytes by which the right edge of the window offered moves at the least. `None`: a full segment or half of the buffer (RFC
    /// 9293 3.8.6.2.2, MAY-8). `Some(1)`: each segment tells exactly what is free, as BSD has it; no segment is sent for
    /// that alone. More than half of the buffer, or of the largest window, counts as that half.
    pub window_step: Option<u32>,
    /// Loss is judged by time (RACK, RFC 8985; Linux's `tcp_recovery`). If not, by how much the peer holds out of
    /// order (RFC 6675). Without SACK three duplicates tell, either way.
    pub rack: bool,
    /// The end of a flight that stays unacknowledged is probed before the retransmission timer fires
    /// (TLP, RFC 8985 7; Linux's `tcp_early_retrans`).
    pub tail_loss_probe: bool,
    /// After a timeout, find out whether it was needed (F-RTO, RFC 5682; Linux's `tcp_frto`).
    pub frto: bool,
    /// The congestion control algorithm.
    pub congestion: CongestionControl,
    /// Space what is sent by the rate that the congestion control says (Linux's `fq`), in place of bursts as
    /// acknowledgments come. BBR always is.
    pub pacing: bool,
    /// Send no faster than so many bytes per second (`SO_MAX_PACING_RATE`); zero does not limit. It
    /// is also what bounds a peer that acknowledges data before it has come: the congestion window,
    /// here as on Linux, believes it as long as it was sent.
    pub max_pacing_rate: Option<u64>,
}

impl SocketOptions {
    /// As a number of retransmissions: no end to them.
    pub const FOR_EVER: u8 = u8::MAX;

    /// Bytes of the receive buffer from now on, whatever the path could use (`SO_RCVBUF`).
    pub fn fix_receive_buffer(&mut self, bytes: usize) {
        self.receive_buffer = bytes;
        self.receive_buffer_max = bytes;
    }

    /// Bytes of the send buffer from now on, whatever the path could use (`SO_SNDBUF`).
    pub fn fix_send_buffer(&mut self, bytes: usize) {
        self.send_buffer = bytes;
        self.send_buffer_max = bytes;
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            nodelay: false,
            cork: false,
            keepalive: None,
            user_timeout: None,
            linger: None,
            send_buffer: 1 << 20,
            send_buffer_max: 32 << 20,
            receive_buffer: 1 << 19,
            receive_buffer_max: 32 << 20,
            receive_low_water: 1,
            max_segment_size: None,
            tos: 0,
            hop_limit: 64,
            syn_retries: 6,
            syn_ack_retries: 5,
            retries1: 3,
            retries2: 15,
            initial_rto: Duration::from_secs(1),
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(120),
            timestamps: true,
            ecn: EcnMode::default(),
            sack: true,
            dsack: true,
            window_scaling: true,
            delayed_ack: Duration::from_millis(40),
            initial_window: 10,
            slow_start_after_idle: true,
            window_step: None,
            rack: true,
            tail_loss_probe: true,
            frto: true,
            congestion: CongestionControl::default(),
            pacing: false,
            max_pacing_rate: None,
        }
    }
}

/// Whether a connection uses explicit congestion notification (RFC 3168), by which routers mark packets
/// instead of dropping them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EcnMode {
    /// Never.
    Off,
    /// Where the peer asks for it (Linux's default).
    #[default]
    Passive,
    /// Our SYNs ask for it too. One that is not answered is sent again without, in case that the path drops
    /// what it does not know (RFC 3168 6.1.1.1).
    Active,
}

/// Keepalive's three numbers (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`;
/// RFC 9293 MUST-27, MUST-28).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes after which the connection is given up.
    pub count: u8,
}

impl Default for Keepalive {
    /// Linux's: 2 hours, 75 seconds, 9 probes.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7200),
            interval: Duration::from_secs(75),
            count: 9,
        }
    }
}

/// Which congestion control a connection runs. The names are those of `TCP_CONGESTION`: `reno`, `cubic` and `bbr`, and
/// that of an [`Algorithm`] from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionControl {
    /// NewReno (RFC 5681, RFC 6582).
    NewReno,
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    #[default]
    Cubic,
    /// BBR, version 3 (draft-ietf-ccwg-bbr): by a model of the path, and paced.
    Bbr,
    /// One from outside of the engine.
    Custom(&'static Algorithm),
}

impl CongestionControl {
    /// All that the engine has.
    pub const ALL: [Self; 3] = [Self::NewReno, Self::Cubic, Self::Bbr];

    /// The name that `TCP_CONGESTION` would show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Custom(algorithm) => algorithm.name,
        }
    }

    /// Whether the algorithm may have to know of the first flight when it goes out.
    pub(crate) const fn wants_first_flight(self) -> bool {
        matches!(self, Self::Bbr | Self::Custom(_))
    }

    /// The algorithm of the engine's with that name, or `None` if there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for CongestionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CongestionControl {
    type Err = UnknownCongestionControl;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name).ok_or(UnknownCongestionControl)
    }
}

/// No congestion control algorithm has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such congestion control algorithm")]
pub struct UnknownCongestionControl;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn congestion_controls_are_named_as_linux_names_them() {
        for kind in CongestionControl::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("cubic".parse(), Ok(CongestionControl::Cubic));
        assert_eq!(
            "vegas".parse::<CongestionControl>(),
            Err(UnknownCongestionControl)
        );
    }
}
