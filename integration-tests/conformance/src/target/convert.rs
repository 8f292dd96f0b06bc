//! Conversions between the socket interface and the engine: configuration, errors, `TCP_INFO`.

use std::net::SocketAddr;
use std::time::Duration;

use millstream_engine::{
    BindError, CaState, Cidr, Config, CongestionControl, ConnectError, ConnectionError, EcnMode,
    Keepalive, MtuProbing, SocketOptions, State, SynCookies, TcpInfo,
};

use super::{Called, Environment, Errno, Failure};

pub(super) fn config(environment: &Environment) -> Called<Config> {
    let congestion = &environment.congestion;
    let congestion = CongestionControl::from_name(congestion)
        .ok_or_else(|| no_congestion_control(congestion))?;
    Ok(Config::default()
        .addresses(vec![Cidr::new(environment.local_ip(), 24)])
        .mtu(environment.mtu)
        .fin_timeout(environment.fin_timeout)
        .time_wait_reset(!environment.rfc1337)
        .syn_cookies(match environment.syn_cookies {
            0 => SynCookies::Off,
            1 => SynCookies::InFlood,
            _ => SynCookies::Always,
        })
        .challenge_ack_interval(environment.challenge_interval)
        .mtu_probing(match environment.mtu_probing {
            0 => MtuProbing::Off,
            1 => MtuProbing::BlackHoles,
            _ => MtuProbing::Always,
        })
        .max_orphans(environment.max_orphans)
        .max_time_wait(environment.max_time_wait)
        .socket(
            SocketOptions::default()
                .keepalive(Some(
                    Keepalive::default()
                        .idle(environment.keepalive_time)
                        .interval(environment.keepalive_interval)
                        .count(environment.keepalive_probes),
                ))
                .send_buffer(
                    environment
                        .first_send_buffer
                        .unwrap_or(environment.send_buffer),
                )
                .send_buffer_max(environment.send_buffer)
                .receive_buffer(
                    environment
                        .first_receive_buffer
                        .unwrap_or(environment.receive_buffer),
                )
                .receive_buffer_max(environment.receive_buffer)
                .syn_retries(environment.syn_retries)
                .syn_ack_retries(environment.syn_ack_retries)
                .retries1(environment.retries1)
                .retries2(environment.retries2)
                .timestamps(environment.timestamps)
                .ecn(match environment.ecn {
                    0 => EcnMode::Off,
                    1 => EcnMode::Active,
                    _ => EcnMode::Passive,
                })
                .sack(environment.sack)
                .dsack(environment.dsack)
                .slow_start_after_idle(environment.slow_start_after_idle)
                .rack(environment.rack)
                .tail_loss_probe(environment.tail_loss_probe)
                .frto(environment.frto)
                .window_scaling(environment.window_scaling)
                .initial_window(environment.initial_window)
                .congestion(congestion)
                .delayed_ack(if environment.quick_acks {
                    Duration::ZERO
                } else {
                    SocketOptions::default().delayed_ack
                }),
        ))
}

pub(super) fn no_congestion_control(name: &str) -> Failure {
    Failure::Unsupported(format!("the engine has no congestion control {name}"))
}

pub(super) fn errno(error: ConnectionError) -> Errno {
    match error {
        ConnectionError::Refused => Errno::ECONNREFUSED,
        ConnectionError::Reset => Errno::ECONNRESET,
        ConnectionError::TimedOut => Errno::ETIMEDOUT,
        ConnectionError::HostUnreachable => Errno::EHOSTUNREACH,
        ConnectionError::NetworkUnreachable => Errno::ENETUNREACH,
        ConnectionError::BrokenPipe => Errno::EPIPE,
        ConnectionError::Aborted => Errno::ECONNABORTED,
        other => unreachable!("no script knows {other:?}"),
    }
}

pub(super) fn bind_error(error: BindError) -> Failure {
    match error {
        BindError::AddrInUse(_) | BindError::NoPortFree => Errno::EADDRINUSE.into(),
        BindError::AddrNotAvailable(_) => Errno::EADDRNOTAVAIL.into(),
        BindError::InvalidAddress(_) => Errno::EINVAL.into(),
        other => Failure::Unsupported(other.to_string()),
    }
}

pub(super) fn connect_error(error: ConnectError) -> Failure {
    match error {
        // Linux reports EADDRNOTAVAIL for a four-tuple that is in use.
        ConnectError::AddrInUse { .. } | ConnectError::AddrNotAvailable(_) => {
            Errno::EADDRNOTAVAIL.into()
        }
        ConnectError::NetworkUnreachable(_) => Errno::ENETUNREACH.into(),
        ConnectError::Refused(_) => Errno::ECONNREFUSED.into(),
        ConnectError::InvalidDestination(_)
        | ConnectError::FamilyMismatch { .. }
        | ConnectError::InvalidOption(_) => Errno::EINVAL.into(),
        // The target consists of one stack.
        ConnectError::OtherShare { .. } => Errno::EADDRNOTAVAIL.into(),
        other => Failure::Unsupported(other.to_string()),
    }
}

