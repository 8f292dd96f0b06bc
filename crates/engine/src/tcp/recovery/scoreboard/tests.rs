use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MSS: u32 = 1000;

fn board(segments: u64) -> Scoreboard {
    let mut board = Scoreboard::new();
    for i in 0..segments {
        board.on_sent(i * 1000, (i + 1) * 1000, Instant::from_millis(i));
    }
    board
}

#[test]
fn three_segments_sacked_above_a_hole_make_it_lost() {
    let mut board = board(10);
    board.on_sack(1000, 3000, MSS);
    assert!(!board.judge_by_sack(MSS));
    board.on_sack(1000, 4000, MSS);
    assert!(board.judge_by_sack(MSS));
    assert_eq!(board.next_retransmission(1000), Some((0, 1000)));
    assert_eq!(
        (board.in_flight(), board.lost(), board.sacked()),
        (6000, 1000, 3000)
    );
    board.on_retransmitted(0, 1000, Instant::from_millis(20));
    assert_eq!((board.in_flight(), board.lost()), (7000, 0));
    assert_eq!(board.next_retransmission(1000), None);
    assert!(
        !board.judge_by_sack(MSS),
        "a retransmission is not lost by the same SACKs"
    );
}

#[test]
fn three_ranges_count_though_they_are_small() {
    let mut board = Scoreboard::new();
    for i in 0..8 {
        board.on_sent(i * 10, (i + 1) * 10, Instant::ZERO);
    }
    board.on_sack(10, 20, MSS);
    board.on_sack(30, 40, MSS);
    assert!(!board.judge_by_sack(MSS));
    board.on_sack(50, 60, MSS);
    assert!(board.judge_by_sack(MSS));
    assert_eq!(board.lost(), 10);
}

#[test]
fn holes_are_filled_in_order() {
    let mut board = board(10);
    board.on_sack(1000, 2000, MSS);
    board.on_sack(3000, 4000, MSS);
    board.on_sack(5000, 10_000, MSS);
    assert!(board.judge_by_sack(MSS));
    let mut sent = Vec::new();
    while let Some((start, end)) = board.next_retransmission(1000) {
        board.on_retransmitted(start, end, Instant::from_millis(30));
        sent.push(start);
    }
    assert_eq!(sent, [0, 2000, 4000]);
}

#[test]
fn a_timeout_loses_all_but_what_is_sacked() {
    let mut board = board(4);
    board.on_sack(2000, 3000, MSS);
    board.judge_all();
    assert_eq!(
        (board.in_flight(), board.lost(), board.sacked()),
        (0, 3000, 1000)
    );
}

/// RFC 2018 8.
#[test]
fn a_timeout_spares_what_is_recent_but_not_the_oldest() {
    let mut board = board(4);
    board.judge_first(MSS);
    board.on_retransmitted(0, 1000, Instant::from_millis(9));
    assert_eq!(board.in_flight_again(), 1000);
    let spared = board.judge_all_but(|at| at >= Instant::from_millis(2));
    assert_eq!(spared, Some(2000));
    assert_eq!((board.in_flight(), board.lost()), (2000, 2000));
    assert_eq!(board.in_flight_again(), 0);
}

#[test]
fn a_timeout_with_the_oldest_sacked_forgets_the_sacks() {
    let mut board = board(4);
    board.on_sack(0, 1000, MSS);
    board.judge_all();
    assert_eq!(
        (board.in_flight(), board.lost(), board.sacked()),
        (0, 4000, 0)
    );
}

#[test]
fn a_retransmitted_segment_gives_no_round_trip_time() {
    let mut board = board(2);
    board.judge_first(MSS);
    board.on_retransmitted(0, 1000, Instant::from_millis(50));
    let delivered = board.on_ack(1000, MSS);
    assert_eq!((delivered.bytes, delivered.sent_at), (1000, None));
    assert_eq!(
        board.on_ack(2000, MSS).sent_at,
        Some(Instant::from_millis(1))
    );
}

#[derive(Clone, Debug)]
enum Op {
    Send(u64),
    Ack(u64),
    Sack(u64, u64),
    Judge,
    Timeout,
    Overdue(u64),
    LoseNothing,
    Retransmit(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u64..3000).prop_map(Op::Send),
        2 => (0u64..2000).prop_map(Op::Ack),
        4 => (0u64..8000, 1u64..3000).prop_map(|(a, b)| Op::Sack(a, b)),
        2 => Just(Op::Judge),
        1 => Just(Op::Timeout),
        4 => (0u64..20).prop_map(Op::Overdue),
        1 => Just(Op::LoseNothing),
        3 => (1u64..2000).prop_map(Op::Retransmit),
    ]
}

