//! Every public method of tokio's types, stated once and compiled for both modules: a program that
//! compiles with the one compiles with the other.
//!
//! Each line becomes a function that takes the stated types, calls the method, and returns the
//! stated type; the futures are `Send`. A test compares the list with tokio's source, so that a
//! release with a new method is noticed.

/// The methods by type and name.
pub const METHODS: &[(&str, &str)] = methods::METHODS;

macro_rules! signatures {
    ($($type:ident {
        $(fn $name:ident $(<$generic:ident>)? ($($arg:ident: $arg_type:ty),*) -> $result:ty;)*
        async {
            $(fn $later:ident $(<$later_generic:ident: $bound:ident>)?
                ($($later_arg:ident: $later_type:ty),*) -> $later_result:ty;)*
        }
    })*) => {
        mod methods {
            pub(super) const METHODS: &[(&str, &str)] = &[$(
                $((stringify!($type), stringify!($name)),)*
                $((stringify!($type), stringify!($later)),)*
            )*];
        }

        signatures!(@in tokios, tokio; $($type {
            $(fn $name $(<$generic>)? ($($arg: $arg_type),*) -> $result;)*
            async {
                $(fn $later $(<$later_generic: $bound>)?
                    ($($later_arg: $later_type),*) -> $later_result;)*
            }
        })*);
        signatures!(@in ours, millstream; $($type {
            $(fn $name $(<$generic>)? ($($arg: $arg_type),*) -> $result;)*
            async {
                $(fn $later $(<$later_generic: $bound>)?
                    ($($later_arg: $later_type),*) -> $later_result;)*
            }
        })*);
    };
    (@in $module:ident, $of:ident; $($type:ident {
        $(fn $name:ident $(<$generic:ident>)? ($($arg:ident: $arg_type:ty),*) -> $result:ty;)*
        async {
            $(fn $later:ident $(<$later_generic:ident: $bound:ident>)?
                ($($later_arg:ident: $later_type:ty),*) -> $later_result:ty;)*
        }
    })*) => {
        #[allow(deprecated, reason = "deprecated methods exist in both")]
        #[allow(unused_imports, reason = "not every type needs all of them")]
        #[allow(non_snake_case, reason = "a module for each type")]
        #[allow(dead_code, reason = "compiling is the check")]
        mod $module {$(
            mod $type {
                use std::io::{self, IoSlice, IoSliceMut};
                use std::net::SocketAddr;
                use std::task::{Context, Poll};
                use std::time::Duration;

                use bytes::BufMut;
                use $of::net::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
                use $of::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs};
                use tokio::io::{Interest, ReadBuf, Ready};

                $(fn $name $(<$generic>)? ($($arg: $arg_type),*) -> $result {
                    $type::$name($($arg),*)
                })*

                $(fn $later $(<$later_generic: $bound>)? (
                    $($later_arg: $later_type),*
                ) -> impl Future<Output = $later_result> + Send {
                    $type::$later($($later_arg),*)
                })*
            }
        )*}
    };
}