/// Linux's numbers, `TCP_ESTABLISHED` and so on.
pub(super) fn state_number(state: State) -> i64 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

/// Written bytes that the peer has not acknowledged.
pub(super) fn unacknowledged(info: &TcpInfo) -> usize {
    (info.bytes_in_flight + info.notsent_bytes) as usize
}

/// Whether a connection at `local` was accepted by a listener at `addr`.
pub(super) fn is_at(local: SocketAddr, addr: SocketAddr) -> bool {
    local.port() == addr.port() && (addr.ip().is_unspecified() || addr.ip() == local.ip())
}

/// The field in Linux's units: congestion control in segments, times in microseconds.
pub(super) fn info_field(info: &TcpInfo, field: &str) -> Option<i64> {
    let mss = u64::from(info.snd_mss.max(1));
    let segments = |bytes: u64| bytes.div_ceil(mss) as i64;
    let micros = |time: Duration| time.as_micros() as i64;
    Some(match field {
        "tcpi_state" => state_number(info.state),
        "tcpi_ca_state" => match info.ca_state {
            CaState::Open => 0,
            CaState::Disorder => 1,
            CaState::Cwr => 2,
            CaState::Recovery => 3,
            CaState::Loss => 4,
        },
        "tcpi_retransmits" => i64::from(info.retransmits),
        // Both counters are incremented each time the timer backs off.
        "tcpi_backoff" => i64::from(info.retransmits.max(info.probes)),
        "tcpi_dsack_dups" => i64::from(info.dsack_dups),
        "tcpi_reord_seen" => i64::from(info.reord_seen),
        // Linux's value for an unlimited rate.
        "tcpi_pacing_rate" => info.pacing_rate.map_or(-1, |rate| rate as i64),
        "tcpi_delivery_rate" => info.delivery_rate? as i64,
        "tcpi_probes" => i64::from(info.probes),
        "tcpi_options" => {
            let scaled = info.snd_wscale > 0 || info.rcv_wscale > 0;
            i64::from(info.timestamps)
                | i64::from(info.sack) << 1
                | i64::from(scaled) << 2
                | i64::from(info.ecn) << 3
                | i64::from(info.ecn_seen) << 4
        }
        "tcpi_snd_wscale" => i64::from(info.snd_wscale),
        "tcpi_rcv_wscale" => i64::from(info.rcv_wscale),
        "tcpi_rto" => micros(info.rto),
        "tcpi_snd_mss" => i64::from(info.snd_mss),
        "tcpi_unacked" => segments(info.bytes_in_flight),
        "tcpi_sacked" => segments(info.bytes_sacked),
        "tcpi_lost" => segments(info.bytes_lost),
        "tcpi_retrans" => segments(info.bytes_retrans_out),
        "tcpi_reordering" => i64::from(info.reordering),
        "tcpi_delivered" => i64::from(info.delivered),
        "tcpi_delivered_ce" => i64::from(info.delivered_ce),
        "tcpi_ato" => micros(info.ato),
        "tcpi_rcv_ssthresh" => info.rcv_space as i64,
        "tcpi_data_segs_in" => info.data_segs_in.into(),
        "tcpi_data_segs_out" => info.data_segs_out.into(),
        "tcpi_rtt" => micros(info.rtt?),
        "tcpi_rttvar" => micros(info.rtt_var),
        "tcpi_min_rtt" => micros(info.min_rtt?),
        "tcpi_snd_ssthresh" if info.ssthresh == u32::MAX => i64::from(i32::MAX),
        "tcpi_snd_ssthresh" => u64::from(info.ssthresh).div_euclid(mss) as i64,
        "tcpi_snd_cwnd" => u64::from(info.cwnd).div_euclid(mss) as i64,
        "tcpi_advmss" => i64::from(info.advmss),
        "tcpi_total_retrans" => i64::from(info.total_retrans),
        "tcpi_notsent_bytes" => info.notsent_bytes as i64,
        "tcpi_bytes_acked" => info.bytes_acked as i64,
        "tcpi_bytes_received" => info.bytes_received as i64,
        "tcpi_bytes_sent" => info.bytes_sent as i64,
        "tcpi_bytes_retrans" => info.bytes_retrans as i64,
        "tcpi_segs_out" => info.segs_out.into(),
        "tcpi_segs_in" => info.segs_in.into(),
        "tcpi_snd_wnd" => i64::from(info.snd_wnd),
        "tcpi_pmtu" => i64::from(info.pmtu),
        "tcpi_rcv_wnd" => i64::from(info.rcv_wnd),
        _ => return None,
    })
}
