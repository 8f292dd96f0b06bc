//! Names of connections, listeners, attempts to connect and UDP sockets. The name of a removed object never
//! matches a new one.

/// Names one connection of a [`Stack`](crate::Stack).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnectionId {
    /// A small number, unique among the existing connections: an index for the driver's own tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// Names one listener of a [`Stack`](crate::Stack).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ListenerId {
    /// A small number, unique among the existing listeners: an index for the driver's own tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// Names an attempt to connect, reported by a listener for [every
/// address](crate::Stack::listen_any).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Names one UDP socket of a [`Stack`](crate::Stack).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UdpId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl UdpId {
    /// A small number, unique among the existing sockets: an index for the driver's own tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}
