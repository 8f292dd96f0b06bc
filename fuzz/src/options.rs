//! Values for every field of the options of a stack, a listener and a socket. The structs are
//! destructured by name: a new field does not compile until it is given values here.

use std::time::Duration;

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use millstream_engine::{
    Cidr, Config, CongestionControl, EcnMode, Keepalive, ListenOptions, MtuProbing, Offload,
    SocketOptions, SynCookies,
};

use crate::odd::ODD;

/// Any number, often one at an edge.
fn number<T: Copy + for<'a> Arbitrary<'a>>(u: &mut Unstructured<'_>, edges: &[T]) -> Result<T> {
    if u.ratio(3, 4)? {
        u.choose(edges).copied()
    } else {
        u.arbitrary()
    }
}

fn size(u: &mut Unstructured<'_>) -> Result<usize> {
    const EDGES: &[usize] = &[
        0,
        1,
        535,
        1460,
        6000,
        65_535,
        65_536,
        1 << 20,
        1 << 30,
        u32::MAX as usize,
        usize::MAX / 2,
        usize::MAX,
    ];
    number(u, EDGES)
}

pub fn time(u: &mut Unstructured<'_>) -> Result<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const EDGES: &[Duration] = &[
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(1),
        Duration::from_millis(200),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_secs(120),
        Duration::from_secs(32_767),
        DAY,
        Duration::from_millis(i32::MAX as u64),
        Duration::MAX,
    ];
    if u.ratio(3, 4)? {
        u.choose(EDGES).copied()
    } else {
        Ok(Duration::from_millis(u.arbitrary::<u32>()?.into()))
    }
}

