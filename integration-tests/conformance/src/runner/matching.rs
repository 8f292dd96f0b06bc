//! Compares a segment with the one that a line expects.

use std::time::Duration;

use clap::ValueEnum;
use millstream_wire::tcp::Flags;

use super::Settings;
use crate::script::{IpPart, Segment, TcpOpt};

/// How strictly a stack must follow a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Like Linux: order of options, window scale, and windows if given.
    #[default]
    Strict,
    /// Like the RFCs: options as a set, windows not compared, data segmented in any way.
    Rfc,
    /// Like `Rfc`; in addition, pure acknowledgments may be merged or repeated, and may be up to
    /// 200 ms late.
    Bsd,
}

/// The permitted delay of a pure acknowledgment under [`Profile::Bsd`].
pub(super) const LATE_ACK: Duration = Duration::from_millis(200);

/// The permitted deviation of an event's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tolerance {
    /// 1 ms.
    #[default]
    Exact,
    /// The larger of 4 ms and an eighth of the time since the previous event.
    Auto,
}

impl Tolerance {
    /// The tolerance for an event at this distance from the previous one.
    pub(super) fn after(self, gap: Duration) -> Duration {
        match self {
            Self::Exact => Duration::from_millis(1),
            Self::Auto => Duration::from_millis(4).max(gap / 8),
        }
    }
}

/// The part of a line's data that a segment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// A piece that is not the last.
    Piece,
    /// The last piece.
    Last,
}

/// The fields that differ between the expected and the actual segment; empty if they match.
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

/// The fields that differ in the IP header.
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

/// FIN and PSH belong to the last piece. PSH is not compared in real time, or if data may be
/// segmented differently: a stack may set it at the end of every burst, and the bursts depend on
/// chance.
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
        // The stack's own clock may have any value; the echo must be correct.
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
    fn only_the_last_piece_of_a_line_has_psh() {
        let (pushed, plain) = (Flags::PSH | Flags::ACK, Flags::ACK);
        assert!(wrong(pushed, Part::Piece, Profile::Strict));
        assert!(!wrong(plain, Part::Piece, Profile::Strict));
        assert!(wrong(plain, Part::Last, Profile::Strict));
        assert!(!wrong(pushed, Part::Last, Profile::Strict));
    }

    #[test]
    fn psh_is_ignored_if_segmentation_may_differ() {
        for part in [Part::Piece, Part::Last, Part::Whole] {
            assert!(!wrong(Flags::ACK, part, Profile::Rfc));
        }
    }
}
