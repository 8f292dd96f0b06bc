//! The result of a read.

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Number of bytes read.
    Data(usize),
    /// The peer has closed and everything has been read, or this side shut down reading.
    Eof,
    /// No data yet.
    WouldBlock,
}
