//! Packets that the stack has to send, and packets that it must not send.

use millstream_wire::SeqNum;
use millstream_wire::tcp::Flags;

use super::events::Span;
use super::mapping::stream_bytes;
use super::matching::{LATE_ACK, Part, Profile, differences, ip_differences};
use super::observe::{Content, Observed, WireSegment, is_pong};
use super::outcome::Stop;
use super::{Runner, clock};
use crate::script::{Action, Body, Event, IpPart, Packet, Segment, TcpOpt};
use crate::target::Time;

/// A pure acknowledgment that a line expects and that may come late, or as part of another segment.
#[derive(Clone, Debug)]
pub(super) struct OwedAck {
    line: usize,
    source: String,
    flow: usize,
    expected: Segment,
    pub(super) deadline: Time,
}

impl OwedAck {
    /// Whether `segment` carries all the information of the expected acknowledgment. If it does not
    /// acknowledge more, it must have the same sequence number, unless it carries data.
    fn is_in(&self, segment: &Segment) -> bool {
        let at_least = |actual: Option<u32>, expected: Option<u32>| match (actual, expected) {
            (Some(actual), Some(expected)) => SeqNum::new(expected).le(SeqNum::new(actual)),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        let expected = &self.expected;
        let another = segment.ack != expected.ack || segment.len > 0;
        let seq = at_least(segment.seq, expected.seq)
            && (another || expected.seq.is_none_or(|seq| segment.seq == Some(seq)));
        let reported = |(left, right): &(u32, u32)| {
            at_least(segment.ack, Some(*right))
                || blocks(segment).any(|(from, to)| {
                    at_least(Some(*left), Some(*from)) && at_least(Some(*to), Some(*right))
                })
        };
        seq && at_least(segment.ack, expected.ack) && blocks(expected).all(reported)
    }
}

fn blocks(segment: &Segment) -> impl Iterator<Item = &(u32, u32)> {
    let options = segment.options.iter().flatten();
    options
        .filter_map(|option| match option {
            TcpOpt::Sack(blocks) => Some(blocks),
            _ => None,
        })
        .flatten()
}

impl Runner<'_> {
    pub(super) fn expect(
        &mut self,
        event: &Event,
        packet: &Packet,
        span: &Span,
    ) -> Result<(), Stop> {
        match &packet.body {
            Body::Tcp(segment) => self.expect_segment(event, &packet.ip, segment, span),
            Body::Icmp(message) if is_pong(message) => {
                let observed = self.awaited(event, span)?;
                self.trace_observed(&observed);
                match observed.what {
                    Content::Pong => Ok(()),
                    _ => Err(self.mismatch(event, "another packet", &observed)),
                }
            }
            Body::Icmp(message) => Err(Stop::skipped(format!("{message} from the stack"))),
            Body::Udp => Err(Stop::skipped("UDP")),
        }
    }

    fn expect_segment(
        &mut self,
        event: &Event,
        ip: &IpPart,
        expected: &Segment,
        span: &Span,
    ) -> Result<(), Stop> {
        let flow = self.flow_for(ip.port);
        if let Some(other) = expected
            .options
            .iter()
            .flatten()
            .find_map(|option| match option {
                TcpOpt::Other(text) => Some(text),
                _ => None,
            })
        {
            return Err(Stop::skipped(format!(
                "the TCP option {other} is not supported"
            )));
        }
        if self.may_be_late(expected) {
            self.base = span.to;
            self.run_to(span.from.max(self.now))?;
            self.owed.push(OwedAck {
                line: event.line,
                source: event.source.clone(),
                flow,
                expected: expected.clone(),
                deadline: span.to + LATE_ACK,
            });
            // The packet may have been sent before its line was reached.
            for observed in std::mem::take(&mut self.unclaimed) {
                self.settle_owed(&observed);
                self.unclaimed.push_back(observed);
            }
            return Ok(());
        }
        let mut rest = expected.clone();
        loop {
            let observed = self.awaited(event, span)?;
            let whole = rest.len == expected.len;
            let claimed = self.claim(event, flow, ip, &rest, &observed, whole);
            // The failing packet belongs in the trace, too.
            self.trace_observed(&observed);
            let Some(piece) = claimed? else {
                return Ok(());
            };
            rest.seq = rest.seq.map(|seq| seq.wrapping_add(piece.len));
            rest.len -= piece.len;
        }
    }