fn maybe<T>(
    u: &mut Unstructured<'_>,
    value: fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Option<T>> {
    if u.arbitrary()? {
        value(u).map(Some)
    } else {
        Ok(None)
    }
}

fn byte(u: &mut Unstructured<'_>) -> Result<u8> {
    number(u, &[0, 1, 2, 15, 127, 128, 254, 255])
}

fn keepalive(u: &mut Unstructured<'_>) -> Result<Keepalive> {
    Ok(Keepalive::default().idle(time(u)?).interval(time(u)?).count(byte(u)?))
}

fn congestion(u: &mut Unstructured<'_>) -> Result<CongestionControl> {
    let [first, second, third] = CongestionControl::ALL;
    let all = [first, second, third, CongestionControl::Custom(&ODD)];
    u.choose(&all).copied()
}

/// Gives another value to one field.
pub fn change(u: &mut Unstructured<'_>, options: &mut SocketOptions) -> Result<()> {
    let SocketOptions::default().nodelay(nodelay).cork(cork).keepalive(probes).user_timeout(user_timeout).linger(linger).send_buffer(send_buffer).send_buffer_max(send_buffer_max).receive_buffer(receive_buffer).receive_buffer_max(receive_buffer_max).receive_low_water(receive_low_water).max_segment_size(max_segment_size).tos(tos).hop_limit(hop_limit).syn_retries(syn_retries).syn_ack_retries(syn_ack_retries).retries1(retries1).retries2(retries2).initial_rto(initial_rto).min_rto(min_rto).max_rto(max_rto).timestamps(timestamps).ecn(ecn).sack(sack).dsack(dsack).window_scaling(window_scaling).delayed_ack(delayed_ack).initial_window(initial_window).slow_start_after_idle(slow_start_after_idle).window_step(window_step).rack(rack).tail_loss_probe(tail_loss_probe).frto(frto).congestion(algorithm).pacing(pacing).max_pacing_rate(max_pacing_rate) = options;
    let flags = [
        nodelay,
        cork,
        timestamps,
        sack,
        dsack,
        window_scaling,
        slow_start_after_idle,
        rack,
        tail_loss_probe,
        frto,
        pacing,
    ];
    let sizes = [
        send_buffer,
        send_buffer_max,
        receive_buffer,
        receive_buffer_max,
        receive_low_water,
    ];
    let bytes = [
        tos,
        hop_limit,
        syn_retries,
        syn_ack_retries,
        retries1,
        retries2,
        initial_window,
    ];
    let times = [initial_rto, min_rto, max_rto, delayed_ack];
    let ends = [user_timeout, linger];
    match u.int_in_range(0..=9u8)? {
        0 => *flags[u.choose_index(flags.len())?] ^= true,
        1 => *sizes[u.choose_index(sizes.len())?] = size(u)?,
        2 => *bytes[u.choose_index(bytes.len())?] = byte(u)?,
        3 => *times[u.choose_index(times.len())?] = time(u)?,
        4 => *ends[u.choose_index(ends.len())?] = maybe(u, time)?,
        5 => *probes = maybe(u, keepalive)?,
        6 => {
            *max_segment_size = maybe(u, |u| number(u, &[0, 87, 88, 536, 1460, 32_767, u16::MAX]))?
        }
        7 => *ecn = *u.choose(&[EcnMode::Off, EcnMode::Passive, EcnMode::Active])?,
        8 => *algorithm = congestion(u)?,
        _ if u.arbitrary()? => {
            *window_step = maybe(u, |u| number(u, &[0, 1, 1460, 1 << 20, u32::MAX]))?
        }
        _ => *max_pacing_rate = maybe(u, |u| number(u, &[0, 1, 1000, 1_000_000, u64::MAX]))?,
    }
    Ok(())
}

/// The defaults with some changes. The options may be invalid, so that the target rejects them,
/// too.
pub fn socket(u: &mut Unstructured<'_>) -> Result<SocketOptions> {
    let mut options = SocketOptions::default();
    for _ in 0..u.int_in_range(0..=12u8)? {
        let mut changed = options.clone();
        change(u, &mut changed)?;
        // Usually keeps valid options only: one invalid value would hide all others.
        if changed.validate().is_ok() || u.ratio(1, 32)? {
            options = changed;
        }
    }
    Ok(options)
}

/// These options, or the defaults if one of them is invalid.
#[must_use]
pub fn held(options: SocketOptions) -> SocketOptions {
    let holds = options.validate().is_ok();
    if holds {
        options
    } else {
        SocketOptions::default()
    }
}

pub fn listen(u: &mut Unstructured<'_>) -> Result<ListenOptions> {
    Ok(ListenOptions::default().backlog(number(u, &[0, 1, 2, 3, 8, 1024, usize::MAX])?).v6_only(u.arbitrary()?).socket(socket(u)?))
}

/// A valid configuration of a stack with these addresses.
pub fn config(u: &mut Unstructured<'_>, addresses: Vec<Cidr>) -> Result<Config> {
    let mut config = Config::default().addresses(addresses);
    for _ in 0..u.int_in_range(0..=8u8)? {
        let mut changed = config.clone();
        change_config(u, &mut changed)?;
        if changed.validate().is_ok() {
            config = changed;
        }
    }
    config.socket = held(socket(u)?);
    Ok(config)
}

fn change_config(u: &mut Unstructured<'_>, config: &mut Config) -> Result<()> {
    let Config::default().addresses(_).routes(routes).mtu(mtu).offload(offload).ephemeral_ports(ephemeral_ports).msl(msl).max_time_wait(max_time_wait).max_orphans(max_orphans).fin_timeout(fin_timeout).time_wait_reset(time_wait_reset).challenge_ack_interval(challenge_ack_interval).syn_cookies(syn_cookies).icmp_rate(icmp_rate)
// The targets that make several stacks of one host set it.
        .share(_).mtu_probing(mtu_probing).receive_block(receive_block).memory(memory)
// Chosen by `socket`.
        .socket(_) = config;
    match u.int_in_range(0..=13u8)? {
        0 => routes.push(Cidr::new([10, 0, 0, 0].into(), number(u, &[0, 8, 32])?)),
        // An adapter requires at least 1280.
        1 => *mtu = number(u, &[1280, 1500, 9000, 65_535, 65_536, usize::MAX])?.max(1280),
        2 => {
            *offload = Offload::default().max_segment(number(u, &[0, 1, 1460, 16_000, 65_000, usize::MAX])?).transmit_checksum(u.arbitrary()?)
        }
        3 => *ephemeral_ports = number(u, &[0, 1, 1024, 65_535])?..=number(u, &[1, 1024, 65_535])?,
        4 => *msl = time(u)?,
        5 => *max_time_wait = number(u, &[0, 1, 2, usize::MAX])?,
        6 => *max_orphans = number(u, &[0, 1, 2, usize::MAX])?,
        7 => *fin_timeout = time(u)?,
        8 => *time_wait_reset ^= true,
        9 => *challenge_ack_interval = time(u)?,
        10 => {
            *syn_cookies = *u.choose(&[SynCookies::Off, SynCookies::InFlood, SynCookies::Always])?
        }
        11 => *icmp_rate = number(u, &[0, 1, 1000, u32::MAX])?,
        12 => {
            *mtu_probing =
                *u.choose(&[MtuProbing::Off, MtuProbing::BlackHoles, MtuProbing::Always])?
        }
        _ if u.arbitrary()? => *receive_block = size(u)?,
        _ => *memory = size(u)?,
    }
    Ok(())
}
