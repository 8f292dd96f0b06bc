//! The facts that the rules examine: announced windows, sent segments, and retransmissions.

use millstream_wire::tcp::Flags;

use super::Divergence;
use super::play::Seen;
use super::sequence::{Opening, Sequence, Step};
use crate::script::{Segment, TcpOpt};

/// The step that closed a connection in a simultaneous open before its SYN was acknowledged, if
/// there was one.
pub(super) fn closed_in_syn_received(sequence: &Sequence, how: &Divergence) -> Option<usize> {
    const SYN_RECEIVED: Option<i64> = Some(3);
    let before = sequence.steps.iter().take(how.step).zip(&how.engine);
    let at = before
        .clone()
        .position(|(step, before)| matches!(step, Step::Close) && before.state == SYN_RECEIVED)?;
    (sequence.opening == Opening::Connect).then_some(at + 1)
}

/// The windows of at most a few segments that the peer has announced, in bytes.
pub(super) fn small_windows<'a>(
    sequence: &'a Sequence,
    how: &Divergence,
) -> impl Iterator<Item = u32> + use<'a> {
    let specs = |step: &'a Step| match step {
        Step::Segment(spec) => Some(spec),
        _ => None,
    };
    let until = sequence.steps.iter().take(how.step).filter_map(specs);
    let shift = until.clone().find_map(|spec| spec.window_scale);
    let shift = shift.unwrap_or(0).min(14);
    let windows = until
        .map(|spec| u32::from(spec.window))
        .filter(|it| *it > 0);
    // The window of a SYN is never scaled.
    let both = windows.flat_map(move |window| [window, window << shift]);
    both.filter(|window| *window <= 1000)
}

/// The largest segment that Linux sends to a peer with this largest window.
pub(super) fn half_of(window: u32, stamps: bool) -> u32 {
    /// A larger window limits segments to half of it.
    const TINY: u32 = 536;
    /// The minimum size of a segment including its header.
    const LEAST: u32 = 68;
    let header = if stamps { 32 } else { 20 };
    let part = if window > TINY { window / 2 } else { window };
    part.max(LEAST - header)
}

pub(super) fn is_timestamp(option: &TcpOpt) -> bool {
    matches!(option, TcpOpt::Timestamps { .. })
}

/// The echoed timestamp.
pub(super) fn echo(option: &TcpOpt) -> Option<u32> {
    match option {
        TcpOpt::Timestamps { ecr, .. } => *ecr,
        _ => None,
    }
}

/// Whether each sent one acknowledgment, equal except for the sequence number.
pub(super) fn is_left_of(ours: &[Segment], theirs: &[Segment]) -> bool {
    match (ours, theirs) {
        ([ours], [theirs]) => {
            let there = Segment {
                seq: theirs.seq,
                ..ours.clone()
            };
            is_bare_ack(std::slice::from_ref(ours)) && ours.seq < theirs.seq && there == *theirs
        }
        _ => false,
    }
}

/// Whether the stacks differ after a segment with SACK blocks.
pub(super) fn carries_blocks(sequence: &Sequence, how: &Divergence) -> bool {
    matches!(how.spec(sequence), Some(spec) if spec.sack.1 > 0)
}

/// Whether the engine had sent the data at `start` before.
pub(super) fn is_sent_again(how: &Divergence, start: Option<u32>) -> bool {
    let mut before = how.engine.iter().take(how.step).flat_map(|seen| &seen.sent);
    let newest = before.rfind(|it| it.len > 0).and_then(|it| it.seq);
    let ahead = |(start, newest): (u32, u32)| newest.wrapping_sub(start).cast_signed() >= 0;
    start.zip(newest).is_some_and(ahead)
}

/// The ends of all data segments.
pub(super) fn boundaries(seen: &Seen) -> Vec<u32> {
    let data = seen.sent.iter().filter(|segment| segment.len > 0);
    data.filter_map(|it| Some(it.seq?.wrapping_add(it.len)))
        .collect()
}

/// The size of the SACK blocks including padding, in bytes.
pub(super) fn room_for_blocks(option: &TcpOpt) -> u32 {
    match option {
        TcpOpt::Sack(blocks) => 4 + 8 * blocks.len() as u32,
        _ => 0,
    }
}

/// The sequence number of the first data sent.
pub(super) fn start_of_data(seen: &Seen) -> Option<u32> {
    let mut data = seen.sent.iter().filter(|segment| segment.len > 0);
    data.next()?.seq
}

/// Whether the engine has sent segments that were not full-sized.
pub(super) fn sent_small(how: &Divergence) -> bool {
    let sent = how.engine.iter().flat_map(|seen| &seen.sent);
    let lengths = sent.map(|segment| segment.len).filter(|len| *len > 0);
    let full = lengths.clone().max();
    lengths.into_iter().any(|len| Some(len) < full)
}

/// The number of data bytes sent.
pub(super) fn data(seen: &Seen) -> u32 {
    seen.sent.iter().map(|segment| segment.len).sum()
}

/// The segments sent, without pure acknowledgments.
pub(super) fn more_than_acks(seen: &Seen) -> Vec<Segment> {
    let mut sent = bare(&seen.sent);
    sent.retain(|segment| segment.len > 0 || segment.flags != Flags::ACK);
    sent
}

/// The segments sent, without options and windows.
pub(super) fn bare(sent: &[Segment]) -> Vec<Segment> {
    let strip = |segment: &Segment| Segment {
        flags: segment.flags - Flags::PSH,
        win: None,
        options: None,
        ..segment.clone()
    };
    sent.iter().map(strip).collect()
}

pub(super) fn is_one(sent: &[Segment], flags: Flags) -> bool {
    matches!(sent, [segment] if segment.flags.contains(flags))
}

/// Whether a single pure acknowledgment was sent.
pub(super) fn is_bare_ack(sent: &[Segment]) -> bool {
    matches!(sent, [it] if it.flags == Flags::ACK && it.len == 0)
}
