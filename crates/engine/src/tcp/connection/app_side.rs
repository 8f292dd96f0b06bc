//! The application's side of a connection: what it has asked for, what it has to be told, and the
//! failure that it has not seen yet.

use crate::error::ConnectionError;
use crate::event::Readiness;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct AppSide {
    /// Events the application has not been told of.
    pub(crate) readiness: Readiness,
    /// The application sees IPv4 addresses as mapped into IPv6 (an IPv6 listener took the
    /// connection).
    pub(crate) mapped: bool,
    /// The application has released the connection, which finishes by itself.
    pub(crate) orphan: bool,
    /// The application will not read any more.
    pub(crate) read_shutdown: bool,
    /// The port table counts this connection as one that shares its port (`SO_REUSEADDR`).
    pub(crate) reuse: bool,
    /// The stack chose the port, for this destination.
    pub(crate) port_chosen: bool,
    /// The reason why the connection failed, until the application is told.
    pub(crate) error: Option<ConnectionError>,
    /// Whether the failure has been reported.
    pub(crate) error_reported: bool,
    /// An error that did not end the connection (RFC 9293 MUST-47).
    pub(crate) soft_error: Option<ConnectionError>,
}

impl AppSide {
    /// The failure, reported once (SO_ERROR).
    pub(crate) fn take_error(&mut self) -> Option<ConnectionError> {
        let error = self.error.take();
        self.error_reported |= error.is_some();
        error
    }

    /// The application will read no more. Data already received is dropped; later data is answered
    /// as on Linux.
    pub(crate) fn shutdown_read(&mut self) {
        self.read_shutdown = true;
        self.readiness |= Readiness::READABLE;
    }
}
