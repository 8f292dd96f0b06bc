//! A record of segments on the link, states of both ends, and results of the applications' calls.
//! All output is produced from it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use millstream_engine::{State, Stimulus};
use serde::Serialize;

use crate::segment::{Decoder, Segment};

/// One of the hosts of a trace.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// Its name in the scenario.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

/// The record of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Trace {
    /// The hosts: the first is drawn on the left.
    pub hosts: Vec<Host>,
    /// The events, in order.
    pub entries: Vec<Entry>,
    #[serde(skip)]
    decoder: Decoder,
}

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The time in seconds since the first packet could be sent.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// The event.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of events.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A segment passed the point of capture.
    Segment(Box<Segment>),
    /// A connection changed its state.
    State(Change),
    /// A call of an application returned.
    Call(Call),
    /// An action on a host or on the link.
    Remark {
        /// A description of the action.
        text: String,
    },
}

/// A change of state.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The host: an index into [`Trace::hosts`].
    pub host: usize,
    /// The host's end of the connection.
    pub local: SocketAddr,
    /// The other end; all zeros if a port begins to listen.
    pub peer: SocketAddr,
    /// The state before.
    #[serde(serialize_with = "name")]
    pub from: State,
    /// The state after.
    #[serde(serialize_with = "name")]
    pub to: State,
    /// The cause, if known; the kernel does not report it.
    #[serde(skip)]
    pub stimulus: Option<Stimulus>,
}

/// An application's call and its result.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// The host of the application: an index into [`Trace::hosts`].
    pub host: usize,
    /// The call in the form of program text.
    pub call: String,
    /// The result: a value, or an error's text as in `strerror`.
    pub answer: Result<String, String>,
}

/// The fate of a packet on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It arrives.
    Passed,
    /// It never arrives.
    Lost,
    /// It is delayed, and then it arrives.
    Held,
}

impl Change {
    /// A port begins to listen; the peer is not known yet.
    #[must_use]
    pub fn listens(host: usize, local: SocketAddr) -> Self {
        Self {
            host,
            local,
            peer: (Ipv4Addr::UNSPECIFIED, 0).into(),
            from: State::Closed,
            to: State::Listen,
            stimulus: Some(Stimulus::PassiveOpen),
        }
    }
}

impl Trace {
    /// An empty record.
    #[must_use]
    pub fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            entries: Vec::new(),
            decoder: Decoder::default(),
        }
    }

    /// Adds an event. [`finish`](Self::finish) puts the events in order.
    pub fn push(&mut self, at: Duration, what: What) {
        self.entries.push(Entry { at, what });
    }

    /// Adds a packet captured at `at`; `complete` fills in the fields that only the link and the
    /// sender know. Packets other than TCP are ignored.
    pub fn push_packet(
        &mut self,
        at: Duration,
        packet: &[u8],
        complete: impl FnOnce(&mut Segment),
    ) {
        if let Some(mut segment) = self.decoder.decode(packet) {
            complete(&mut segment);
            self.push(at, What::Segment(Box::new(segment)));
        }
    }

    /// Sorts the events by time.
    pub fn finish(&mut self) {
        self.entries.sort_by_key(|entry| entry.at);
    }

    /// The index of the host with this address.
    #[must_use]
    pub fn host_of(&self, address: IpAddr) -> Option<usize> {
        self.hosts.iter().position(|host| host.address == address)
    }

    /// An end in the notation of classic traces, `bsd1.1099`.
    #[must_use]
    pub fn end(&self, end: SocketAddr) -> String {
        match self.host_of(end.ip()) {
            Some(host) => format!("{}.{}", self.hosts[host].name, end.port()),
            None => end.to_string(),
        }
    }

    /// The segments with their times.
    pub fn segments(&self) -> impl Iterator<Item = (Duration, &Segment)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Segment(segment) => Some((entry.at, &**segment)),
            _ => None,
        })
    }

    /// The changes of state.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::State(change) => Some(change),
            _ => None,
        })
    }

    /// One line for each segment: ends, flags, relative sequence numbers, window, options, and its
    /// fate.
    #[must_use]
    pub fn segment_lines(&self) -> Vec<String> {
        let line = |(_, segment): (Duration, &Segment)| {
            let (from, to) = (self.end(segment.from), self.end(segment.to));
            let fate = match segment.fate {
                Fate::Passed => "",
                Fate::Lost => " lost",
                Fate::Held => " held",
            };
            format!("{from} > {to}: {}{fate}", segment.summary())
        };
        self.segments().map(line).collect()
    }

    /// Each end of each connection, in the order of their first changes, with its states. The path
    /// of a port that begins with LISTEN starts with CLOSED. An end that is used again after it was
    /// closed continues its list.
    #[must_use]
    pub fn paths(&self) -> Vec<((SocketAddr, SocketAddr), Vec<State>)> {
        let mut paths: Vec<((SocketAddr, SocketAddr), Vec<State>)> = Vec::new();
        for change in self.changes().filter(|change| change.peer.port() != 0) {
            let key = (change.local, change.peer);
            let at = paths.iter().position(|(k, _)| *k == key);
            let at = at.unwrap_or_else(|| {
                paths.push((key, Vec::new()));
                paths.len() - 1
            });
            let states = &mut paths[at].1;
            if states.is_empty() && change.from == State::Listen {
                states.push(State::Closed);
            }
            if states.last() != Some(&change.from) {
                states.push(change.from);
            }
            states.push(change.to);
        }
        paths
    }

    /// [`paths`](Self::paths) with one line for each end.
    #[must_use]
    pub fn path_lines(&self) -> Vec<String> {
        let line = |((local, peer), states): ((SocketAddr, SocketAddr), Vec<State>)| {
            let names: Vec<_> = states.iter().map(|state| state.name()).collect();
            let (local, peer) = (self.end(local), self.end(peer));
            format!("{local} with {peer}: {}", names.join(" -> "))
        };
        self.paths().into_iter().map(line).collect()
    }

    /// One line for each result of a call.
    #[must_use]
    pub fn call_lines(&self) -> Vec<String> {
        let line = |entry: &Entry| match &entry.what {
            What::Call(call) => Some(format!("{}: {call}", self.hosts[call.host].name)),
            _ => None,
        };
        self.entries.iter().filter_map(line).collect()
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.answer {
            Ok(value) => write!(f, "{} = {value}", self.call),
            Err(error) => write!(f, "{} fails: {error}", self.call),
        }
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn name<S: serde::Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}
