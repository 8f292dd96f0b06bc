//! The known differences that end a comparison, each with its name in docs/deviations.md.

use millstream_wire::tcp::Flags;

use super::Divergence;
use super::evidence::{
    bare, boundaries, carries_blocks, closed_in_syn_received, data, echo, half_of, is_bare_ack,
    is_left_of, is_one, is_sent_again, is_timestamp, more_than_acks, room_for_blocks, sent_small,
    small_windows, start_of_data,
};
use super::play::Seen;
use super::sequence::{Opening, Seq, Sequence, Spec, Step, Timestamp};
use crate::script::{Segment, TcpOpt};
use crate::target::Errno;

/// A known difference with a reason.
#[derive(Debug)]
pub struct Rule {
    /// Its heading in docs/deviations.md.
    pub name: &'static str,
    /// Whether the difference is of this kind.
    applies: fn(&Sequence, &Divergence) -> bool,
}

/// All known differences.
pub const RULES: &[Rule] = &[
    Rule {
        name: "a SYN in SYN-RECEIVED after a passive open",
        applies: |_, how| {
            how.segment(|it, ours, _| {
                it.flags.contains(Flags::SYN)
                    && ours.is_half_open()
                    && is_one(&ours.sent, Flags::ACK)
            })
        },
    },
    Rule {
        name: "an unacceptable acknowledgment outside of the window in SYN-RECEIVED",
        applies: |_, how| {
            how.segment(|it, ours, theirs| {
                it.flags.contains(Flags::ACK)
                    && ours.is_half_open()
                    && is_one(&ours.sent, Flags::ACK)
                    && is_one(&theirs.sent, Flags::RST)
            })
        },
    },
    Rule {
        name: "a segment without ACK outside of the window",
        applies: |_, how| {
            how.segment(|it, ours, theirs| {
                !it.flags.intersects(Flags::ACK | Flags::RST | Flags::SYN)
                    && is_one(&ours.sent, Flags::ACK)
                    && theirs.sent.is_empty()
            })
        },
    },
    Rule {
        name: "a reset that begins before the window and reaches into it",
        applies: |_, how| {
            how.segment(|it, ours, theirs| {
                let marks = it.flags.intersects(Flags::SYN | Flags::FIN);
                it.flags.contains(Flags::RST)
                    && (it.len > 0 || marks)
                    && ours.sent.is_empty()
                    && is_one(&theirs.sent, Flags::ACK)
            })
        },
    },
    Rule {
        name: "a reset with an old timestamp",
        applies: |sequence, how| {
            // The segment reached a half-open connection or one in TIME-WAIT. The effect may be
            // visible only later.
            let mut until = sequence.steps.iter().take(how.step).zip(how.engine.iter());
            until.any(|(step, before)| match step {
                Step::Segment(spec) => {
                    spec.flags.contains(Flags::RST)
                        && spec.timestamp == Timestamp::Old
                        && before.is_half_open()
                }
                _ => false,
            })
        },
    },
    Rule {
        name: "an acknowledgment of the initial sequence number",
        applies: |_, how| {
            // The stacks differ on whether they accept data in such a segment; the effect may be
            // visible only later.
            how.segment(|it, ours, _| it.ack == Some(0) && !ours.sent.is_empty())
                || how.engine.iter().any(|seen| {
                    let segment = seen.segment.as_ref();
                    segment.is_some_and(|it| it.ack == Some(0) && it.len > 0)
                })
        },
    },
    Rule {
        name: "the echo of a challenge ACK's timestamp in SYN-RECEIVED",
        applies: |sequence, how| {
            // The effect of the segment may be visible only later. The first echo is that of the
            // SYN-ACK, unless a challenge ACK was sent before.
            let challenge = |seen: &Seen| seen.is_half_open() && is_bare_ack(&seen.sent);
            let challenged = how.linux.iter().position(challenge);
            let steps = how.linux.iter().zip(how.linux.iter().skip(1)).enumerate();
            let mut echoes = steps.filter_map(|(at, (before, seen))| {
                let options = seen
                    .segment
                    .iter()
                    .flat_map(|it| it.options.iter().flatten());
                let echo = options.filter_map(echo).next().filter(|echo| *echo != 0)?;
                Some((at, before.is_half_open(), echo))
            });
            let Some((at, half_open, first)) = echoes.next() else {
                return false;
            };
            let late = half_open && challenged.is_some_and(|challenged| challenged <= at);
            let another = |(_, half_open, echo): (_, bool, u32)| half_open && echo != first;
            sequence.opening == Opening::Listen && (late || echoes.any(another))
        },
    },
    Rule {
        name: "a SYN after an unacceptable acknowledgment",
        applies: |_, how| {
            how.both().is_some_and(|(ours, theirs)| {
                let again = |it: &Segment| it.flags.contains(Flags::SYN);
                let others: Vec<_> = bare(&theirs.sent)
                    .into_iter()
                    .filter(|it| !again(it))
                    .collect();
                ours.state == Some(2) && theirs.sent.iter().any(again) && others == bare(&ours.sent)
            })
        },
    },
    Rule {
        name: "the SYN-ACK of a simultaneous open is answered",
        applies: |sequence, how| {
            sequence.opening == Opening::Connect
                && how.segment(|it, _, theirs| {
                    it.flags.contains(Flags::SYN | Flags::ACK) && is_one(&theirs.sent, Flags::ACK)
                })
        },
    },
    Rule {
        name: "data with an acknowledgment older than the connection",
        applies: |_, how| {
            how.segment(|it, ours, _| {
                let is_older = it.ack.is_some_and(|ack| ack.cast_signed() < 0);
                it.len > 0 && is_older && is_one(&ours.sent, Flags::ACK)
            })
        },
    },
    Rule {
        name: "an old timestamp on an acknowledgment without data",
        applies: |sequence, how| {
            matches!(how.spec(sequence), Some(spec) if spec.timestamp == Timestamp::Old)
                && how.segment(|it, ours, theirs| {
                    it.len == 0 && is_one(&ours.sent, Flags::ACK) && theirs.sent.is_empty()
                })
        },
    },
    Rule {
        name: "close in SYN-RECEIVED of a simultaneous open",
        applies: |sequence, how| {
            // Until the SYN is acknowledged.
            let closed = closed_in_syn_received(sequence, how);
            closed.is_some_and(|at| {
                let since = how.engine.iter().skip(at);
                let mut heard = since.filter_map(|seen| seen.segment.as_ref());
                heard.all(|segment| segment.ack != Some(1))
            })
        },
    },
    Rule {
        name: "a reset in a simultaneous open",
        applies: |sequence, how| {
            sequence.opening == Opening::Connect
                && how.both().is_some_and(|(ours, theirs)| {
                    ours.result == Some(Err(Errno::ECONNREFUSED.into()))
                        && theirs.result == Some(Err(Errno::ECONNRESET.into()))
                })
        },
    },
    Rule {
        name: "an orphan in FIN-WAIT-2",
        applies: |sequence, how| {
            let before = sequence.steps.iter().take(how.step.saturating_sub(1));
            before.clone().any(|step| *step == Step::Close)
                && how.segment(|_, ours, theirs| {
                    let one = |seen: &Seen| seen.sent.is_empty() || is_bare_ack(&seen.sent);
                    one(ours) && one(theirs)
                })
        },
    },
    Rule {
        name: "the timestamp echoed in TIME-WAIT",
        applies: |_, how| {
            how.segment(|_, ours, theirs| {
                let gone = |seen: &Seen| matches!(seen.state, None | Some(6 | 7));
                gone(ours) && bare(&ours.sent) == bare(&theirs.sent)
            })
        },
    },
    Rule {
        name: "data beyond the peer's FIN",
        applies: |_, how| {
            how.segment(|it, ours, theirs| {
                let after_fin = matches!(ours.state, None | Some(6 | 7 | 8 | 9 | 11));
                let refused = theirs.sent.is_empty() || is_one(&theirs.sent, Flags::RST);
                it.len > 0 && after_fin && refused && !ours.sent.is_empty()
            })
        },
    },
    Rule {
        name: "a FIN that comes again",
        applies: |_, how| {
            how.segment(|it, ours, theirs| {
                it.flags.contains(Flags::FIN)
                    && ours.state == Some(6)
                    && is_one(&ours.sent, Flags::ACK)
                    && theirs.sent.is_empty()
            })
        },
    },
    Rule {
        name: "reading stops at the urgent mark",
        applies: |_, how| {
            let urgent = |seen: &Seen| {
                let segment = seen.segment.as_ref();
                segment.is_some_and(|it| it.flags.contains(Flags::URG))
            };
            how.engine.iter().any(urgent)
                && how
                    .both()
                    .is_some_and(|(ours, theirs)| match (&ours.result, &theirs.result) {
                        (Some(Ok(ours)), Some(Ok(theirs))) => ours > theirs,
                        _ => false,
                    })
        },
    },
    Rule {
        name: "at the right edge",
        applies: |sequence, how| {
            let at_edge = |spec: &Spec| matches!(spec.seq, Seq::Edge(-1..=1));
            // The effect of the segment's acknowledgment may be visible only later.
            let mut until = sequence.steps.iter().take(how.step);
            how.spec(sequence).is_some_and(at_edge)
                || until.any(|step| match step {
                    Step::Segment(spec) => {
                        at_edge(spec) && (spec.len > 0 || spec.flags.contains(Flags::FIN))
                    }
                    _ => false,
                })
        },
    },
    Rule {
        name: "a FIN that data contradicts",
        applies: |_, how| {
            let fin = |seen: &Seen| {
                let segment = seen.segment.as_ref();
                segment.is_some_and(|it| it.flags.contains(Flags::FIN))
            };
            how.engine.iter().any(fin)
                && how.segment(|_, ours, theirs| {
                    is_one(&ours.sent, Flags::ACK)
                        && is_one(&theirs.sent, Flags::ACK)
                        && (ours.sent[0].ack != theirs.sent[0].ack || ours.state != theirs.state)
                })
        },
    },
    Rule {
        name: "a SYN with FIN at a listener",
        applies: |_, how| {
            how.segment(|it, ours, theirs| {
                it.flags.contains(Flags::SYN | Flags::FIN)
                    && is_one(&ours.sent, Flags::SYN)
                    && theirs.sent.is_empty()
            })
        },
    },
    Rule {
        name: "a window that shrinks with nothing new",
        applies: |sequence, how| {
            small_windows(sequence, how).next().is_some()
                && how.both().is_some_and(|(ours, theirs)| {
                    // Either data that the engine holds back, or the sequence number of a segment
                    // without data.
                    let (ours, theirs) = (bare(&ours.sent), bare(&theirs.sent));
                    let held = ours.len() < theirs.len() && theirs.starts_with(&ours);
                    held || is_left_of(&ours, &theirs)
                })
        },
    },
    Rule {
        name: "the send buffer counts packets",
        applies: |sequence, how| {
            let step = how
                .step
                .checked_sub(1)
                .and_then(|at| sequence.steps.get(at));
            matches!(step, Some(Step::Write(_)))
                && how
                    .both()
                    .is_some_and(|(ours, theirs)| match (&ours.result, &theirs.result) {
                        (Some(Ok(ours)), Some(Ok(theirs))) => ours > theirs,
                        _ => false,
                    })
        },
    },
    Rule {
        name: "SACK beside an old timestamp",
        applies: |sequence, how| {
            matches!(how.spec(sequence), Some(spec) if spec.timestamp == Timestamp::Old)
                && how.segment(|_, ours, theirs| bare(&ours.sent) == bare(&theirs.sent))
        },
    },
    Rule {
        name: "an acknowledgment by itself",
        applies: |_, how| {
            how.both().is_some_and(|(ours, theirs)| {
                let more = more_than_acks(ours);
                !more.is_empty()
                    && more == more_than_acks(theirs)
                    && ours.sent.len() == more.len()
                    && theirs.sent.len() == more.len() + 1
            })
        },
    },
    Rule {
        name: "segments held back, or counted by their number",
        applies: |_, how| {
            how.both().is_some_and(|(ours, theirs)| {
                let (ours, theirs) = (more_than_acks(ours), more_than_acks(theirs));
                // Both stacks count a bare FIN, but they reach their limits at different numbers of
                // segments.
                let fin = |next: &Segment| next.flags.contains(Flags::FIN) && sent_small(how);
                let fewer = |next: &Segment| next.len > 0 || fin(next);
                let more = |next: &Segment| next.len == 0 && fin(next);
                ours.starts_with(&theirs) && ours.get(theirs.len()).is_some_and(fewer)
                    || theirs.starts_with(&ours) && theirs.get(ours.len()).is_some_and(more)
            })
        },
    },
    Rule {
        name: "segments that carry SACK blocks",
        applies: |_, how| {
            how.both().is_some_and(|(ours, theirs)| {
                let has_blocks = |seen: &Seen| {
                    let mut options = seen.sent.iter().flat_map(|it| it.options.iter().flatten());
                    options.any(|it| matches!(it, TcpOpt::Sack(_)))
                };
                start_of_data(ours) == start_of_data(theirs)
                    && data(ours) == data(theirs)
                    && (has_blocks(ours) || has_blocks(theirs))
            })
        },
    },
    Rule {
        name: "segments of half of a small window",
        applies: |sequence, how| {
            how.both().is_some_and(|(ours, theirs)| {
                let options = || {
                    theirs
                        .sent
                        .iter()
                        .flat_map(|it| it.options.iter().flatten())
                };
                let stamps = options().any(is_timestamp);
                let blocks = options().map(room_for_blocks).max().unwrap_or(0);
                let pieces = small_windows(sequence, how).map(|window| half_of(window, stamps));
                let mut pieces = pieces.flat_map(|piece| [piece, piece.saturating_sub(blocks)]);
                let (start, others) = (start_of_data(ours), boundaries(ours));
                // Data written while segments are this small is still cut at multiples of that
                // size.
                let is_cut = |piece: u32| {
                    let mut ends = boundaries(theirs).into_iter();
                    let length = |end: u32| end.wrapping_sub(start.unwrap_or_default());
                    ends.any(|end| length(end).is_multiple_of(piece) && !others.contains(&end))
                };
                start.is_some() && start == start_of_data(theirs) && pieces.any(is_cut)
            })
        },
    },
    Rule {
        name: "duplicates without anything to cause them",
        applies: |_, how| {
            how.segment(|it, ours, theirs| {
                let bare_ack = it.flags.contains(Flags::ACK) && it.len == 0;
                let sent = how.engine.iter().take(how.step).flat_map(more_than_acks);
                // It was the last segment sent.
                let again = sent.last().is_some_and(|last| bare(&ours.sent) == [last]);
                bare_ack && again && theirs.sent.is_empty()
            })
        },
    },
    Rule {
        name: "a loss counted in bytes",
        applies: |sequence, how| {
            let start = how.both().and_then(|(ours, _)| start_of_data(ours));
            let alike = how
                .both()
                .is_some_and(|(_, theirs)| start_of_data(theirs) == start);
            carries_blocks(sequence, how) && is_sent_again(how, start) && alike
        },
    },
    Rule {
        name: "a loss that is due after another round-trip time",
        applies: |sequence, how| {
            // The segment acknowledges data in addition to its SACK blocks.
            let before = how
                .engine
                .iter()
                .take(how.step)
                .flat_map(|seen| &seen.segment);
            let newest = before.filter_map(|it| it.ack).next_back();
            let advances = how.segment(|it, _, _| it.ack.is_some() && it.ack != newest);
            carries_blocks(sequence, how)
                && advances
                && how.both().is_some_and(|(ours, theirs)| {
                    is_sent_again(how, start_of_data(ours))
                        && !is_sent_again(how, start_of_data(theirs))
                })
        },
    },
    Rule {
        name: "a window reduced by a mark",
        applies: |_, how| {
            // Linux reports that it has received the data.
            let mut sent = how.linux.iter().flat_map(|seen| &seen.sent);
            let told =
                |it: &Segment| it.flags.contains(Flags::CWR) && !it.flags.contains(Flags::SYN);
            sent.any(told)
                && how.both().is_some_and(|(ours, theirs)| {
                    more_than_acks(theirs).starts_with(&more_than_acks(ours))
                })
        },
    },
];

/// The rule that explains a difference, if there is one.
#[must_use]
pub fn explains(sequence: &Sequence, how: &Divergence) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.applies)(sequence, how))
}
