//! The scenarios, one a file: what is done to the hosts, and what to look at.

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
    /// The tutorial's section, with a letter where there are several: `S3b`.
    pub id: &'static str,
    /// A line for the list.
    pub title: &'static str,
    /// What to look at.
    pub about: &'static str,
    /// Plays it over memory.
    pub memory: fn() -> Result<Trace>,
    /// Plays it over TUN, with the kernel as the other host; `None` where it happens over memory only.
    pub tun: Option<OverTun>,
    /// The classic trace that it follows, where there is one.
    pub printed: Option<&'static Printed>,
    /// Bytes that this section takes apart.
    pub examples: &'static [Example],
}

impl Scenario {
    /// Its name and its title.
    #[must_use]
    pub fn heading(&self) -> String {
        format!("{}: {}", self.id, self.title)
    }
}

/// All of them, in the tutorial's order; the last is in none of its sections.
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

/// Those that `name` means: `S3b` is one, `S3` all of its letters, `all` all.
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

/// A host as stacks are today.
fn plain(_: &mut Config) {}

/// A host as those of the classic traces: segments of `mss` bytes, a buffer of `window`, no option but the segment
/// size, windows that tell exactly what is free, and RFC 6298's lower bound of the retransmission timeout.
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
