//! The window scale of each direction of each connection, learned from the SYNs.

use std::collections::HashMap;
use std::net::SocketAddr;

use millstream_wire::WindowScale;
use millstream_wire::tcp::{Flags, Options, View};

/// Directions remembered; a capture with more is remembered from then on anew.
const MAX: usize = 65_536;

/// Window scales by direction; see the module.
#[derive(Clone, Debug, Default)]
pub struct Scales {
    forced: Option<WindowScale>,
    /// What the SYN of each direction offered; `None` for a SYN without the option.
    offers: HashMap<(SocketAddr, SocketAddr), Option<WindowScale>>,
}

impl Scales {
    /// `forced` for every direction, or what is learned where there is none.
    #[must_use]
    pub fn new(forced: Option<WindowScale>) -> Self {
        Self {
            forced,
            offers: HashMap::new(),
        }
    }

    /// The scale that counts for every segment, if it was given.
    #[must_use]
    pub fn forced(&self) -> Option<WindowScale> {
        self.forced
    }

    /// Takes notice of a segment, and gives the scale of its window: none on a SYN (RFC 7323 2.2), zero when one of the
    /// two sides did not offer one, and `None` when the SYNs were not seen.
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
