//! What `tokio::net` has and millstream cannot have.

/// One such thing: its name, the reason, and what to use instead.
pub struct Absent {
    /// What is absent.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
    /// What serves the purpose.
    pub instead: &'static str,
}

/// The methods among them, by type and name.
pub const METHODS: &[(&str, &str)] = &[
    ("TcpListener", "from_std"),
    ("TcpListener", "into_std"),
    ("TcpSocket", "from_std_stream"),
    ("TcpStream", "from_std"),
    ("TcpStream", "into_std"),
];

/// All of them.
pub const ABSENT: &[Absent] = &[
    Absent {
        what: "`TcpStream::from_std`, `TcpListener::from_std`, `TryFrom<std::net::..>`",
        why: "a socket of the standard library belongs to the kernel",
        instead: "`Stack::connect` and `Stack::listen`, or the same calls on the current stack",
    },
    Absent {
        what: "`TcpStream::into_std`, `TcpListener::into_std`",
        why: "the standard library holds a descriptor of the kernel",
        instead: "a task that copies between the stream and the blocking code \
                  (`tokio::io::copy_bidirectional`, `tokio_util::io::SyncIoBridge`)",
    },
    Absent {
        what: "`TcpSocket::from_std_stream`",
        why: "as above",
        instead: "`Stack::socket_v4`, `Stack::socket_v6` and the setters",
    },
    Absent {
        what: "`AsFd`, `AsRawFd`, `FromRawFd`, `IntoRawFd`",
        why: "a connection in user space has no descriptor",
        instead: "the methods for what one would do with the descriptor: `set_options` for \
                  `setsockopt`, `info` for `TCP_INFO`, `ready` for `poll`, `try_io` for a call of \
                  one's own",
    },
    Absent {
        what: "binding to an interface by name (`TcpSocket::bind_device`)",
        why: "a stack has one link, which has no name: every name gives `ENODEV`",
        instead: "a stack for each link; several may live in one process",
    },
];
