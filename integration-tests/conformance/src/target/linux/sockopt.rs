//! Socket options, and `TCP_INFO`.

use std::io;

use millstream_testbed::tcp_info;
use nix::libc;
use socket2::{Domain, Socket};

use crate::target::SockOpt;

type Number = (libc::c_int, libc::c_int);

/// The level and name of an option with a numeric value.
fn number(option: SockOpt, is_v6: bool) -> Number {
    match option {
        SockOpt::NoDelay => (libc::IPPROTO_TCP, libc::TCP_NODELAY),
        SockOpt::Cork => (libc::IPPROTO_TCP, libc::TCP_CORK),
        SockOpt::SendBuffer => (libc::SOL_SOCKET, libc::SO_SNDBUF),
        SockOpt::ReceiveBuffer => (libc::SOL_SOCKET, libc::SO_RCVBUF),
        SockOpt::ReceiveLowWater => (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
        SockOpt::MaxSegment => (libc::IPPROTO_TCP, libc::TCP_MAXSEG),
        SockOpt::KeepAlive => (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
        SockOpt::KeepIdle => (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
        SockOpt::KeepInterval => (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
        SockOpt::KeepCount => (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
        SockOpt::UserTimeout => (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
        SockOpt::Tos if is_v6 => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
        SockOpt::Tos => (libc::IPPROTO_IP, libc::IP_TOS),
        SockOpt::Ttl if is_v6 => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
        SockOpt::Ttl => (libc::IPPROTO_IP, libc::IP_TTL),
        SockOpt::ReuseAddr => (libc::SOL_SOCKET, libc::SO_REUSEADDR),
        SockOpt::Error => (libc::SOL_SOCKET, libc::SO_ERROR),
        SockOpt::SynCount => (libc::IPPROTO_TCP, libc::TCP_SYNCNT),
    }
}

/// setsockopt(2)
pub(super) fn set(socket: &Socket, option: SockOpt, value: i32) -> io::Result<()> {
    raw::set(socket, number(option, is_v6(socket)?), value)
}

/// getsockopt(2)
pub(super) fn get(socket: &Socket, option: SockOpt) -> io::Result<i64> {
    let value: libc::c_int = raw::get(socket, number(option, is_v6(socket)?))?;
    Ok(value.into())
}

/// SIOCOUTQ
pub(super) fn unacknowledged(socket: &Socket) -> io::Result<usize> {
    raw::queued(socket).map(|bytes| bytes as usize)
}

fn is_v6(socket: &Socket) -> io::Result<bool> {
    Ok(socket.domain()? == Domain::IPV6)
}

/// `TCP_INFO`
pub(super) fn info(socket: &Socket) -> io::Result<libc::tcp_info> {
    tcp_info::of(socket)
}

#[expect(unsafe_code, reason = "no crate has a safe call for these")]
mod raw {
    use std::io;
    use std::mem::{MaybeUninit, size_of};
    use std::os::fd::{AsFd, AsRawFd as _};

    use nix::libc;

    use super::Number;

    /// Types for which every bit pattern is a valid value.
    pub(super) trait Plain: Copy {}
    impl Plain for libc::c_int {}

    pub(super) fn get<T: Plain>(socket: impl AsFd, (level, name): Number) -> io::Result<T> {
        let mut value = MaybeUninit::<T>::zeroed();
        let mut length = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `value`. What it does not write stays
        // zero, and all of it is a value, as `Plain` says.
        unsafe {
            let fd = socket.as_fd().as_raw_fd();
            let done = libc::getsockopt(fd, level, name, value.as_mut_ptr().cast(), &mut length);
            checked(done)?;
            Ok(value.assume_init())
        }
    }

    pub(super) fn set(socket: impl AsFd, (level, name): Number, value: i32) -> io::Result<()> {
        let length = size_of::<i32>() as libc::socklen_t;
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the kernel reads `length` bytes of `value`.
        checked(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) })
    }

    pub(super) fn queued(socket: impl AsFd) -> io::Result<libc::c_int> {
        let mut value = 0;
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the kernel writes a number to `value`.
        checked(unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut value) })?;
        Ok(value)
    }

    fn checked(done: libc::c_int) -> io::Result<()> {
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// A field of `TCP_INFO`, by its name in Linux.
#[expect(
    clippy::cast_lossless,
    reason = "the fields are of several widths, none of which a count or a time fills"
)]
pub(super) fn info_field(info: &libc::tcp_info, field: &str) -> Option<i64> {
    macro_rules! fields {
        ($($name:ident),* $(,)?) => {
            match field {
                $(stringify!($name) => info.$name as i64,)*
                "tcpi_snd_wscale" => i64::from(info.tcpi_snd_rcv_wscale & 0xf),
                "tcpi_rcv_wscale" => i64::from(info.tcpi_snd_rcv_wscale >> 4),
                _ => return None,
            }
        };
    }
    Some(fields!(
        tcpi_state,
        tcpi_ca_state,
        tcpi_retransmits,
        tcpi_probes,
        tcpi_backoff,
        tcpi_options,
        tcpi_rto,
        tcpi_ato,
        tcpi_snd_mss,
        tcpi_rcv_mss,
        tcpi_unacked,
        tcpi_sacked,
        tcpi_lost,
        tcpi_retrans,
        tcpi_pmtu,
        tcpi_rtt,
        tcpi_rttvar,
        tcpi_snd_ssthresh,
        tcpi_snd_cwnd,
        tcpi_advmss,
        tcpi_reordering,
        tcpi_total_retrans,
        tcpi_bytes_acked,
        tcpi_bytes_received,
        tcpi_segs_out,
        tcpi_segs_in,
        tcpi_notsent_bytes,
        tcpi_min_rtt,
        tcpi_data_segs_in,
        tcpi_data_segs_out,
        tcpi_delivery_rate,
        tcpi_busy_time,
        tcpi_rwnd_limited,
        tcpi_sndbuf_limited,
        tcpi_delivered,
        tcpi_delivered_ce,
        tcpi_bytes_sent,
        tcpi_bytes_retrans,
        tcpi_dsack_dups,
        tcpi_reord_seen,
        tcpi_rcv_ssthresh,
        tcpi_rcv_ooopack,
        tcpi_snd_wnd,
    ))
}
