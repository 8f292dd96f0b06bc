//! Extracts the connections of a capture, in bounded memory.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use millstream_testbed::capture::{Reader, Record};
use millstream_wire::ip::{self, Packet};
use millstream_wire::tcp::View;

use super::Connection;
use super::series::Seen;
use crate::decode::{Scales, data_len};

/// The maximum number of packets.
const MAX_PACKETS: u64 = 200_000;
/// The maximum number of connections.
const MAX_CONNECTIONS: usize = 4096;

/// The contents of a capture.
pub struct Capture {
    /// Its connections, in the order of their first segments.
    pub connections: Vec<Connection>,
    /// The error that ended the reading; a truncated capture, or one that is still being written,
    /// ends like that.
    pub damage: Option<anyhow::Error>,
}

/// Reads the connections of a capture as far as it is valid.
///
/// # Errors
/// If the file is not a capture, is damaged before its first packet, or has more packets or
/// connections than a graph can show.
pub fn read(path: &Path) -> Result<Capture> {
    let mut tables = Tables::default();
    let mut packets = 0;
    for record in Reader::open(path)? {
        let record = record.with_context(|| format!("after packet {packets}"));
        let record = match record {
            Err(damage) if packets > 0 => {
                return Ok(Capture {
                    connections: tables.connections,
                    damage: Some(damage),
                });
            }
            record => record.with_context(|| path.display().to_string())?,
        };
        packets += 1;
        ensure!(
            packets <= MAX_PACKETS,
            "more than {MAX_PACKETS} packets: cut the capture, for example with editcap -c"
        );
        tables.take(&record)?;
    }
    Ok(Capture {
        connections: tables.connections,
        damage: None,
    })
}

/// The congestion window in a packet's comment, in bytes: the number in the word `cwnd=N`.
#[must_use]
pub fn cwnd_of(comment: &str) -> Option<u32> {
    let word = comment
        .split([' ', ',', ';', '\n'])
        .find_map(|word| word.strip_prefix("cwnd="));
    word?.parse().ok()
}

#[derive(Default)]
struct Tables {
    connections: Vec<Connection>,
    /// The latest connection of each pair of addresses, the lower address first.
    latest: HashMap<(SocketAddr, SocketAddr), usize>,
    scales: Scales,
    began: Option<Duration>,
}

impl Tables {
    fn take(&mut self, record: &Record) -> Result<()> {
        let began = *self.began.get_or_insert(record.time);
        let Some(bytes) = record.ip()? else {
            return Ok(());
        };
        // Packets without a complete TCP header belong to no connection.
        let Ok(packet) = Packet::parse_truncated(bytes) else {
            return Ok(());
        };
        if packet.protocol() != ip::TCP || packet.fragment().is_some() {
            return Ok(());
        }
        let Ok(segment) = View::parse(packet.payload()) else {
            return Ok(());
        };
        let from = SocketAddr::new(packet.src(), segment.src_port());
        let to = SocketAddr::new(packet.dst(), segment.dst_port());
        let seen = Seen {
            time: record.time.saturating_sub(began).as_secs_f64(),
            segment: &segment,
            data: data_len(&packet, &segment),
            scale: self.scales.of(from, to, &segment),
            cwnd: record.comments.iter().find_map(|comment| cwnd_of(comment)),
        };
        let index = self.index(from, to, &segment)?;
        self.connections[index].take(from, seen);
        Ok(())
    }

    /// The index of a segment's connection, which is created if necessary.
    fn index(&mut self, from: SocketAddr, to: SocketAddr, segment: &View<'_>) -> Result<usize> {
        let key = if from <= to { (from, to) } else { (to, from) };
        if let Some(index) = self.latest.get(&key)
            && !self.connections[*index].is_over(from, segment)
        {
            return Ok(*index);
        }
        let index = self.connections.len();
        ensure!(
            index < MAX_CONNECTIONS,
            "more than {MAX_CONNECTIONS} connections: cut the capture, for example with tcpdump -r FILE -w CUT port N"
        );
        self.connections.push(Connection::new(from, to));
        self.latest.insert(key, index);
        Ok(index)
    }
}
