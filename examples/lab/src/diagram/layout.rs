//! The positions of the states: as in RFC 9293 figure 5, with CLOSED at the top and again at the
//! bottom right.

use millstream_engine::State;

/// Columns of the grid.
pub const COLUMNS: u8 = 3;
/// Rows of the grid.
pub const ROWS: u8 = 7;
/// The position at which arrows to CLOSED end.
pub const END: (u8, u8) = (2, 6);

/// The column and row of a state, from the top left.
#[must_use]
pub const fn place(state: State) -> (u8, u8) {
    match state {
        State::Closed => (1, 0),
        State::Listen => (1, 1),
        State::SynReceived => (0, 2),
        State::SynSent => (2, 2),
        State::Established => (1, 3),
        State::FinWait1 => (0, 4),
        State::CloseWait => (2, 4),
        State::FinWait2 => (0, 5),
        State::Closing => (1, 5),
        State::LastAck => (2, 5),
        State::TimeWait => (1, 6),
    }
}

/// The position at which an arrow to `state` ends.
#[must_use]
pub const fn target(state: State) -> (u8, u8) {
    match state {
        State::Closed => END,
        other => place(other),
    }
}