    /// Compares a packet with the rest of an expected segment, of which it may be a part.
    fn claim(
        &mut self,
        event: &Event,
        flow: usize,
        ip: &IpPart,
        rest: &Segment,
        observed: &Observed,
        whole: bool,
    ) -> Result<Option<Segment>, Stop> {
        let Content::Tcp(actual_ip, segment) = &observed.what else {
            return Err(self.mismatch(event, "another packet", observed));
        };
        if observed.flow != Some(flow) {
            return Err(self.mismatch(event, "another connection", observed));
        }
        let wrong_ip = ip_differences(ip, actual_ip);
        if !wrong_ip.is_empty() {
            let actual = format!("> {actual_ip}{}", segment.in_script(&self.flows[flow]));
            return Err(Stop::failed(
                event.line,
                wrong_ip.join(", "),
                event.source.clone(),
                actual,
            ));
        }
        let piece = self.piece(flow, rest, segment);
        let part = match &piece {
            Some(_) => Part::Piece,
            None if whole => Part::Whole,
            None => Part::Last,
        };
        self.compare(event, flow, piece.as_ref().unwrap_or(rest), observed, part)?;
        Ok(piece)
    }

    /// The next packet, if it comes within the span.
    fn awaited(&mut self, event: &Event, span: &Span) -> Result<Observed, Stop> {
        let limit = span.to + span.tolerance;
        self.drop_bare_acks();
        while self.unclaimed.is_empty() && self.now < limit {
            self.step(limit)?;
            self.drop_bare_acks();
        }
        let Some(observed) = self.unclaimed.pop_front() else {
            return Err(Stop::failed(
                event.line,
                "nothing was sent",
                event.source.clone(),
                format!("nothing by {}", clock(limit)),
            ));
        };
        // Numbers must be learned before the packet is printed.
        if let Action::Expect(Packet {
            ip,
            body: Body::Tcp(expected),
        }) = &event.action
            && let Content::Tcp(_, segment) = &observed.what
            && let Some(flow) = observed.flow
            && flow == self.flow_for(ip.port)
        {
            self.learn(flow, expected, segment);
        }
        let early = observed.at + span.tolerance < span.from;
        if early || observed.at > limit {
            let at = clock(observed.at);
            let what = if early { "too early" } else { "too late" };
            let actual = format!("{at} > {}", observed.describe(&self.flows));
            let expected = format!("{} at {}", event.source, clock(span.from));
            self.trace_observed(&observed);
            return Err(Stop::failed(event.line, what, expected, actual));
        }
        self.base = if span.open || self.settings.real_time() {
            observed.at
        } else {
            span.to
        };
        Ok(observed)
    }

    /// Learns the stack's numbers from a segment whose line names them.
    fn learn(&mut self, flow: usize, expected: &Segment, segment: &WireSegment) {
        let flow = &mut self.flows[flow];
        if expected.flags.contains(Flags::SYN) && segment.flags().contains(Flags::SYN) {
            flow.learn_local_isn(segment.seq, expected.seq.unwrap_or_default());
        }
        let val = expected.options.iter().flatten().find_map(timestamp);
        if let (Some(val), Some(wire)) = (val, segment.timestamp())
            && !(self.setup.check_timestamps && flow.timestamp_to_script(wire).is_some())
        {
            flow.learn_timestamp(val, wire);
        }
    }

    /// The part of `rest` in `segment`, if it is a proper part that may be sent separately: a
    /// full-sized segment of a longer line, or any part under a profile that permits a different
    /// segmentation.
    fn piece(&self, flow: usize, rest: &Segment, segment: &WireSegment) -> Option<Segment> {
        let len = segment.payload.len() as u32;
        if len == 0 || len >= rest.len {
            return None;
        }
        let mtu = self.setup.environment.mtu;
        let full = self.flows[flow].segment_size(mtu, segment.header_options_len);
        let may_be_cut = self.settings.profile != Profile::Strict || len as usize == full;
        may_be_cut.then(|| Segment {
            len,
            ..rest.clone()
        })
    }

