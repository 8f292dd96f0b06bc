//! Changes of a link over time.

use std::collections::VecDeque;
use std::time::Duration;

use millstream_engine::Instant;

use super::LinkConfig;

/// A link's configuration and its changes, at times counted from the origin of the clock: the start
/// of a simulation or a bridge, or the creation of a device.
///
/// ```
/// use std::time::Duration;
/// use millstream_netsim::{LinkConfig, Schedule};
///
/// let tunnel = Schedule::new(LinkConfig::new().rate(10_000_000))
///     .at(Duration::from_secs(5), |link| link.cut())
///     .at(Duration::from_secs(8), |link| link.mended().rate(2_000_000));
/// # let _ = tunnel;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Schedule {
    pub(super) first: LinkConfig,
    changes: VecDeque<(Instant, LinkConfig)>,
}

impl Schedule {
    /// A schedule that begins with `first`.
    pub fn new(first: LinkConfig) -> Self {
        Self {
            first,
            changes: VecDeque::new(),
        }
    }

    /// Changes the link at `time`; `change` receives the configuration that applies before.
    ///
    /// # Panics
    /// If `time` is earlier than that of a change already added.
    pub fn at(mut self, time: Duration, change: impl FnOnce(LinkConfig) -> LinkConfig) -> Self {
        let time = Instant::ZERO + time;
        let before = match self.changes.back() {
            Some((last, config)) => {
                assert!(
                    *last <= time,
                    "changes must be added in the order of their times"
                );
                config
            }
            None => &self.first,
        };
        let after = change(before.clone());
        self.changes.push_back((time, after));
        self
    }

    /// The time of the next change.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.changes.front().map(|(time, _)| *time)
    }

    /// Removes the next change and returns the configuration that it leads to.
    pub(super) fn pop(&mut self) -> Option<LinkConfig> {
        self.changes.pop_front().map(|(_, config)| config)
    }
}

impl From<LinkConfig> for Schedule {
    fn from(config: LinkConfig) -> Self {
        Self::new(config)
    }
}
