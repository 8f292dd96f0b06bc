//! The errors reported to applications, in the words of `strerror`.

use std::io;

use millstream_engine::{BindError, ConnectError, ConnectionError, WriteError};

pub(crate) fn of_connection(error: ConnectionError) -> String {
    match error {
        ConnectionError::Refused => "Connection refused",
        ConnectionError::Reset => "Connection reset by peer",
        ConnectionError::TimedOut => "Connection timed out",
        ConnectionError::HostUnreachable => "No route to host",
        ConnectionError::NetworkUnreachable => "Network is unreachable",
        ConnectionError::Aborted => "Software caused connection abort",
        ConnectionError::BrokenPipe => "Broken pipe",
        other => return other.to_string(),
    }
    .to_owned()
}

pub(crate) fn of_bind(error: BindError) -> String {
    match error {
        BindError::AddrInUse(_) | BindError::NoPortFree => "Address already in use",
        BindError::AddrNotAvailable(_) => "Cannot assign requested address",
        BindError::InvalidAddress(_) => "Invalid argument",
        other => return other.to_string(),
    }
    .to_owned()
}

pub(crate) fn of_connect(error: ConnectError) -> String {
    match error {
        ConnectError::AddrInUse { .. } | ConnectError::AddrNotAvailable(_) => {
            "Cannot assign requested address"
        }
        ConnectError::NetworkUnreachable(_) => "Network is unreachable",
        ConnectError::Refused(_) => "Connection refused",
        ConnectError::InvalidDestination(_)
        | ConnectError::OtherShare { .. }
        | ConnectError::FamilyMismatch { .. }
        | ConnectError::InvalidOption(_) => "Invalid argument",
        other => return other.to_string(),
    }
    .to_owned()
}

pub(crate) fn of_write(error: WriteError) -> String {
    match error {
        WriteError::Connection(error) => of_connection(error),
        WriteError::BrokenPipe | WriteError::Shutdown => "Broken pipe".to_owned(),
        WriteError::NotConnected => "Transport endpoint is not connected".to_owned(),
        other => other.to_string(),
    }
}

pub(crate) fn of_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "Address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "Cannot assign requested address".to_owned(),
        io::ErrorKind::ConnectionRefused => of_connection(ConnectionError::Refused),
        io::ErrorKind::ConnectionReset => of_connection(ConnectionError::Reset),
        io::ErrorKind::TimedOut => of_connection(ConnectionError::TimedOut),
        _ => error.to_string(),
    }
}
