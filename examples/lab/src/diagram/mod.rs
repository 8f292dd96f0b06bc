//! The state diagram, drawn from the engine's one table of transitions, so that it cannot drift from it.
//!
//! [`layout`] says where the states stand, [`paths`] which way an arrow belongs to; [`text()`], [`dot()`] and
//! [`svg()`] draw.

mod dot;
mod figure;
pub mod layout;
pub mod paths;
mod svg;
mod text;

use millstream_engine::Stimulus;

pub use self::dot::dot;
pub use self::svg::{group, sheet, size, svg};
pub use self::text::text;

/// What triggers an arrow, and what is sent upon it, in the words of RFC 9293 figure 5.
#[must_use]
pub fn label(stimulus: Stimulus) -> &'static str {
    match stimulus {
        Stimulus::PassiveOpen => "passive OPEN",
        Stimulus::ActiveOpen => "active OPEN / snd SYN",
        Stimulus::Syn => "rcv SYN / snd SYN,ACK",
        Stimulus::SynAck => "rcv SYN,ACK / snd ACK",
        Stimulus::AckOfSyn => "rcv ACK of SYN",
        Stimulus::Close => "CLOSE / snd FIN",
        Stimulus::Fin => "rcv FIN / snd ACK",
        Stimulus::AckOfFin => "rcv ACK of FIN",
        Stimulus::FinAndAckOfFin => "rcv FIN,ACK of FIN / snd ACK",
        Stimulus::TwoMslTimeout => "2MSL time-out",
        Stimulus::Abort => "RST, abort or time-out",
    }
}

/// What the figure leaves out, as RFC 9293's does.
pub const NOTE: &str = "A reset, an abort or a time-out leads from every state to CLOSED.";
