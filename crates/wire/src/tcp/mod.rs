//! TCP segments (RFC 9293 3.1): [`View`] to read, [`Header`] to emit, and the options of both.

mod flags;
mod header;
mod options;
mod sack;
#[cfg(test)]
mod tests;
mod view;

pub use flags::Flags;
pub use header::Header;
pub use options::{OptionIter, Options, TcpOption, Timestamps};
pub use sack::{SackBlock, SackBlocks};
pub use view::View;

/// Length of the header without options, in bytes.
pub const MIN_HEADER_LEN: usize = 20;
/// Maximum length of the header in bytes: 20, and 40 of options.
pub const MAX_HEADER_LEN: usize = 60;
/// Maximum length of the options in bytes.
pub const MAX_OPTIONS_LEN: usize = MAX_HEADER_LEN - MIN_HEADER_LEN;
/// Offset of the checksum field in the header, in bytes.
pub const CHECKSUM_OFFSET: usize = 16;
