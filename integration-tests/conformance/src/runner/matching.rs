//! Whether a segment is the one that a line expects.

use std::time::Duration;

use clap::ValueEnum;
use millstream_wire::tcp::Flags;

use super::Settings;
use crate::script::{IpPart, Segment, TcpOpt};

/// How exactly a stack must do as a script says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// As Linux would: order of options, window scale, windows where given.
    #[default]
    Strict,
    /// As the RFCs want it: options as a set, windows not compared, data may be cut otherwise.
    Rfc,
    /// As `Rfc`, and bare acknowledgments may be merged, be extra, and come up to 200 ms late.
    Bsd,
}

/// How late a bare acknowledgment may be under [`Profile::Bsd`].
pub(super) const LATE_ACK: Duration = Duration::from_millis(200);

/// How far an event may be off its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tolerance {
    /// 1 ms.
    #[default]
    Exact,
    /// 4 ms or an eighth of the time since the event before, whichever is more.
    Auto,
}

impl Tolerance {
    /// For an event that comes so long after the one before.
    pub(super) fn after(self, gap: Duration) -> Duration {
        match self {
            Self::Exact => Duration::from_millis(1),
            Self::Auto => Duration::from_millis(4).max(gap / 8),
        }
    }
}

/// How much of a line's data a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// A piece, and more is to come.
    Piece,
    /// The last piece.
    Last,
}

/// What differs between the segment a line expects and the one that came; nothing if it is the one.
pub(super) fn differences(
    expected: &Segment,
    actual: &Segment,
    settings: Settings,
    part: Part,
) -> Vec<&'static str> {
    let profile = settings.profile;
    let mut differences = Vec::new();
    let mut check = |same: bool, what| {
        if !same {
            differences.push(what);
        }
    };
    check(flags_match(expected, actual, settings, part), "flags");
    check(expected.ae == actual.ae, "AE bit");
    check(
        expected.seq.is_none() || expected.seq == actual.seq,
        "sequence number",
    );
    check(expected.len == actual.len, "length");
    check(
        expected.ack.is_none() || expected.ack == actual.ack,
        "acknowledgment",
    );
    let window = profile != Profile::Strict || expected.win.is_none() || expected.win == actual.win;
    check(window, "window");
    check(
        expected.urg.is_none() || expected.urg == actual.urg,
        "urgent pointer",
    );
    if let (Some(expected), Some(actual)) = (&expected.options, &actual.options) {
        check(options_match(expected, actual, profile), "options");
    }
    differences
}

/// What differs in the IP header.
pub(super) fn ip_differences(expected: &IpPart, actual: &IpPart) -> Vec<&'static str> {
    let ecn = expected.ecn.is_none() || expected.ecn == actual.ecn;
    let tos = expected.tos.is_none() || expected.tos == actual.tos;
    let ttl = expected.ttl.is_none() || expected.ttl == actual.ttl;
    [(ecn, "ECN"), (tos, "TOS"), (ttl, "TTL")]
        .into_iter()
        .filter(|(same, _)| !same)
        .map(|(_, what)| what)
        .collect()
}

/// FIN and PSH belong to the last piece. In real time, and where data may be cut otherwise, PSH says nothing: a
/// stack may push the end of every burst, and where bursts end is a matter of chance.
fn flags_match(expected: &Segment, actual: &Segment, settings: Settings, part: Part) -> bool {
    let last_only = if part == Part::Piece {
        Flags::FIN | Flags::PSH
    } else {
        Flags::empty()
    };
    let ignored = match settings.profile {
        Profile::Strict if !settings.real_time() => Flags::empty(),
        _ => Flags::PSH,
    };
    expected.flags - last_only - ignored == actual.flags - ignored
}

fn options_match(expected: &[TcpOpt], actual: &[TcpOpt], profile: Profile) -> bool {
    let padding = |option: &&TcpOpt| matches!(option, TcpOpt::Nop | TcpOpt::Eol);
    if profile == Profile::Strict {
        return expected.len() == actual.len()
            && expected
                .iter()
                .zip(actual)
                .all(|(e, a)| option_matches(e, a));
    }
    let actual: Vec<_> = actual.iter().filter(|option| !padding(option)).collect();
    let expected: Vec<_> = expected.iter().filter(|option| !padding(option)).collect();
    expected.len() == actual.len()
        && expected
            .iter()
            .all(|e| actual.iter().any(|a| option_matches(e, a)))
}

fn option_matches(expected: &TcpOpt, actual: &TcpOpt) -> bool {
    match (expected, actual) {
        // The stack's own clock shows what it likes; the echo has to be right.
        (TcpOpt::Timestamps { ecr: expected, .. }, TcpOpt::Timestamps { ecr: actual, .. }) => {
            expected.is_none() || expected == actual
        }
        _ => expected == actual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: Flags) -> Segment {
        Segment {
            flags,
            ae: false,
            seq: Some(1),
            len: 1000,
            ack: Some(1),
            win: None,
            urg: None,
            options: Some(Vec::new()),
        }
    }

    fn wrong(actual: Flags, part: Part, profile: Profile) -> bool {
        let settings = Settings {
            profile,
            ..Settings::default()
        };
        let expected = segment(Flags::PSH | Flags::ACK);
        !differences(&expected, &segment(actual), settings, part).is_empty()
    }

    #[test]
    fn the_last_piece_of_a_line_alone_is_pushed() {
        let (pushed, plain) = (Flags::PSH | Flags::ACK, Flags::ACK);
        assert!(wrong(pushed, Part::Piece, Profile::Strict));
        assert!(!wrong(plain, Part::Piece, Profile::Strict));
        assert!(wrong(plain, Part::Last, Profile::Strict));
        assert!(!wrong(pushed, Part::Last, Profile::Strict));
    }

    #[test]
    fn a_push_says_nothing_where_data_may_be_cut_otherwise() {
        for part in [Part::Piece, Part::Last, Part::Whole] {
            assert!(!wrong(Flags::ACK, part, Profile::Rfc));
        }
    }
}