#[test]
fn a_peer_cannot_cut_segments_into_bytes() {
    let mut board = Scoreboard::new();
    board.on_sent(0, 10_000, Instant::ZERO);
    board.on_sent(10_000, 10_300, Instant::ZERO);
    for start in (1000..9000).step_by(2) {
        assert_eq!(board.on_sack(start, start + 1, MSS).bytes, 0);
    }
    assert_eq!(board.flight.iter().count(), 2);
    // A segment that is held in part is rounded to full segments; the small segment is held whole.
    assert_eq!(board.on_sack(1500, 3500, MSS).bytes, 1000);
    assert_eq!(board.on_sack(4000, 10_300, MSS).bytes, 6300);
    assert_eq!(board.on_sack(10_100, 10_200, MSS).bytes, 0);
    assert_eq!((board.in_flight(), board.sacked()), (3000, 7300));
}

/// The number of visits that `step` causes in `rounds` calls.
fn work(board: &mut Scoreboard, rounds: u64, mut step: impl FnMut(&mut Scoreboard, u64)) -> u64 {
    let done = |board: &Scoreboard| board.flight.work.done() + board.tally.departures.work.done();
    let before = done(board);
    for round in 0..rounds {
        step(board, round);
    }
    done(board) - before
}

/// Judges the flight when the newest of `segments` segments has arrived, much later than they were
/// sent.
fn overdue(board: &mut Scoreboard, segments: u64) -> bool {
    let newest = Transmission {
        at: Instant::from_millis(segments - 1),
        serial: segments,
        end: segments * 1000,
    };
    let now = Instant::from_millis(100 * segments);
    board.judge_by_time(now, newest, |at| at).0
}

#[test]
fn losses_are_taken_back_once_for_a_flight() {
    const SEGMENTS: u64 = 10_000;
    let mut board = board(SEGMENTS);
    board.on_sack((SEGMENTS - 1) * 1000, SEGMENTS * 1000, MSS);
    let work = work(&mut board, 100, |board, round| {
        overdue(board, SEGMENTS);
        board.lose_nothing();
        board.on_ack((round + 1) * 1000, MSS);
    });
    // Each segment is judged lost, reverted, and judged lost again.
    assert!(work < 10 * SEGMENTS, "{work}");
    assert_eq!(board.in_flight(), 0, "the second time they stay lost");
    // The losses of another flight can be reverted again.
    board.on_ack(SEGMENTS * 1000, MSS);
    let end = (SEGMENTS + 1) * 1000;
    board.on_sent(SEGMENTS * 1000, end, Instant::from_millis(SEGMENTS));
    board.judge_all();
    board.lose_nothing();
    assert_eq!((board.in_flight(), board.lost()), (1000, 0));
}

/// RFC 2018 8.
#[test]
fn a_peer_that_takes_back_what_it_reported_is_not_believed_for_a_flight() {
    const SEGMENTS: u64 = 10_000;
    let mut board = board(SEGMENTS);
    let work = work(&mut board, 100, |board, round| {
        board.on_ack(round * 1000, MSS);
        board.on_sack((round + 1) * 1000, SEGMENTS * 1000, MSS);
        board.on_ack((round + 1) * 1000, MSS);
        assert_eq!(board.is_reneged(), round == 0);
        board.judge_all();
        assert_eq!(board.lost(), (SEGMENTS - round - 1) * 1000);
    });
    assert!(work < 5 * SEGMENTS, "{work}");
    board.on_ack(SEGMENTS * 1000, MSS);
    board.on_sent(SEGMENTS * 1000, (SEGMENTS + 2) * 1000, Instant::ZERO);
    let (left, right) = ((SEGMENTS + 1) * 1000, (SEGMENTS + 2) * 1000);
    assert_eq!(board.on_sack(left, right, MSS).bytes, 1000);
}

#[test]
fn timeouts_look_at_what_is_in_flight_alone() {
    const SEGMENTS: u64 = 10_000;
    let mut board = board(SEGMENTS);
    let first = work(&mut board, 1, |board, _| board.judge_all());
    let work = work(&mut board, 100, |board, _| {
        let (start, end) = board.next_retransmission(1000).unwrap();
        board.on_retransmitted(start, end, Instant::from_millis(SEGMENTS));
        board.judge_all();
    });
    assert!(first < 10 * SEGMENTS && work < 100 * 20, "{first}, {work}");
}

