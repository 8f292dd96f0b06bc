//! The ways through the diagram that the figure marks.

use millstream_engine::{Arrow, State};

/// Which way an arrow belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// The normal client, which opens and closes actively.
    Client,
    /// The normal server, which opens and closes passively.
    Server,
    /// Both sides open, or close, at once.
    Simultaneous,
    /// None of these.
    Other,
}

use State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived,
    SynSent, TimeWait,
};

/// The states of each way in order. An arrow belongs to the first that has it.
pub const WALKS: &[(Path, &[State])] = &[
    (
        Path::Client,
        &[
            Closed,
            SynSent,
            Established,
            FinWait1,
            FinWait2,
            TimeWait,
            Closed,
        ],
    ),
    (
        Path::Server,
        &[
            Closed,
            Listen,
            SynReceived,
            Established,
            CloseWait,
            LastAck,
            Closed,
        ],
    ),
    (Path::Simultaneous, &[SynSent, SynReceived, Established]),
    (Path::Simultaneous, &[FinWait1, Closing, TimeWait]),
];

impl Path {
    /// All, in the order of the legend.
    pub const ALL: [Self; 4] = [Self::Client, Self::Server, Self::Simultaneous, Self::Other];

    /// The way that `arrow` belongs to.
    #[must_use]
    pub fn of(arrow: &Arrow) -> Self {
        let found = WALKS
            .iter()
            .find(|(_, walk)| walk.windows(2).any(|step| step == [arrow.from, arrow.to]));
        found.map_or(Self::Other, |(path, _)| *path)
    }

    /// Its name in the legend.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Simultaneous => "simultaneous",
            Self::Other => "other",
        }
    }

    /// The colour of its arrows, as SVG and dot have it.
    #[must_use]
    pub const fn color(self) -> &'static str {
        match self {
            Self::Client => "#1f5fbf",
            Self::Server => "#2e8540",
            Self::Simultaneous => "#b5541c",
            Self::Other => "#707070",
        }
    }

    /// The dashes of its arrows, as SVG has them; none for a full line.
    #[must_use]
    pub const fn dashes(self) -> Option<&'static str> {
        match self {
            Self::Client => None,
            Self::Server => Some("9 4"),
            Self::Simultaneous => Some("2 4"),
            Self::Other => Some("1 3"),
        }
    }
}