    fn compare(
        &self,
        event: &Event,
        flow: usize,
        expected: &Segment,
        observed: &Observed,
        part: Part,
    ) -> Result<(), Stop> {
        let Content::Tcp(_, segment) = &observed.what else {
            return Err(self.mismatch(event, "another packet", observed));
        };
        let flow = &self.flows[flow];
        let actual = segment.in_script(flow);
        let mut wrong = differences(expected, &actual, self.settings, part);
        let offset = flow.local_offset(actual.seq.unwrap_or_default(), actual.flags);
        if segment.payload != stream_bytes(offset, segment.payload.len()) {
            wrong.push("payload");
        }
        let clocks = expected.options.iter().flatten().find_map(timestamp);
        let clocks = clocks.zip(actual.options.iter().flatten().find_map(timestamp));
        let off = 1 + self.settings.slack.as_millis();
        if self.setup.check_timestamps
            && clocks.is_some_and(|(e, a)| {
                u128::from(a.wrapping_sub(e).cast_signed().unsigned_abs()) > off
            })
        {
            wrong.push("timestamp");
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Stop::failed(
            event.line,
            wrong.join(", "),
            format!("> {expected}"),
            format!("> {actual}"),
        ))
    }

    fn mismatch(&self, event: &Event, what: &str, observed: &Observed) -> Stop {
        Stop::failed(
            event.line,
            what,
            event.source.clone(),
            format!(
                "{} > {}",
                clock(observed.at),
                observed.describe(&self.flows)
            ),
        )
    }

    /// Fails if a packet is unclaimed.
    pub(super) fn silence(&mut self, line: usize, before: &str) -> Result<(), Stop> {
        self.drop_bare_acks();
        match self.unclaimed.front() {
            None => Ok(()),
            Some(observed) => Err(Stop::failed(
                line,
                "a packet that no line expects",
                format!("silence before {before}"),
                format!(
                    "{} > {}",
                    clock(observed.at),
                    observed.describe(&self.flows)
                ),
            )),
        }
    }

    /// After the last event a stack may retransmit data that the script has left unacknowledged,
    /// and may send nothing else.
    pub(super) fn aftermath(&mut self, line: usize) -> Result<(), Stop> {
        self.unclaimed.retain(|observed| !observed.again);
        self.silence(line, "a second after the end of the script")
    }

    // ---- pure acknowledgments of a stack that may choose when to send them ----

    /// Whether `expected` is a pure acknowledgment that may be late under the profile.
    fn may_be_late(&self, expected: &Segment) -> bool {
        let bare = expected.flags == Flags::ACK && expected.len == 0;
        bare && expected.ack.is_some() && self.settings.profile == Profile::Bsd
    }

    /// Processes a packet as soon as it is sent.
    pub(super) fn note(&mut self, observed: &mut Observed) {
        if let (Content::Tcp(_, segment), Some(flow)) = (&observed.what, observed.flow) {
            let (seq, len) = (segment.seq, segment.sequence_len());
            observed.again = self.flows[flow].note_sent(seq, len, segment.flags());
        }
        self.settle_owed(observed);
    }

    /// Removes the expected acknowledgments that a packet contains.
    fn settle_owed(&mut self, observed: &Observed) {
        let (Content::Tcp(_, segment), Some(flow)) = (&observed.what, observed.flow) else {
            return;
        };
        let segment = segment.in_script(&self.flows[flow]);
        self.owed
            .retain(|owed| owed.flow != flow || !owed.is_in(&segment));
    }

    fn drop_bare_acks(&mut self) {
        if self.settings.profile != Profile::Bsd {
            return;
        }
        while let Some(observed) = self.unclaimed.pop_front_if(
            |observed| matches!(&observed.what, Content::Tcp(_, segment) if segment.is_pure_ack()),
        ) {
            self.trace_observed(&observed);
        }
    }

    /// Fails if an expected acknowledgment is too late.
    pub(super) fn check_owed(&self) -> Result<(), Stop> {
        match self.owed.iter().find(|owed| owed.deadline < self.now) {
            None => Ok(()),
            Some(owed) => Err(Stop::failed(
                owed.line,
                "no acknowledgment",
                owed.source.clone(),
                format!("nothing by {}", clock(owed.deadline)),
            )),
        }
    }
}

fn timestamp(option: &TcpOpt) -> Option<u32> {
    match option {
        TcpOpt::Timestamps { val, .. } => *val,
        _ => None,
    }
}
