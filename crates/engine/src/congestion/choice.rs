//! The choice of a congestion control algorithm, by its name in `TCP_CONGESTION`.

use std::fmt;
use std::str::FromStr;

use crate::congestion::Algorithm;

/// The congestion control algorithm of a connection. The names are those of `TCP_CONGESTION`:
/// `reno`, `cubic` and `bbr`, and that of an external [`Algorithm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionControl {
    /// NewReno (RFC 5681, RFC 6582).
    NewReno,
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    #[default]
    Cubic,
    /// BBR, version 3 (draft-ietf-ccwg-bbr): based on a model of the path, and paced.
    Bbr,
    /// An algorithm from outside the engine.
    Custom(&'static Algorithm),
}

impl CongestionControl {
    /// All algorithms of the engine.
    pub const ALL: [Self; 3] = [Self::NewReno, Self::Cubic, Self::Bbr];

    /// The name in `TCP_CONGESTION`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Custom(algorithm) => algorithm.name,
        }
    }

    /// Whether the algorithm may need to know of the first flight when it is sent.
    pub(crate) const fn wants_first_flight(self) -> bool {
        matches!(self, Self::Bbr | Self::Custom(_))
    }

    /// The algorithm of the engine with that name, or `None` if there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for CongestionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CongestionControl {
    type Err = UnknownCongestionControl;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name).ok_or(UnknownCongestionControl)
    }
}

/// No congestion control algorithm has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such congestion control algorithm")]
pub struct UnknownCongestionControl;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn congestion_controls_are_named_as_linux_names_them() {
        for kind in CongestionControl::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("cubic".parse(), Ok(CongestionControl::Cubic));
        assert_eq!(
            "vegas".parse::<CongestionControl>(),
            Err(UnknownCongestionControl)
        );
    }
}
