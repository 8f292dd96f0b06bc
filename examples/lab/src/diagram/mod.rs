//! The state diagram, drawn from the engine's table of transitions, so that both always agree.
//!
//! [`layout`] has the positions of the states, [`paths`] the classification of the arrows;
//! [`text()`], [`dot()`] and [`svg()`] draw the diagram.

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

/// The trigger of an arrow and the segment sent upon it, in the words of RFC 9293 figure 5.
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

/// The transitions that the figure omits, like that of RFC 9293.
pub const NOTE: &str = "A reset, an abort or a time-out leads from every state to CLOSED.";