signatures! {
    TcpListener {
        fn poll_accept(
            this: &TcpListener,
            cx: &mut Context<'_>
        ) -> Poll<io::Result<(TcpStream, SocketAddr)>>;
        fn local_addr(this: &TcpListener) -> io::Result<SocketAddr>;
        fn ttl(this: &TcpListener) -> io::Result<u32>;
        fn set_ttl(this: &TcpListener, ttl: u32) -> io::Result<()>;
        async {
            fn bind(addr: impl ToSocketAddrs + Send) -> io::Result<TcpListener>;
            fn accept(this: &TcpListener) -> io::Result<(TcpStream, SocketAddr)>;
        }
    }

    TcpSocket {
        fn new_v4() -> io::Result<TcpSocket>;
        fn new_v6() -> io::Result<TcpSocket>;
        fn set_keepalive(this: &TcpSocket, keepalive: bool) -> io::Result<()>;
        fn keepalive(this: &TcpSocket) -> io::Result<bool>;
        fn set_reuseaddr(this: &TcpSocket, reuseaddr: bool) -> io::Result<()>;
        fn reuseaddr(this: &TcpSocket) -> io::Result<bool>;
        fn set_reuseport(this: &TcpSocket, reuseport: bool) -> io::Result<()>;
        fn reuseport(this: &TcpSocket) -> io::Result<bool>;
        fn set_send_buffer_size(this: &TcpSocket, size: u32) -> io::Result<()>;
        fn send_buffer_size(this: &TcpSocket) -> io::Result<u32>;
        fn set_recv_buffer_size(this: &TcpSocket, size: u32) -> io::Result<()>;
        fn recv_buffer_size(this: &TcpSocket) -> io::Result<u32>;
        fn set_linger(this: &TcpSocket, dur: Option<Duration>) -> io::Result<()>;
        fn set_zero_linger(this: &TcpSocket) -> io::Result<()>;
        fn linger(this: &TcpSocket) -> io::Result<Option<Duration>>;
        fn set_nodelay(this: &TcpSocket, nodelay: bool) -> io::Result<()>;
        fn nodelay(this: &TcpSocket) -> io::Result<bool>;
        fn tclass_v6(this: &TcpSocket) -> io::Result<u32>;
        fn set_tclass_v6(this: &TcpSocket, tclass: u32) -> io::Result<()>;
        fn tos_v4(this: &TcpSocket) -> io::Result<u32>;
        fn tos(this: &TcpSocket) -> io::Result<u32>;
        fn set_tos_v4(this: &TcpSocket, tos: u32) -> io::Result<()>;
        fn set_tos(this: &TcpSocket, tos: u32) -> io::Result<()>;
        fn device(this: &TcpSocket) -> io::Result<Option<Vec<u8>>>;
        fn bind_device(this: &TcpSocket, interface: Option<&[u8]>) -> io::Result<()>;
        fn local_addr(this: &TcpSocket) -> io::Result<SocketAddr>;
        fn take_error(this: &TcpSocket) -> io::Result<Option<io::Error>>;
        fn bind(this: &TcpSocket, addr: SocketAddr) -> io::Result<()>;
        fn listen(this: TcpSocket, backlog: u32) -> io::Result<TcpListener>;
        async {
            fn connect(this: TcpSocket, addr: SocketAddr) -> io::Result<TcpStream>;
        }
    }

    TcpStream {
        fn local_addr(this: &TcpStream) -> io::Result<SocketAddr>;
        fn take_error(this: &TcpStream) -> io::Result<Option<io::Error>>;
        fn peer_addr(this: &TcpStream) -> io::Result<SocketAddr>;
        fn poll_peek(
            this: &TcpStream,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>
        ) -> Poll<io::Result<usize>>;
        fn poll_read_ready(this: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
        fn try_read(this: &TcpStream, buf: &mut [u8]) -> io::Result<usize>;
        fn try_read_vectored(this: &TcpStream, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize>;
        fn try_read_buf(this: &TcpStream, buf: &mut impl BufMut) -> io::Result<usize>;
        fn poll_write_ready(this: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
        fn try_write(this: &TcpStream, buf: &[u8]) -> io::Result<usize>;
        fn try_write_vectored(this: &TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
        fn try_io<R>(
            this: &TcpStream,
            interest: Interest,
            f: impl FnOnce() -> io::Result<R>
        ) -> io::Result<R>;
        fn nodelay(this: &TcpStream) -> io::Result<bool>;
        fn set_nodelay(this: &TcpStream, nodelay: bool) -> io::Result<()>;
        fn quickack(this: &TcpStream) -> io::Result<bool>;
        fn set_quickack(this: &TcpStream, quickack: bool) -> io::Result<()>;
        fn linger(this: &TcpStream) -> io::Result<Option<Duration>>;
        fn set_linger(this: &TcpStream, dur: Option<Duration>) -> io::Result<()>;
        fn set_zero_linger(this: &TcpStream) -> io::Result<()>;
        fn ttl(this: &TcpStream) -> io::Result<u32>;
        fn set_ttl(this: &TcpStream, ttl: u32) -> io::Result<()>;
        fn split(this: &mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>);
        fn into_split(this: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf);
        async {
            fn connect(addr: impl ToSocketAddrs + Send) -> io::Result<TcpStream>;
            fn ready(this: &TcpStream, interest: Interest) -> io::Result<Ready>;
            fn readable(this: &TcpStream) -> io::Result<()>;
            fn writable(this: &TcpStream) -> io::Result<()>;
            fn async_io<R: Send>(
                this: &TcpStream,
                interest: Interest,
                f: impl FnMut() -> io::Result<R> + Send
            ) -> io::Result<R>;
            fn peek(this: &TcpStream, buf: &mut [u8]) -> io::Result<usize>;
        }
    }

    ReadHalf {
        fn poll_peek(
            this: &mut ReadHalf<'_>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>
        ) -> Poll<io::Result<usize>>;
        fn try_read(this: &ReadHalf<'_>, buf: &mut [u8]) -> io::Result<usize>;
        fn try_read_vectored(this: &ReadHalf<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize>;
        fn try_read_buf(this: &ReadHalf<'_>, buf: &mut impl BufMut) -> io::Result<usize>;
        fn peer_addr(this: &ReadHalf<'_>) -> io::Result<SocketAddr>;
        fn local_addr(this: &ReadHalf<'_>) -> io::Result<SocketAddr>;
        async {
            fn peek(this: &mut ReadHalf<'_>, buf: &mut [u8]) -> io::Result<usize>;
            fn ready(this: &ReadHalf<'_>, interest: Interest) -> io::Result<Ready>;
            fn readable(this: &ReadHalf<'_>) -> io::Result<()>;
        }
    }

    WriteHalf {
        fn try_write(this: &WriteHalf<'_>, buf: &[u8]) -> io::Result<usize>;
        fn try_write_vectored(this: &WriteHalf<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
        fn peer_addr(this: &WriteHalf<'_>) -> io::Result<SocketAddr>;
        fn local_addr(this: &WriteHalf<'_>) -> io::Result<SocketAddr>;
        async {
            fn ready(this: &WriteHalf<'_>, interest: Interest) -> io::Result<Ready>;
            fn writable(this: &WriteHalf<'_>) -> io::Result<()>;
        }
    }

    OwnedReadHalf {
        fn reunite(this: OwnedReadHalf, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError>;
        fn poll_peek(
            this: &mut OwnedReadHalf,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>
        ) -> Poll<io::Result<usize>>;
        fn try_read(this: &OwnedReadHalf, buf: &mut [u8]) -> io::Result<usize>;
        fn try_read_vectored(
            this: &OwnedReadHalf,
            bufs: &mut [IoSliceMut<'_>]
        ) -> io::Result<usize>;
        fn try_read_buf(this: &OwnedReadHalf, buf: &mut impl BufMut) -> io::Result<usize>;
        fn peer_addr(this: &OwnedReadHalf) -> io::Result<SocketAddr>;
        fn local_addr(this: &OwnedReadHalf) -> io::Result<SocketAddr>;
        async {
            fn peek(this: &mut OwnedReadHalf, buf: &mut [u8]) -> io::Result<usize>;
            fn ready(this: &OwnedReadHalf, interest: Interest) -> io::Result<Ready>;
            fn readable(this: &OwnedReadHalf) -> io::Result<()>;
        }
    }

    OwnedWriteHalf {
        fn reunite(this: OwnedWriteHalf, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError>;
        fn forget(this: OwnedWriteHalf) -> ();
        fn try_write(this: &OwnedWriteHalf, buf: &[u8]) -> io::Result<usize>;
        fn try_write_vectored(this: &OwnedWriteHalf, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
        fn peer_addr(this: &OwnedWriteHalf) -> io::Result<SocketAddr>;
        fn local_addr(this: &OwnedWriteHalf) -> io::Result<SocketAddr>;
        async {
            fn ready(this: &OwnedWriteHalf, interest: Interest) -> io::Result<Ready>;
            fn writable(this: &OwnedWriteHalf) -> io::Result<()>;
        }
    }
}
