//! The packets of a link: recorded during a test, and shown and written as pcapng if it fails.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use millstream_wire::pretty;
use tokio::time::Instant;

use crate::capture::Writer;

/// The fate of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The packet passed.
    Passed,
    /// The test dropped the packet.
    Dropped,
    /// The test holds the packet for a later release.
    Held,
}

/// One packet on the link.
#[derive(Clone, Debug)]
pub struct Record {
    /// Time since the start of the trace.
    pub at: Duration,
    /// Its fate.
    pub fate: Fate,
    /// Length of the packet on the link.
    pub length: usize,
    /// The packet from its IP header on, truncated to the trace's snapshot length.
    pub packet: Vec<u8>,
}

/// The last packets of a link, in order. Clones share the record.
#[derive(Clone)]
pub struct Trace {
    shared: Arc<Mutex<Records>>,
    began: Instant,
    limits: Limits,
}

/// The limits of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum number of packets; older ones are removed.
    pub packets: usize,
    /// The maximum number of bytes of each packet.
    pub snapshot: usize,
}

impl Limits {
    /// Every byte of every packet: for tests with a few packets.
    pub const EVERYTHING: Self = Self {
        packets: usize::MAX,
        snapshot: usize::MAX,
    };
    /// The headers of the last packets: for tests with much data.
    pub const HEADERS: Self = Self {
        packets: 50_000,
        snapshot: 160,
    };
}

#[derive(Default)]
struct Records {
    kept: VecDeque<Record>,
    seen: u64,
    watcher: Option<Box<dyn FnMut() + Send>>,
}

impl Records {
    fn tell(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher();
        }
    }
}

impl Trace {
    /// An empty trace that starts now.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            shared: Arc::default(),
            began: Instant::now(),
            limits,
        }
    }

    /// The start of the trace.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Makes `watcher` run after each packet, and after the release of each held packet; a sent
    /// packet has then been accepted by the kernel. It must not use the trace.
    pub fn watch(&self, watcher: impl FnMut() + Send + 'static) {
        self.lock().watcher = Some(Box::new(watcher));
    }

    /// Adds a packet.
    pub fn record(&self, packet: &[u8], fate: Fate) {
        let record = Record {
            at: self.began.elapsed(),
            fate,
            length: packet.len(),
            packet: packet[..packet.len().min(self.limits.snapshot)].to_vec(),
        };
        let mut records = self.lock();
        if records.kept.len() >= self.limits.packets {
            records.kept.pop_front();
        }
        records.kept.push_back(record);
        records.seen += 1;
        records.tell();
    }

    /// Calls the watcher after the release of a held packet.
    pub(crate) fn released(&self) {
        self.lock().tell();
    }

    /// The recorded packets, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.lock().kept.iter().cloned().collect()
    }

    /// The number of packets seen, including removed ones.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.lock().seen
    }

    /// The last `count` packets in tcpdump's notation.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        let records = self.lock();
        let mut printer = pretty::Trace::new();
        let first = records.kept.len().saturating_sub(count);
        records
            .kept
            .range(first..)
            .map(|record| line(&mut printer, record))
            .collect()
    }

    /// Writes the recorded packets to a pcapng file of raw IP packets.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_pcapng(&self, path: &Path) -> Result<()> {
        let mut writer = Writer::create(path)?;
        for record in &self.lock().kept {
            let comment = match record.fate {
                Fate::Passed => None,
                Fate::Dropped => Some("dropped by the test"),
                Fate::Held => Some("held by the test"),
            };
            let comments = comment.as_slice();
            writer.write_beginning(record.at, &record.packet, record.length, comments)?;
        }
        writer.finish()?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(printer: &mut pretty::Trace, record: &Record) -> String {
    let note = match record.fate {
        Fate::Passed => "",
        Fate::Dropped => "  (dropped by the test)",
        Fate::Held => "  (held by the test)",
    };
    let text = printer.line(&record.packet);
    format!("{:>12.6} {text}{note}", record.at.as_secs_f64())
}
