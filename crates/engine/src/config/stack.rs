//! The configuration of a whole stack.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::{Route, Share, SocketOptions};
use crate::ip::cidr::Cidr;

/// Everything a [`Stack`](crate::Stack) is told when it is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The stack's own addresses. Packets to other destinations are dropped, but for those of connections to a
    /// [listener of every address](crate::Stack::listen_any).
    pub addresses: Vec<Cidr>,
    /// Destinations that can be reached through the device. Empty means all of them.
    pub routes: Vec<Route>,
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

impl Config {
    setters! {
        addresses: Vec<Cidr>,
        routes: Vec<Route>,
        mtu: usize,
        offload: Offload,
        ephemeral_ports: RangeInclusive<u16>,
        msl: Duration,
        max_time_wait: usize,
        max_orphans: usize,
        fin_timeout: Duration,
        time_wait_reset: bool,
        challenge_ack_interval: Duration,
        syn_cookies: SynCookies,
        icmp_rate: u32,
        share: Share,
        mtu_probing: MtuProbing,
        receive_block: usize,
        memory: usize,
        socket: SocketOptions,
    }
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
#[non_exhaustive]
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
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Offload {
    /// Payload bytes of the largest TCP segment the device cuts into packets by itself
    /// (segmentation offload). Zero: every segment must fit the MTU.
    pub max_segment: usize,
    /// The device completes the TCP checksum: only the pseudo-header's sum is written.
    pub transmit_checksum: bool,
}

impl Offload {
    setters! {
        max_segment: usize,
        transmit_checksum: bool,
    }
}
