//! The configuration: of the whole stack ([`Config`]), of one socket ([`SocketOptions`], for UDP
//! [`UdpOptions`]), and at any time of one connection ([`ConnectionOptions`]).
//!
//! A new option breaks no caller: the structures are made from their defaults, and have a method
//! for each field.

/// Generates for each field a method that takes the structure and returns it with the field
/// changed.
macro_rules! setters {
    (of $owner:literal; $($field:ident: $kind:ty),* $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](field@", $owner, "::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $kind) -> Self {
            self.$field = $field;
            self
        }
    )*};
    ($($fields:tt)*) => { setters! { of "Self"; $($fields)* } };
}

mod connection;
pub(crate) mod limits;
mod listen;
mod memory_pool;
mod route;
mod share;
mod socket;
mod stack;
mod udp;

pub use self::connection::{ConnectionOptions, Keepalive};
pub use self::listen::ListenOptions;
pub use self::memory_pool::MemoryPool;
pub use self::route::Route;
pub use self::share::Share;
pub use self::socket::{EcnMode, SocketOptions};
pub use self::stack::{Config, MtuProbing, Offload, QueueLen, SynCookies};
pub use self::udp::{Fragmentation, UdpOptions};
