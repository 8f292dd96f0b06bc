//! Values for every field of the configuration of a stack and of the options of listeners, sockets
//! and connections. A new field needs values here.

use std::time::Duration;

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use millstream_engine::{
    Cidr, Config, CongestionControl, ConnectionOptions, EcnMode, Keepalive, ListenOptions,
    MtuProbing, Offload, Route, SocketOptions, SynCookies,
};

use crate::odd::ODD;

/// Some number, and often one at an edge.
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
    let times = Keepalive::default().idle(time(u)?).interval(time(u)?);
    Ok(times.count(byte(u)?))
}

fn congestion(u: &mut Unstructured<'_>) -> Result<CongestionControl> {
    let [first, second, third] = CongestionControl::ALL;
    let all = [first, second, third, CongestionControl::Custom(&ODD)];
    u.choose(&all).copied()
}

/// Gives one field another value.
pub fn change(u: &mut Unstructured<'_>, options: &mut SocketOptions) -> Result<()> {
    if u.ratio(2, 3)? {
        return change_connection(u, &mut options.connection);
    }
    let SocketOptions {
        max_segment_size,
        syn_retries,
        syn_ack_retries,
        initial_rto,
        timestamps,
        ecn,
        sack,
        window_scaling,
        initial_window,
        ..
    } = options;
    let flags = [timestamps, sack, window_scaling];
    let bytes = [syn_retries, syn_ack_retries, initial_window];
    match u.int_in_range(0..=4u8)? {
        0 => *flags[u.choose_index(flags.len())?] ^= true,
        1 => *bytes[u.choose_index(bytes.len())?] = byte(u)?,
        2 => *initial_rto = time(u)?,
        3 => {
            *max_segment_size = maybe(u, |u| number(u, &[0, 87, 88, 536, 1460, 32_767, u16::MAX]))?
        }
        _ => *ecn = *u.choose(&[EcnMode::Off, EcnMode::Passive, EcnMode::Active])?,
    }
    Ok(())
}

/// Gives one field that a live connection takes another value.
pub fn change_connection(u: &mut Unstructured<'_>, options: &mut ConnectionOptions) -> Result<()> {
    let ConnectionOptions {
        nodelay,
        cork,
        keepalive: probes,
        user_timeout,
        linger,
        send_buffer,
        send_buffer_max,
        receive_buffer,
        receive_buffer_max,
        receive_low_water,
        tos,
        hop_limit,
        retries1,
        retries2,
        min_rto,
        max_rto,
        dsack,
        delayed_ack,
        slow_start_after_idle,
        window_step,
        rack,
        tail_loss_probe,
        frto,
        congestion: algorithm,
        pacing,
        max_pacing_rate,
        ..
    } = options;
    let flags = [
        nodelay,
        cork,
        dsack,
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
    let bytes = [tos, hop_limit, retries1, retries2];
    let times = [min_rto, max_rto, delayed_ack];
    let ends = [user_timeout, linger];
    match u.int_in_range(0..=8u8)? {
        0 => *flags[u.choose_index(flags.len())?] ^= true,
        1 => *sizes[u.choose_index(sizes.len())?] = size(u)?,
        2 => *bytes[u.choose_index(bytes.len())?] = byte(u)?,
        3 => *times[u.choose_index(times.len())?] = time(u)?,
        4 => *ends[u.choose_index(ends.len())?] = maybe(u, time)?,
        5 => *probes = maybe(u, keepalive)?,
        6 => *algorithm = congestion(u)?,
        7 => *window_step = maybe(u, |u| number(u, &[0, 1, 1460, 1 << 20, u32::MAX]))?,
        _ => *max_pacing_rate = maybe(u, |u| number(u, &[0, 1, 1000, 1_000_000, u64::MAX]))?,
    }
    Ok(())
}

/// The defaults with some changes. What is refused then is refused in the target, too.
pub fn socket(u: &mut Unstructured<'_>) -> Result<SocketOptions> {
    let mut options = SocketOptions::default();
    for _ in 0..u.int_in_range(0..=12u8)? {
        let mut changed = options.clone();
        change(u, &mut changed)?;
        // Mostly what holds: one value that does not would hide all others.
        if changed.validate().is_ok() || u.ratio(1, 32)? {
            options = changed;
        }
    }
    Ok(options)
}

/// These options, or the defaults where one of them is refused.
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
    let backlog = number(u, &[0, 1, 2, 3, 8, 1024, usize::MAX])?;
    let options = ListenOptions::default().backlog(backlog);
    Ok(options.v6_only(u.arbitrary()?).socket(socket(u)?))
}

/// What a stack may be told, with these addresses. It holds.
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
    let Config {
        addresses: _,
        routes,
        mtu,
        offload,
        ephemeral_ports,
        msl,
        max_time_wait,
        max_orphans,
        fin_timeout,
        time_wait_reset,
        challenge_ack_interval,
        syn_cookies,
        icmp_rate,
        // Several stacks are made to be one host where that is the matter.
        share: _,
        mtu_probing,
        receive_block,
        memory,
        // By `socket`.
        socket: _,
        ..
    } = config;
    match u.int_in_range(0..=13u8)? {
        0 => {
            let destination = Cidr::new([10, 0, 0, 0].into(), number(u, &[0, 8, 32])?);
            routes.push(Route::new(destination).min_rto(maybe(u, time)?));
        }
        // What an adapter asks for at the least.
        1 => *mtu = number(u, &[1280, 1500, 9000, 65_535, 65_536, usize::MAX])?.max(1280),
        2 => {
            let max_segment = number(u, &[0, 1, 1460, 16_000, 65_000, usize::MAX])?;
            let offloads = Offload::default().max_segment(max_segment);
            *offload = offloads.transmit_checksum(u.arbitrary()?);
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
