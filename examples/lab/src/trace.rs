//! What happened: segments on the link, states of both ends, and what the applications were told, in one
//! record from which everything is printed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use millstream_engine::{State, Stimulus};
use serde::Serialize;

use crate::segment::{Decoder, Segment};

/// One of the hosts of a trace.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// What the scenario calls it.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

/// The record of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Trace {
    /// The hosts: the first is drawn on the left.
    pub hosts: Vec<Host>,
    /// What happened, in order.
    pub entries: Vec<Entry>,
    #[serde(skip)]
    decoder: Decoder,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// When, in seconds since the first packet could be sent.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A segment passed the place where the trace is taken.
    Segment(Box<Segment>),
    /// A connection changed its state.
    State(Change),
    /// An application was told something.
    Call(Call),
    /// Somebody did something to a host or to the link.
    Remark {
        /// In a sentence.
        text: String,
    },
}

/// A change of state.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// Whose: an index into [`Trace::hosts`].
    pub host: usize,
    /// Its end of the connection.
    pub local: SocketAddr,
    /// The other end; all zeros where a port begins to listen.
    pub peer: SocketAddr,
    /// The state before.
    #[serde(serialize_with = "name")]
    pub from: State,
    /// The state after.
    #[serde(serialize_with = "name")]
    pub to: State,
    /// The cause, where it is known; the kernel does not tell.
    #[serde(skip)]
    pub stimulus: Option<Stimulus>,
}

/// What an application asked for and what it was told.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Whose application: an index into [`Trace::hosts`].
    pub host: usize,
    /// What it asked for, as it would stand in a program.
    pub call: String,
    /// The answer: a value, or an error's text as `strerror` has it.
    pub answer: Result<String, String>,
}

/// What became of a packet on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It arrives.
    Passed,
    /// It never arrives.
    Lost,
    /// It was kept for a while, and then it arrives.
    Held,
}

impl Change {
    /// A port begins to listen: to whom is not known yet.
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
    /// A record of nothing yet.
    #[must_use]
    pub fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            entries: Vec::new(),
            decoder: Decoder::default(),
        }
    }

    /// Notes that something happened. The order is put right by [`finish`](Self::finish).
    pub fn push(&mut self, at: Duration, what: What) {
        self.entries.push(Entry { at, what });
    }

    /// Notes a packet that passed at `at`, of which `complete` fills in what only the link and the sender know. What
    /// is not TCP is left out.
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

    /// Puts everything in the order of time.
    pub fn finish(&mut self) {
        self.entries.sort_by_key(|entry| entry.at);
    }

    /// The host with that address.
    #[must_use]
    pub fn host_of(&self, address: IpAddr) -> Option<usize> {
        self.hosts.iter().position(|host| host.address == address)
    }

    /// An end as classic traces write it, `bsd1.1099`.
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

    /// A line a segment: who to whom, flags, relative numbers, window, options, and its fate.
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

    /// Each end of each connection, in the order of their first changes, and the states that it was in. One that begins
    /// with LISTEN comes of a port that was CLOSED before. An end that comes again after it was closed continues its list.
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

    /// [`paths`](Self::paths), a line an end.
    #[must_use]
    pub fn path_lines(&self) -> Vec<String> {
        let line = |((local, peer), states): ((SocketAddr, SocketAddr), Vec<State>)| {
            let names: Vec<_> = states.iter().map(|state| state.name()).collect();
            let (local, peer) = (self.end(local), self.end(peer));
            format!("{local} with {peer}: {}", names.join(" -> "))
        };
        self.paths().into_iter().map(line).collect()
    }

    /// A line for each answer that an application got.
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
