//! Errors of parsing.

use thiserror::Error;

/// Why bytes from the network could not be parsed; one variant per reason, so that drops can be
/// counted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes end before the header does.
    #[error("header truncated")]
    Truncated,
    /// The IP version is neither 4 nor 6, or not the requested one.
    #[error("unexpected IP version")]
    Version,
    /// A header-length field below the fixed header or beyond the bytes (IPv4 IHL, TCP data
    /// offset).
    #[error("bad header length")]
    HeaderLength,
    /// The IP total or payload length is below the header or beyond the bytes.
    #[error("bad total length")]
    TotalLength,
    /// A checksum does not match.
    #[error("bad checksum")]
    Checksum,
    /// An option's length is below its own header or beyond the options.
    #[error("bad option length")]
    OptionLength,
    /// An unknown IPv6 option that must be understood (RFC 8200 4.2).
    #[error("unrecognised option that forbids processing")]
    UnknownOption,
    /// More IPv6 extension headers than the parser follows, or a hop-by-hop header that is not the
    /// first.
    #[error("bad chain of extension headers")]
    ExtensionHeaders,
    /// An IPv6 routing header with further segments to visit (RFC 5095, RFC 8200 4.4).
    #[error("routing header with segments left")]
    RoutingHeader,
    /// A fragment that ends beyond 65535 bytes, or one other than the last whose length is not a
    /// multiple of 8 bytes.
    #[error("bad fragment")]
    Fragment,
    /// An unknown generic-segmentation type (virtio-net).
    #[error("unknown segmentation type")]
    GsoType,
}
