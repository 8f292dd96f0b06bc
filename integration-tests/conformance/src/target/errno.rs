//! The errors of the socket interface.

use std::fmt;

/// An error number, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of errno(3)")]
pub enum Errno {
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAGAIN,
    EALREADY,
    EBADF,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENETUNREACH,
    ENOENT,
    ENOTCONN,
    EPIPE,
    ETIMEDOUT,
}

impl Errno {
    const ALL: [Self; 17] = [
        Self::EADDRINUSE,
        Self::EADDRNOTAVAIL,
        Self::EAGAIN,
        Self::EALREADY,
        Self::EBADF,
        Self::ECONNABORTED,
        Self::ECONNREFUSED,
        Self::ECONNRESET,
        Self::EHOSTUNREACH,
        Self::EINPROGRESS,
        Self::EINVAL,
        Self::EISCONN,
        Self::ENETUNREACH,
        Self::ENOENT,
        Self::ENOTCONN,
        Self::EPIPE,
        Self::ETIMEDOUT,
    ];

    /// The error with this name, if it is in the list.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|errno| errno.is_named(name))
    }

    /// The error with this number on Linux, if it is in the list.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|errno| errno.number() == number)
    }

    /// The number on Linux.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::ENOENT => 2,
            Self::EBADF => 9,
            Self::EAGAIN => 11,
            Self::EINVAL => 22,
            Self::EPIPE => 32,
            Self::EADDRINUSE => 98,
            Self::EADDRNOTAVAIL => 99,
            Self::ENETUNREACH => 101,
            Self::ECONNABORTED => 103,
            Self::ECONNRESET => 104,
            Self::EISCONN => 106,
            Self::ENOTCONN => 107,
            Self::ETIMEDOUT => 110,
            Self::ECONNREFUSED => 111,
            Self::EHOSTUNREACH => 113,
            Self::EALREADY => 114,
            Self::EINPROGRESS => 115,
        }
    }

    /// Whether a script's name denotes this error; EWOULDBLOCK is another name for EAGAIN.
    #[must_use]
    pub fn is_named(self, name: &str) -> bool {
        name == self.to_string() || (self == Self::EAGAIN && name == "EWOULDBLOCK")
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
