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

/// The offer of one SYN. The default offers nothing.
#[derive(Clone, Copy, Debug, Default)]
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

    /// The local offer without the options that were not agreed on: those of a SYN-ACK after a
    /// crossing SYN.
    pub(crate) fn confirmed(&self, agreed: &Negotiated) -> Self {
        Self {
            mss: self.mss,
            window_scale: self.window_scale.filter(|_| agreed.scaling),
            sack: self.sack && agreed.sack,
            timestamps: self.timestamps && agreed.timestamps,
            ecn: agreed.ecn,
        }
    }
}

/// The values that hold for the connection after both offers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Negotiated {
    /// The value of the MSS option sent.
    pub(crate) advertised_mss: u16,
    /// Payload bytes of a full segment to the peer (RFC 9293 MUST-16); zero before its SYN.
    pub(crate) send_mss: u16,
    /// Windows are scaled, except those of the SYNs.
    pub(crate) scaling: bool,
    /// Shift count of the windows that the peer sends.
    pub(crate) snd_scale: WindowScale,
    /// Shift count of the windows sent.
    pub(crate) rcv_scale: WindowScale,
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
    /// Before the peer's SYN: the local SYN carries timestamps already.
    pub(crate) fn alone(ours: &Offer) -> Self {
        Self {
            advertised_mss: ours.mss,
            timestamps: ours.timestamps,
            ..Self::default()
        }
    }

    /// Both SYNs are known.
    pub(crate) fn between(ours: &Offer, theirs: &Offer) -> Self {
        let scales = theirs.window_scale.zip(ours.window_scale);
        let (snd_scale, rcv_scale) = scales.unwrap_or_default();
        let agreed = Self {
            advertised_mss: ours.mss,
            send_mss: 0,
            scaling: scales.is_some(),
            snd_scale: WindowScale::new(snd_scale),
            rcv_scale: WindowScale::new(rcv_scale),
            sack: ours.sack && theirs.sack,
            timestamps: ours.timestamps && theirs.timestamps,
            ecn: ours.ecn && theirs.ecn,
        };
        let mss = ours.mss.min(theirs.mss.max(MIN_MSS));
        Self {
            send_mss: mss.saturating_sub(agreed.options_len() as u16),
            ..agreed
        }
    }

    /// Length in bytes of the options that every segment carries after the SYNs.
    pub(crate) fn options_len(&self) -> usize {
        if self.timestamps { Timestamps::ROOM } else { 0 }
    }
}
