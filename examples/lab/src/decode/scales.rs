//! The window scale of each direction of each connection, learned from the SYNs.

use std::collections::HashMap;
use std::net::SocketAddr;

use millstream_wire::WindowScale;
use millstream_wire::tcp::{Flags, Options, View};

/// The maximum number of directions; when it is reached, all of them are forgotten.
const MAX: usize = 65_536;

/// Window scales by direction.
#[derive(Clone, Debug, Default)]
pub struct Scales {
    forced: Option<WindowScale>,
    /// The scale offered in the SYN of each direction; `None` for a SYN without the option.
    offers: HashMap<(SocketAddr, SocketAddr), Option<WindowScale>>,
}

impl Scales {
    /// Uses `forced` for every direction; with `None` the scales are learned.
    #[must_use]
    pub fn new(forced: Option<WindowScale>) -> Self {
        Self {
            forced,
            offers: HashMap::new(),
        }
    }

    /// The scale for every segment, if one was given.
    #[must_use]
    pub fn forced(&self) -> Option<WindowScale> {
        self.forced
    }

    /// Processes a segment, and returns the scale of its window: none on a SYN (RFC 7323 2.2), zero
    /// if one of the two ends did not offer the option, and `None` if the SYNs were not seen.
    pub fn of(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        segment: &View<'_>,
    ) -> Option<WindowScale> {
        if segment.flags().contains(Flags::SYN) {
            let offer = Options::parse(segment.options_bytes()).window_scale;
            if self.offers.len() >= MAX {
                self.offers.clear();
            }
            self.offers.insert((from, to), offer.map(WindowScale::new));
            return Some(WindowScale::default());
        }
        self.forced.or_else(|| self.learned(from, to))
    }

    fn learned(&self, from: SocketAddr, to: SocketAddr) -> Option<WindowScale> {
        let own = *self.offers.get(&(from, to))?;
        let other = *self.offers.get(&(to, from))?;
        Some(own.filter(|_| other.is_some()).unwrap_or_default())
    }
}
