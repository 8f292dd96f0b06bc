//! The configuration of a whole stack.

use std::ops::RangeInclusive;
use std::time::Duration;

use millstream_wire::tcp::MAX_HEADER_LEN;

use crate::cidr::Cidr;
use crate::config::{MemoryPool, Route, Share, SocketOptions};

/// The parameters of a [`Stack`](crate::Stack).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The stack's own addresses. Packets to other destinations are dropped, except those of
    /// connections to a [listener for every address](crate::Stack::listen_any).
    pub addresses: Vec<Cidr>,
    /// Destinations that can be reached through the device. Empty means all of them.
    pub routes: Vec<Route>,
    /// Largest IP packet that the device carries, in bytes. At least 576; at least 1280 if IPv6 is
    /// used.
    pub mtu: usize,
    /// The operations that the device performs for the stack.
    pub offload: Offload,
    /// Ports for sockets that request none (RFC 6056; Linux's range by default).
    pub ephemeral_ports: RangeInclusive<u16>,
    /// Maximum segment lifetime. A connection stays in TIME-WAIT for twice as long
    /// (RFC 9293 3.6.1).
    pub msl: Duration,
    /// Maximum number of TIME-WAIT connections; beyond it a new one is closed at once.
    pub max_time_wait: usize,
    /// Maximum number of orphans: connections that the application has closed and that still have
    /// data to deliver. When one more is closed beyond it, the connection is reset whose peer has
    /// accepted nothing for the longest time. The connection just closed is reset only if its own
    /// peer accepts nothing while those of all others do.
    pub max_orphans: usize,
    /// Duration of FIN-WAIT-2 after the application has released the connection (Linux's
    /// `tcp_fin_timeout`). Such connections are compact records like those in TIME-WAIT, and count
    /// towards `max_time_wait`.
    pub fin_timeout: Duration,
    /// Ends a connection in TIME-WAIT when an RST with the exact sequence number arrives (Linux's
    /// default). `false` ignores every RST in TIME-WAIT (RFC 1337).
    pub time_wait_reset: bool,
    /// Minimum interval between answers to suspicious segments (RFC 5961 section 7, and
    /// out-of-window segments) of one connection. Zero means no limit.
    pub challenge_ack_interval: Duration,
    /// When a SYN is answered without keeping a record of it.
    pub syn_cookies: SynCookies,
    /// Maximum number of ICMP messages sent per second (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
    pub icmp_rate: u32,
    /// The length of the queue in which packets wait for the stack, if packets beyond it are
    /// dropped, as by a TUN interface. Half of it is shared among the connections that receive
    /// data: each offers a window that its share and the path to its peer can hold. `None`, the
    /// default, means that nothing is dropped.
    pub receive_queue: Option<QueueLen>,
    /// The four-tuples that belong to this stack, if several stacks act as one host.
    pub share: Share,
    /// When the stack searches for the size of segments that a path carries.
    pub mtu_probing: MtuProbing,
    /// Size in bytes of the memory blocks of which arriving packets are parts. Payload that waits
    /// to be read keeps its whole block alive; payload that is less than half of its block is
    /// copied by [`compact`](crate::Stack::compact). Zero, the default, means that each packet has
    /// memory of its own.
    pub receive_block: usize,
    /// Bytes of memory that the payload of all connections together may keep alive, as the
    /// allocator counts them: unread data, out-of-order data, unacknowledged data, and the
    /// bookkeeping for it. Once three quarters are used, buffers stop growing; beyond the limit,
    /// connections are offered little room and keep little data out of order. Nothing that was
    /// offered is taken back (RFC 9293 3.8.6, SHLD-14), so more data may arrive. Beyond five
    /// quarters, received data is dropped, and retransmitted by the peer, on connections that hold
    /// 16 KiB unread. The total therefore never exceeds five quarters of this limit, the largest
    /// packet, and 32 KiB for each direction of each connection: 16 KiB of payload, and as much
    /// memory that is not filled yet.
    ///
    /// A process uses additional memory: for each connection its record (a kilobyte) and the
    /// scoreboard of the segments in flight; for each device the packets that it has just read (a
    /// few hundred KiB) and memory kept for reuse, at most 12 MiB and about a tenth of this limit.
    /// The total stays below one and a half times this limit plus 64 KiB for each connection. Data
    /// that an application passes as `Bytes` without a copy is counted by its length.
    ///
    /// Once three quarters are used, a writer whose data makes no progress, because of a closed
    /// window or retransmissions without success, has 16 KiB of room: the last quarter is reserved
    /// for connections that make progress. When all memory is used, connections whose last three
    /// window probes had no success, or half of their `retries2` retransmissions, are reset until a
    /// quarter is free again; the application's error is
    /// [`TimedOut`](crate::ConnectionError::TimedOut). Connections without an application, and
    /// those that have stalled for the longest time, are reset first.
    pub memory: usize,
    /// The account of the memory in use, if several stacks share the limit `memory`; each must have
    /// the same limit and a clone of the same pool. Any of them is under pressure when all of them
    /// together use too much, and each relieves its own connections.
    pub memory_pool: Option<MemoryPool>,
    /// The initial options of sockets.
    pub socket: SocketOptions,
}

