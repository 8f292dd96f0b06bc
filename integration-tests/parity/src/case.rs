//! One case, and what it has seen.

use std::io;
use std::task::Poll;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::io::Ready;

/// What a case has seen, in order.
pub type Seen = Vec<String>;

/// One behaviour: a function of a world `W`.
pub struct Case<W> {
    /// The file in which it is written.
    pub theme: &'static str,
    /// The name of its function.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&W) -> LocalBoxFuture<'_, Seen>,
}

/// The cases of a file, by the names of their functions.
#[macro_export]
macro_rules! cases {
    ($theme:literal: $($name:ident),* $(,)?) => {
        /// The cases of this file.
        pub(super) fn cases() -> Vec<$crate::case::Case<super::World>> {
            vec![$($crate::case::Case {
                theme: $theme,
                name: stringify!($name),
                run: |at| Box::pin($name(at)),
            }),*]
        }
    };
}

/// What the values say, in order.
#[macro_export]
macro_rules! seen {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::case::Said::said(&$value)),*]
    };
}

/// A value of which a case makes a note.
pub trait Said {
    /// The note.
    fn said(&self) -> String;
}

impl<T: Said> Said for io::Result<T> {
    fn said(&self) -> String {
        match self {
            Ok(value) => value.said(),
            Err(error) => error.said(),
        }
    }
}

impl Said for io::Error {
    fn said(&self) -> String {
        match self.raw_os_error() {
            // It comes either from the kernel, with a number, or from tokio itself, without one.
            _ if self.kind() == io::ErrorKind::WouldBlock => "would block".to_owned(),
            Some(errno) => format!("{:?} ({errno})", self.kind()),
            None => format!("{:?}", self.kind()),
        }
    }
}

impl<T: Said> Said for Poll<T> {
    fn said(&self) -> String {
        match self {
            Self::Ready(value) => value.said(),
            Self::Pending => "waits".to_owned(),
        }
    }
}

impl<T: Said> Said for Option<T> {
    fn said(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Said::said)
    }
}

impl Said for () {
    fn said(&self) -> String {
        "ok".to_owned()
    }
}

impl Said for bool {
    fn said(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

impl Said for &str {
    fn said(&self) -> String {
        (*self).to_owned()
    }
}

impl Said for String {
    fn said(&self) -> String {
        self.clone()
    }
}

macro_rules! said_as_debug {
    ($($type:ty),*) => {$(
        impl Said for $type {
            fn said(&self) -> String {
                format!("{self:?}")
            }
        }
    )*};
}

said_as_debug!(i32, usize, u32, Duration, io::ErrorKind);

impl Said for Ready {
    fn said(&self) -> String {
        let parts = [
            (Self::READABLE, "readable"),
            (Self::WRITABLE, "writable"),
            (Self::READ_CLOSED, "read closed"),
            (Self::WRITE_CLOSED, "write closed"),
            (Self::PRIORITY, "priority"),
            (Self::ERROR, "error"),
        ];
        let has = |part: Self| !(*self & part).is_empty();
        let parts: Vec<_> = parts.iter().filter(|(part, _)| has(*part)).collect();
        let names: Vec<_> = parts.iter().map(|(_, name)| *name).collect();
        names.join(" + ")
    }
}