#[test]
fn what_arrives_against_the_order_of_time_is_looked_at_once() {
    const SEGMENTS: u64 = 10_000;
    let mut board = board(SEGMENTS);
    let newest = Transmission {
        at: Instant::from_millis(SEGMENTS - 1),
        serial: SEGMENTS,
        end: SEGMENTS * 1000,
    };
    let end = SEGMENTS * 1000;
    let work = work(&mut board, SEGMENTS / 2, |board, round| {
        board.on_sack(end - (round + 1) * 1000, end, MSS);
        let now = Instant::from_millis(SEGMENTS);
        let (found, due) = board.judge_by_time(now, newest, |at| at + Duration::from_secs(60));
        assert!(!found);
        let last = SEGMENTS - 2 - round;
        assert_eq!(
            due,
            Some(Instant::from_millis(last) + Duration::from_secs(60))
        );
    });
    assert!(work < 20 * SEGMENTS / 2, "{work}");
}

/// The data in flight that was sent before `newest`: for each piece, its time of sending and its
/// start.
fn sent_before(board: &Scoreboard, newest: Transmission) -> Vec<(Instant, u64)> {
    let before = |piece: &&Piece| {
        let older = piece.serial < newest.serial;
        let part = piece.serial == newest.serial && piece.start < newest.end;
        piece.fate == Fate::InFlight && (older || part)
    };
    let pieces = board.flight.iter().filter(before);
    pieces.map(|piece| (piece.sent_at, piece.start)).collect()
}

proptest! {
    /// Every byte between una and nxt is in exactly one of the states in flight, lost and sacked;
    /// the sums agree with a count of the segments.
    #[test]
    fn the_sums_agree_with_the_segments(ops in prop::collection::vec(op(), 1..120), mss in 1u32..20) {
        let mut board = Scoreboard::new();
        let (mut una, mut nxt) = (0u64, 0u64);
        let mut newest = None;
        for (i, op) in ops.into_iter().enumerate() {
            let now = Instant::from_millis(i as u64);
            let mut note = |delivered: Delivered| {
                newest = newest.max(delivered.newest).max(delivered.newest_again);
            };
            match op {
                Op::Send(len) => { board.on_sent(nxt, nxt + len, now); nxt += len; }
                Op::Ack(len) => { una = (una + len).min(nxt); note(board.on_ack(una, MSS)); }
                Op::Sack(from, len) => {
                    let (from, to) = ((una + from).min(nxt), (una + from + len).min(nxt));
                    if from < to { note(board.on_sack(from, to, mss)); }
                }
                Op::Judge => { board.judge_by_sack(MSS); }
                Op::LoseNothing => board.lose_nothing(),
                Op::Overdue(window) => if let Some(newest) = newest {
                    let due = |at: Instant| at + Duration::from_millis(window);
                    let (overdue, rest): (Vec<_>, Vec<_>) =
                        sent_before(&board, newest).into_iter().partition(|&(at, _)| due(at) <= now);
                    let (any, next) = board.judge_by_time(now, newest, due);
                    prop_assert_eq!(any, !overdue.is_empty());
                    prop_assert_eq!(sent_before(&board, newest), rest.clone());
                    let last = rest.into_iter().map(|(at, _)| at).max();
                    // Within the newest transmission, the board does not check which part is in
                    // flight.
                    prop_assert!(next == last.map(due) || last.is_some() && next == Some(due(newest.at)));
                },
                Op::Timeout => { board.judge_all_but(|at| at.as_millis() + 3 > i as u64); }
                Op::Retransmit(max) => if let Some((from, to)) = board.next_retransmission(max) {
                    prop_assert!(from >= una && to <= nxt && to > from);
                    board.on_retransmitted(from, to, now);
                },
            }
            let sum = |fate| board.flight.iter().filter(|s| s.fate == fate).map(Piece::len).sum::<u64>();
            prop_assert_eq!(sum(Fate::InFlight), board.in_flight());
            let again = board.flight.iter().filter(|s| s.fate == Fate::InFlight && s.repaired);
            prop_assert_eq!(again.map(Piece::len).sum::<u64>(), board.in_flight_again());
            prop_assert_eq!(sum(Fate::Lost), board.lost());
            prop_assert_eq!(sum(Fate::Sacked), board.sacked());
            prop_assert_eq!(board.in_flight() + board.lost() + board.sacked(), nxt - una);
            let waiting = board.flight.iter().find(|s| s.fate == Fate::Lost).map(|s| s.start);
            prop_assert_eq!(board.next_retransmission(u64::MAX).map(|r| r.0), waiting);
        }
    }
}
