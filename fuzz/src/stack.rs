//! The invariants of a stack, at any time and after its end.

use millstream_engine::{
    Admission, Arrow, AttemptId, ConnectionId, Event, Instant, ListenerId, Stack, State, Stimulus,
    TRANSITIONS, Transition, Transmit,
};

use bytes::Bytes;

/// The limit of packets in a row: more do not fit in the data written to connections between two
/// points in time.
const ENDLESS: usize = 200_000;

/// Fails on a change of state that the state diagram does not have.
pub fn watch(stack: &mut Stack) {
    stack.set_observer(Some(Box::new(|change: &Transition| {
        let Transition {
            from, stimulus, to, ..
        } = *change;
        let known = TRANSITIONS.contains(&Arrow { from, stimulus, to });
        let aborted = stimulus == Stimulus::Abort && to == State::Closed;
        assert!(known || aborted, "from {from} to {to} by {stimulus:?}");
    })));
}

/// Takes all packets and events that are ready. The packets parse, and fit the device.
pub fn drain(stack: &mut Stack, now: Instant, mut take: impl FnMut(Bytes)) {
    let mut out = Transmit::new();
    let mut count = 0;
    while stack.poll_transmit(now, &mut out) {
        count += 1;
        assert!(count < ENDLESS, "output does not end");
        take(packet(stack, &out));
    }
    while let Some(event) = stack.poll_event() {
        count += 1;
        assert!(count < ENDLESS, "events do not end");
        if let Event::Connection(id, readiness) = event {
            assert!(!readiness.is_empty());
            assert!(
                stack.state(id).is_some(),
                "news of a connection that nobody holds"
            );
        }
    }
}

/// The bytes of a packet that the stack has given out.
pub fn packet(stack: &Stack, out: &Transmit) -> Bytes {
    let config = stack.config();
    let largest = match out.segment_size() {
        Some(size) => {
            assert!(size > 0);
            config
                .offload
                .max_segment
                .saturating_add(out.header().len())
        }
        None => config.mtu,
    };
    assert!(
        out.len() <= largest.min(65_575),
        "{} bytes, at most {largest}",
        out.len()
    );
    let mut bytes = Vec::new();
    out.write_to(&mut bytes);
    assert_eq!(bytes.len(), out.len());
    bytes.into()
}

/// Fires the timers that are due until none is left.
pub fn fire(stack: &mut Stack, now: Instant) {
    for _ in 0..10_000 {
        stack.handle_timeout(now);
        if stack.poll_timeout().is_none_or(|next| next > now) {
            return;
        }
    }
    panic!(
        "timers do not come to rest at {now:?}: {:?}",
        stack.poll_timeout()
    );
}

/// Queries everything, also by the identifiers of removed objects.
pub fn ask(stack: &Stack, ids: &[ConnectionId], listeners: &[ListenerId], attempts: &[AttemptId]) {
    for &id in ids {
        let held = stack.state(id).is_some();
        assert_eq!(held, stack.options(id).is_some());
        assert_eq!(
            held,
            stack.local_addr(id).is_some() && stack.peer_addr(id).is_some()
        );
        assert!(
            stack
                .options(id)
                .is_none_or(|options| options.validate().is_ok())
        );
        let _ = (
            stack.is_write_closed(id),
            stack.is_read_closed(id),
            stack.is_flushed(id),
        );
        let _ = (
            stack.is_readable(id),
            stack.is_writable(id),
            stack.has_unread(id),
        );
        let _ = (
            stack.has_failed(id),
            stack.soft_error(id),
            stack.direct_header_len(id),
        );
        let (readable, mark) = (stack.readable_bytes(id), stack.urgent_mark(id));
        let Some(info) = stack.info(id) else {
            assert_eq!((readable, mark, stack.write_capacity(id)), (0, None, 0));
            continue;
        };
        assert_eq!(info.readable_bytes, readable as u64);
        assert!(info.bytes_sacked <= info.bytes_in_flight, "{info:?}");
        assert!(info.bytes_lost <= info.bytes_in_flight, "{info:?}");
        assert!(info.bytes_retrans <= info.bytes_sent, "{info:?}");
    }
    for &id in listeners {
        assert_eq!(
            stack.listener_addr(id).is_some(),
            stack.listener_options(id).is_some()
        );
    }
    for &id in attempts {
        assert!(
            !matches!(stack.peek_admission(id), Admission::Established(_))
                || stack.connection_count() > 0
        );
    }
    let _ = (
        stack.has_output(),
        stack.counters(),
        stack.memory_pressure(),
    );
    assert!(stack.orphan_count() <= stack.connection_count());
    bounded(stack);
}

/// Checks the memory bound that `Config::memory` promises.
fn bounded(stack: &Stack) {
    let config = stack.config();
    let shared = config.memory.saturating_add(config.memory / 4);
    let connections = stack.connection_count().saturating_mul(64 << 10);
    // When memory is used up, one datagram of each direction; the memory may be twice its length.
    let sockets = stack.udp_count().saturating_mul(4 * (65_535 + 256));
    let most = shared
        .saturating_add(connections)
        .saturating_add(sockets)
        .saturating_add(65_535);
    assert!(
        stack.memory_used() <= most,
        "{} bytes of {most}",
        stack.memory_used()
    );
}

/// Ends everything: nothing is left.
pub fn end(stack: &mut Stack, now: Instant) {
    stack.abort_all(now);
    drain(stack, now, drop);
    let left: Vec<_> = stack.sockets().collect();
    assert!(left.is_empty(), "left: {left:?}");
    assert_eq!(
        (
            stack.connection_count(),
            stack.time_wait_count(),
            stack.orphan_count()
        ),
        (0, 0, 0)
    );
    assert_eq!(stack.udp_count(), 0);
    assert_eq!(stack.memory_used(), 0, "memory that nobody holds");
    assert_eq!(stack.poll_timeout(), None, "a timer that is nobody's");
}
