//! The table of limits for the figures of each attack.
//!
//! It contains only counts and bytes, which are the same on every machine. The time that an attack
//! costs is reported, not judged.

use crate::report::Limit::{self, AtLeast, AtMost};

/// The attack, the figure, and its limit. An unanswered SYN-ACK is sent six times, as on Linux: 6.5
/// bytes for each byte of the SYN.
const LIMITS: &[(&str, &str, Limit)] = &[
    ("syn-flood", "honest clients served, %", AtLeast(100.0)),
    ("syn-flood", "slowest honest client, ms", AtMost(50.0)),
    ("syn-flood", "bytes held a packet", AtMost(64.0)),
    ("syn-flood", "bytes answered a byte", AtMost(1.2)),
    (
        "syn-flood-small-backlog",
        "honest clients served, %",
        AtLeast(100.0),
    ),
    (
        "syn-flood-small-backlog",
        "bytes held a packet",
        AtMost(64.0),
    ),
    (
        "syn-flood-small-backlog",
        "bytes answered a byte",
        AtMost(1.2),
    ),
    (
        "syn-flood-cookies-always",
        "honest clients served, %",
        AtLeast(100.0),
    ),
    (
        "syn-flood-cookies-always",
        "bytes held a packet",
        AtMost(64.0),
    ),
    (
        "syn-flood-cookies-always",
        "bytes answered a byte",
        AtMost(1.0),
    ),
    ("syn-flood-cookies-off", "bytes held a packet", AtMost(64.0)),
    (
        "syn-flood-cookies-off",
        "bytes answered a byte",
        AtMost(1.0),
    ),
    (
        "syn-flood-self-reset",
        "honest clients served, %",
        AtLeast(100.0),
    ),
    ("syn-flood-self-reset", "bytes held a packet", AtMost(64.0)),
    ("cookie-guess", "connections made", AtMost(0.0)),
    ("cookie-guess", "bytes answered a byte", AtMost(1.0)),
    ("same-syn", "answers", AtMost(3.0)),
    ("one-spoofed-syn", "answers", AtMost(6.0)),
    ("one-spoofed-syn", "bytes answered a byte", AtMost(6.5)),
    (
        "any-flood-admitted",
        "honest clients served, %",
        AtLeast(100.0),
    ),
    ("any-flood-admitted", "bytes answered a byte", AtMost(6.5)),
    (
        "any-flood-undecided",
        "honest clients served, %",
        AtLeast(100.0),
    ),
    ("any-flood-undecided", "bytes answered a byte", AtMost(1.0)),
    (
        "any-flood-one-source",
        "honest clients served, %",
        AtLeast(100.0),
    ),
    ("blind-reset", "connections that live", AtLeast(1.0)),
    ("blind-reset", "throughput, % of before", AtLeast(95.0)),
    ("blind-syn", "connections that live", AtLeast(1.0)),
    ("blind-syn", "throughput, % of before", AtLeast(95.0)),
    ("blind-ack", "connections that live", AtLeast(1.0)),
    ("blind-ack", "throughput, % of before", AtLeast(95.0)),
    (
        "blind-icmp-unreachable",
        "connections that live",
        AtLeast(1.0),
    ),
    (
        "blind-icmp-unreachable",
        "throughput, % of before",
        AtLeast(95.0),
    ),
    ("blind-icmp-too-big", "connections that live", AtLeast(1.0)),
    (
        "blind-icmp-too-big",
        "segment size after it",
        AtLeast(1300.0),
    ),
    (
        "port-prediction",
        "ports guessed in 8 steps, %",
        AtMost(1.0),
    ),
    (
        "isn-prediction",
        "numbers guessed in 64 KiB, %",
        AtMost(0.1),
    ),
    (
        "segment-smack",
        "bytes held a byte of the buffer",
        AtMost(2.0),
    ),
    ("segment-smack", "bytes counted a byte held", AtLeast(0.66)),
    (
        "one-byte-pieces",
        "bytes counted a byte held",
        AtLeast(0.66),
    ),
    (
        "pinned-chunks",
        "bytes held a byte of the budget",
        AtMost(1.5),
    ),
    ("pinned-chunks", "bytes held a byte unread", AtMost(2.1)),
    (
        "ack-division",
        "segments that the window grew for one acknowledged",
        AtMost(1.01),
    ),
    (
        "duplicate-acks",
        "segments sent for 1,000 duplicates",
        AtMost(11.0),
    ),
    (
        "optimistic-acks",
        "segments sent for one beyond what was sent",
        AtMost(1.0),
    ),
    ("tiny-mss", "bytes a packet", AtLeast(76.0)),
    (
        "zero-window",
        "innocent throughput, % of before",
        AtLeast(80.0),
    ),
    (
        "zero-window",
        "bytes held a byte of the budget",
        AtMost(1.5),
    ),
    (
        "slow-readers",
        "bytes held a byte of the budget",
        AtMost(1.5),
    ),
    ("fin-wait-2", "bytes held a connection", AtMost(512.0)),
    ("fin-wait-2", "resets sent", AtMost(0.0)),
    (
        "fin-wait-2",
        "honest closes without a reset, %",
        AtLeast(100.0),
    ),
    ("fin-wait-2", "records left after 200 s", AtMost(0.0)),
    (
        "orphans",
        "honest closes without a reset, %",
        AtLeast(100.0),
    ),
    ("orphans", "records left after an hour", AtMost(0.0)),
    ("time-wait", "bytes held a connection", AtMost(256.0)),
    ("time-wait", "records worked off in a call", AtMost(4096.0)),
    ("time-wait", "records left", AtMost(0.0)),
    (
        "fragments-endless",
        "honest datagrams answered, %",
        AtLeast(100.0),
    ),
    ("fragments-endless", "bytes held", AtMost(5_000_000.0)),
    (
        "fragments-endless-many-sources",
        "bytes held",
        AtMost(5_000_000.0),
    ),
    ("fragments-tiny", "bytes held", AtMost(5_000_000.0)),
    ("fragments-overlapping", "datagrams taken", AtMost(0.0)),
    ("fragments-overlapping", "bytes held", AtMost(5_000_000.0)),
    ("martians", "answers", AtMost(0.0)),
    ("bad-headers", "answers", AtMost(0.0)),
    ("reflection", "reset, bytes a byte", AtMost(1.0)),
    (
        "reflection",
        "UDP to a closed port, bytes a byte",
        AtMost(2.0),
    ),
    ("reflection", "unknown protocol, bytes a byte", AtMost(2.0)),
    (
        "reflection",
        "echo of a multicast source, bytes a byte",
        AtMost(0.0),
    ),
    (
        "reflection",
        "ICMP errors for 10,000 datagrams at once",
        AtMost(1000.0),
    ),
    ("device-gone", "waiting tasks told", AtLeast(3.0)),
    ("device-gone", "connections left", AtMost(0.0)),
    ("device-gone", "turns of another task", AtLeast(500.0)),
    ("device-send-error", "turns of another task", AtLeast(500.0)),
    ("device-full", "turns of another task", AtLeast(500.0)),
    (
        "device-interrupted",
        "turns of another task",
        AtLeast(500.0),
    ),
    ("executor-stall", "segments sent again", AtMost(0.0)),
    ("clock-jump", "transfers that went on", AtLeast(1.0)),
    ("application-panics", "transfers that went on", AtLeast(1.0)),
    ("application-panics", "connections left", AtMost(0.0)),
    ("runtime-dropped", "bytes left", AtMost(65_536.0)),
];

/// The limit of the given figure, if it has one.
pub(crate) fn of(attack: &str, figure: &str) -> Option<Limit> {
    let row = LIMITS
        .iter()
        .find(|(of, name, _)| (*of, *name) == (attack, figure));
    row.map(|(_, _, limit)| *limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack;

    #[test]
    fn every_row_is_of_an_attack_that_exists() {
        for (name, figure, _) in LIMITS {
            let known = attack::all().any(|attack| attack.name == *name);
            assert!(known, "{name}: {figure}");
        }
    }
}