impl Config {
    setters! {
        addresses: Vec<Cidr>,
        routes: Vec<Route>,
        mtu: usize,
        offload: Offload,
        receive_queue: Option<QueueLen>,
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
        memory_pool: Option<MemoryPool>,
        socket: SocketOptions,
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            routes: Vec::new(),
            mtu: 1500,
            receive_queue: None,
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
            memory_pool: None,
            socket: SocketOptions::default(),
        }
    }
}

/// When a listener answers a SYN with a cookie and keeps no record of it (RFC 4987 3.6; Linux's
/// `tcp_syncookies`). The connection then has one of eight segment sizes, and window scaling, SACK
/// and ECN only if it has timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SynCookies {
    /// Never: a SYN is dropped if there is no room for another half-open connection.
    Off,
    /// When there is no room: a flood of SYNs does not prevent other connections. A [listener for
    /// every address](crate::Stack::listen_any) answers with cookies once half of its backlog is
    /// used.
    #[default]
    InFlood,
    /// Always.
    Always,
}

/// When the stack searches for the size of segments that a path carries, by probing (RFC 4821,
/// RFC 8899; Linux's `tcp_mtu_probing`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MtuProbing {
    /// Never: a path that silently drops large packets cannot be used.
    Off,
    /// When full segments are lost repeatedly.
    #[default]
    BlackHoles,
    /// From the beginning of every connection, which sends segments of 1024 bytes until larger ones
    /// have arrived.
    Always,
}

/// The number of frames that a device's queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueLen {
    /// Each frame is a packet of at most the MTU.
    Packets(usize),
    /// A frame may be a super-segment of up to 64 KiB.
    SuperSegments(usize),
}

/// The operations that the device performs for the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offload {
    /// Payload bytes of the largest TCP segment that the device splits into packets (segmentation
    /// offload). Zero: every segment must fit the MTU.
    pub max_segment: usize,
    /// The device completes the TCP checksum: the stack writes only the sum of the pseudo-header.
    pub transmit_checksum: bool,
    /// The device completes the UDP checksum of datagrams that are not fragmented.
    pub datagram_checksum: bool,
    /// Payload bytes of the largest sequence of equal UDP datagrams that the device splits into
    /// packets. Zero: the stack splits them.
    pub max_datagrams: usize,
}

impl Offload {
    /// Payload bytes of the largest segment that a packet of 65,535 bytes carries, whatever its
    /// headers: more in [`max_segment`](field@Self::max_segment) makes no difference.
    pub const MAX_SEGMENT: usize = 65_535 - 40 - MAX_HEADER_LEN;

    setters! {
        max_segment: usize,
        transmit_checksum: bool,
        datagram_checksum: bool,
        max_datagrams: usize,
    }
}
