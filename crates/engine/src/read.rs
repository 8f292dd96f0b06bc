//! What a read finds.

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Data(usize),
    /// The peer has closed and everything has been read, or this side shut down reading.
    Eof,
    /// Nothing yet.
    WouldBlock,
}
