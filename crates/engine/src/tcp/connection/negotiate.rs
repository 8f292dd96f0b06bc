//! The values negotiated by the two SYNs: segment size, window scale, SACK and timestamps.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::net::IpAddr;

use millstream_wire::tcp::{Flags, Options, Timestamps};
use millstream_wire::{Mss, WindowScale};

use crate::config::{Config, EcnMode, SocketOptions};
use crate::tcp::segment::Segment;

/// Smallest accepted segment size, including TCP options: for a smaller offer this value is used,
/// so that a peer cannot force one packet per byte (Linux's `tcp_min_snd_mss`).
const MIN_MSS: u16 = 48;

/// Length in bytes of the timestamps option in a data segment, with its customary padding (RFC 7323
/// appendix A).
pub(crate) const TIMESTAMPS_LEN: u32 = 12;

/// The segment size to offer: the largest that the device carries in one packet (RFC 9293 MUST-67),
/// or a smaller one set by the application.
pub(crate) fn our_mss(config: &Config, options: &SocketOptions, ip: IpAddr) -> u16 {
    let headers = if ip.is_ipv4() { 40 } else { 60 };
    let fits = config
        .mtu
        .saturating_sub(headers)
        .clamp(usize::from(MIN_MSS), 65_495) as u16;
    options
        .max_segment_size
        .map_or(fits, |max| fits.min(max.max(MIN_MSS)))
}

/// The offer of one SYN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) mss: u16,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
    /// ECN, by the flags of the SYN or of the SYN-ACK.
    pub(crate) ecn: bool,
}

impl Offer {
    /// The local offer.
    pub(crate) fn ours(config: &Config, options: &SocketOptions, ip: IpAddr) -> Self {
        let largest = options.receive_buffer.max(options.receive_buffer_max);
        let scale = WindowScale::for_buffer(largest.min(1 << 30) as u32);
        Self {
            mss: our_mss(config, options, ip),
            window_scale: options.window_scaling.then(|| scale.shift()),
            sack: options.sack,
            timestamps: options.timestamps,
            ecn: options.ecn != EcnMode::Off,
        }
    }

    /// The peer's offer, as its SYN carries it.
    pub(crate) fn theirs(segment: &Segment) -> Self {
        let (options, ip) = (&segment.options, segment.tuple.remote_ip);
        let default = if ip.is_ipv4() {
            Mss::DEFAULT_V4
        } else {
            Mss::DEFAULT_V6
        };
        Self {
            // RFC 9293 MUST-15: without the option, 536, or 1220 over IPv6. Zero counts as absent
            // (as on Linux).
            mss: options.mss.filter(|mss| *mss > 0).unwrap_or(default.get()),
            window_scale: options.window_scale,
            sack: options.sack_permitted,
            timestamps: options.timestamps.is_some(),
            ecn: offers_ecn(segment.flags),
        }
    }

    /// The options of a SYN that makes this offer (RFC 9293 MUST-14, MUST-65, SHLD-5, MAY-3).
    pub(crate) fn options(&self, timestamps: Option<Timestamps>) -> Options {
        Options {
            mss: Some(self.mss),
            window_scale: self.window_scale,
            sack_permitted: self.sack,
            timestamps,
            ..Options::default()
        }
    }

    /// The local offer without the options that the peer did not offer: the options of a SYN-ACK.
    pub(crate) fn answered_by(&self, theirs: &Self) -> Self {
        Self {
            mss: self.mss,
            window_scale: theirs.window_scale.and(self.window_scale),
            sack: self.sack && theirs.sack,
            timestamps: self.timestamps && theirs.timestamps,
            ecn: self.ecn && theirs.ecn,
        }
    }
}

/// The values that hold for the connection after both offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Negotiated {
    /// Payload bytes of a full segment to the peer (RFC 9293 MUST-16).
    pub(crate) send_mss: u32,
    /// Shift counts of the peer's windows and of the local windows, if both sides offered scaling.
    pub(crate) scales: Option<(WindowScale, WindowScale)>,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
    pub(crate) ecn: bool,
}

/// RFC 3168 6.1.1: a SYN offers ECN by both flags, so that a SYN-ACK that merely reflects reserved
/// bits does not; a SYN-ACK offers it by ECE alone.
fn offers_ecn(flags: Flags) -> bool {
    flags.contains(Flags::ECE) && flags.contains(Flags::CWR) != flags.contains(Flags::ACK)
}

impl Negotiated {
    pub(crate) fn between(ours: &Offer, theirs: &Offer) -> Self {
        let timestamps = ours.timestamps && theirs.timestamps;
        let per_segment = if timestamps { TIMESTAMPS_LEN } else { 0 };
        let mss = ours.mss.min(theirs.mss.max(MIN_MSS));
        Self {
            send_mss: u32::from(mss).saturating_sub(per_segment),
            scales: theirs
                .window_scale
                .zip(ours.window_scale)
                .map(|(theirs, ours)| (WindowScale::new(theirs), WindowScale::new(ours))),
            sack: ours.sack && theirs.sack,
            timestamps,
            ecn: ours.ecn && theirs.ecn,
        }
    }
}
