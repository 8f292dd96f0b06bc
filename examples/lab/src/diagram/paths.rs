//! The paths through the diagram that the figure highlights.

use millstream_engine::{Arrow, State};

/// The path to which an arrow belongs.
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

/// The states of each path in order. An arrow belongs to the first path that contains it.
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
    /// All paths, in the order of the legend.
    pub const ALL: [Self; 4] = [Self::Client, Self::Server, Self::Simultaneous, Self::Other];

    /// The path to which `arrow` belongs.
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

    /// The colour of its arrows, in the form that SVG and dot share.
    #[must_use]
    pub const fn color(self) -> &'static str {
        match self {
            Self::Client => "#1f5fbf",
            Self::Server => "#2e8540",
            Self::Simultaneous => "#b5541c",
            Self::Other => "#707070",
        }
    }

    /// The dash pattern of its arrows for SVG; `None` for a solid line.
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
