//! The comparison of two results, and the fields that it leaves out.

use millstream_wire::tcp::Flags;

use super::play::Seen;
use super::sequence::{Opening, Sequence};
use crate::script::{Segment, TcpOpt};

/// Whether the results of two stacks agree.
pub(super) fn alike(sequence: &Sequence, ours: &Seen, theirs: &Seen) -> bool {
    let sent = |seen: &Seen| {
        let segments = seen.sent.iter();
        segments
            .map(|segment| comparable(sequence, segment, seen.segment.as_ref()))
            .collect::<Vec<_>>()
    };
    // Linux reports CLOSED for a socket whose connection is in TIME-WAIT.
    let state = |seen: &Seen| seen.state.map(|state| if state == 6 { 7 } else { state });
    ours.result == theirs.result
        && ours.accepted == theirs.accepted
        && state(ours) == state(theirs)
        && sent(ours) == sent(theirs)
}

/// The fields of a segment that are compared. Window sizes and receive buffers are up to each
/// stack, and PSH is a hint.
fn comparable(sequence: &Sequence, segment: &Segment, cause: Option<&Segment>) -> Segment {
    let mut segment = segment.clone();
    segment.flags -= Flags::PSH;
    segment.win = segment.win.map(|win| u16::from(win > 0));
    if segment.flags.contains(Flags::RST) {
        segment.win = None;
        segment.options = None;
        if let Some(cause) = cause {
            // The segment's number follows from the segment that it answers, which may be relative
            // to the stack's window.
            let less = |number: Option<u32>, by: Option<u32>| {
                number.map(|number| number.wrapping_sub(by.unwrap_or_default()))
            };
            segment.ack = less(segment.ack, cause.seq);
            segment.seq = less(segment.seq, cause.ack);
        }
    }
    if sequence.opening == Opening::Connect && segment.flags.contains(Flags::SYN | Flags::ACK) {
        // In a simultaneous open Linux repeats every option of its SYN.
        segment.options = None;
    }
    if let Some(options) = &mut segment.options {
        options.sort_by_key(order);
    }
    segment
}

fn order(option: &TcpOpt) -> u8 {
    match option {
        TcpOpt::Mss(_) => 0,
        TcpOpt::WindowScale(_) => 1,
        TcpOpt::SackPermitted => 2,
        TcpOpt::Timestamps { .. } => 3,
        TcpOpt::Sack(_) => 4,
        _ => 5,
    }
}
