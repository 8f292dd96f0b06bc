//! The scenarios, one in each file: their events, and the points to observe.

mod bulk;
mod s1_state_diagram;
mod s2_two_msl;
mod s3_reset;
mod s4_half_open;
mod s5_simultaneous_open;
mod s6_simultaneous_close;
mod s7_header;
mod s8_options;

use std::time::Duration;

use anyhow::Result;
use millstream_engine::Config;

use crate::classic::{Example, Printed};
use crate::over_tun::OverTun;
use crate::trace::Trace;

/// One scenario.
pub struct Scenario {
    /// The tutorial's section, with a letter if it has several scenarios: `S3b`.
    pub id: &'static str,
    /// A line for the list.
    pub title: &'static str,
    /// The points to observe.
    pub about: &'static str,
    /// Runs it over memory.
    pub memory: fn() -> Result<Trace>,
    /// Runs it over TUN, with the kernel as one host; `None` if it runs only over memory.
    pub tun: Option<OverTun>,
    /// The classic trace that it reproduces, if there is one.
    pub printed: Option<&'static Printed>,
    /// Example bytes of this section.
    pub examples: &'static [Example],
}

impl Scenario {
    /// Its name and its title.
    #[must_use]
    pub fn heading(&self) -> String {
        format!("{}: {}", self.id, self.title)
    }
}

/// All scenarios in the tutorial's order; the last belongs to no section.
pub const ALL: [&Scenario; 16] = [
    &s1_state_diagram::LIFE,
    &s1_state_diagram::NO_ANSWER,
    &s1_state_diagram::FIN_WITH_ACK,
    &s2_two_msl::LAST_ACK_LOST,
    &s2_two_msl::ADDRESS_IN_USE,
    &s2_two_msl::ANY_PORT,
    &s3_reset::REFUSED,
    &s3_reset::ABORT,
    &s4_half_open::REBOOT,
    &s4_half_open::KEEPALIVE,
    &s5_simultaneous_open::SCENARIO,
    &s6_simultaneous_close::SCENARIO,
    &s7_header::SCENARIO,
    &s8_options::EVERY_OPTION,
    &s8_options::WHAT_BOTH_OFFER,
    &bulk::SCENARIO,
];

/// The scenarios with this name: `S3b` is one, `S3` all of its section, `all` all scenarios.
#[must_use]
pub fn named(name: &str) -> Vec<&'static Scenario> {
    let name = name.to_ascii_lowercase();
    let wanted = |id: &str| {
        let id = id.to_ascii_lowercase();
        id == name || id.trim_end_matches(['a', 'b', 'c']) == name
    };
    let all = ALL.into_iter();
    all.filter(|scenario| name == "all" || wanted(scenario.id))
        .collect()
}

/// A host with default settings.
fn plain(_: &mut Config) {}

/// A host like those of the classic traces: segments of `mss` bytes, a buffer of `window`, no
/// option except the segment size, windows equal to the free space, and the lower bound of the
/// retransmission timeout by RFC 6298.
fn of_the_time(config: &mut Config, mss: u16, window: usize) {
    let socket = &mut config.socket;
    socket.max_segment_size = Some(mss);
    socket.receive_buffer = window;
    socket.window_step = Some(1);
    socket.timestamps = false;
    socket.sack = false;
    socket.window_scaling = false;
    socket.min_rto = Duration::from_secs(1);
}
