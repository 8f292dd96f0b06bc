//! The sizes of a connection's buffers: as large as its path can use.
//!
//! - [`receive`]: dynamic right-sizing, by the amount that the reader takes in a round trip;
//! - this file: the send buffer, by the congestion window, and reductions under memory pressure.
//!
//! The options of a connection bound its buffers and, above them, the memory of the stack does.

mod receive;

use crate::config::SocketOptions;
use crate::memory::Pressure;

pub(crate) use self::receive::ReceiveTuner;

/// Bytes that each direction of a connection may hold when memory is exhausted.
pub(crate) const FLOOR: usize = 16 * 1024;

/// Minimum size in bytes of the receive buffer and the send buffer, whatever was requested (Linux's
/// `SOCK_MIN_RCVBUF` and `SOCK_MIN_SNDBUF`). With less nothing could be sent or received.
const MIN_RECEIVE: usize = 2304;
const MIN_SEND: usize = 4608;

/// Maximum size in bytes: the largest window (RFC 7323 2.2).
const MAX_BUFFER: usize = 1 << 30;

/// Initial size in bytes of the receive buffer of a connection with these options.
pub(crate) fn first_receive_buffer(options: &SocketOptions) -> usize {
    options.receive_buffer.clamp(MIN_RECEIVE, MAX_BUFFER)
}

fn first_send_buffer(options: &SocketOptions) -> usize {
    options.send_buffer.clamp(MIN_SEND, MAX_BUFFER)
}

/// The sizes of a connection's two buffers.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) receive: ReceiveTuner,
    /// Bytes that the application may write ahead of the peer's acknowledgments.
    send: usize,
    pressure: Pressure,
    /// Whether data written now would make no progress.
    is_blocked: bool,
}

impl Buffers {
    pub(crate) fn new(options: &SocketOptions) -> Self {
        Self {
            receive: ReceiveTuner::new(first_receive_buffer(options)),
            send: first_send_buffer(options),
            pressure: Pressure::None,
            is_blocked: false,
        }
    }

    /// The application chose other sizes: tuning continues from them.
    pub(crate) fn on_options_changed(&mut self, had: &SocketOptions, has: &SocketOptions) {
        if had.receive_buffer != has.receive_buffer {
            self.receive.limit = first_receive_buffer(has);
        }
        if had.send_buffer != has.send_buffer {
            self.send = first_send_buffer(has);
        }
    }

    pub(crate) fn set_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
    }

    /// Sets whether data written now would make no progress. The last quarter of the memory is not
    /// available to it.
    pub(crate) fn hold_back(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
    }

    /// Whether memory allows a buffer to grow.
    pub(crate) fn may_grow(&self) -> bool {
        self.pressure == Pressure::None
    }

    /// Maximum number of bytes received and not yet read.
    pub(crate) fn receive_limit(&self) -> usize {
        self.under_pressure(self.receive.limit)
    }

    /// Maximum number of bytes written and not yet acknowledged.
    pub(crate) fn send_limit(&self) -> usize {
        if self.is_blocked && self.pressure >= Pressure::Moderate {
            return self.send.min(FLOOR);
        }
        self.under_pressure(self.send)
    }

    /// Bytes accepted in order on a connection whose unread data holds `held` bytes of memory. Data
    /// within the offered window is accepted unless memory is exhausted.
    pub(crate) fn room_in_order(&self, held: usize) -> usize {
        if self.pressure == Pressure::Critical {
            FLOOR.saturating_sub(held)
        } else {
            usize::MAX
        }
    }

    /// Maximum number of bytes kept out of order, if memory is too short to keep the whole offered
    /// window.
    pub(crate) fn out_of_order_limit(&self) -> Option<usize> {
        match self.pressure {
            Pressure::None | Pressure::Moderate => None,
            Pressure::Severe => Some(FLOOR),
            Pressure::Critical => Some(0),
        }
    }

    /// The congestion window limits sending at `cwnd` bytes: as many again may wait in the buffer,
    /// so that the window stays full while the writer is woken (Linux's `tcp_sndbuf_expand`).
    pub(crate) fn on_cwnd_limited(&mut self, cwnd: u32, max: usize) {
        if self.may_grow() {
            let wanted = (cwnd as usize).saturating_mul(2).min(max).min(MAX_BUFFER);
            self.send = self.send.max(wanted);
        }
    }

    fn under_pressure(&self, limit: usize) -> usize {
        if self.pressure >= Pressure::Severe {
            limit.min(FLOOR)
        } else {
            limit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers() -> Buffers {
        Buffers::new(&SocketOptions::default().send_buffer(100_000))
    }

    #[test]
    fn the_send_buffer_follows_the_congestion_window_and_never_shrinks_by_it() {
        let mut buffers = buffers();
        for (cwnd, expected) in [
            (40_000, 100_000),
            (90_000, 180_000),
            (10_000, 180_000),
            (900_000, 300_000),
        ] {
            buffers.on_cwnd_limited(cwnd, 300_000);
            assert_eq!(buffers.send_limit(), expected);
        }
    }

    #[test]
    fn a_size_above_the_largest_stays() {
        let mut buffers = buffers();
        buffers.on_cwnd_limited(1 << 20, 50_000);
        assert_eq!(buffers.send_limit(), 100_000);
    }

    #[test]
    fn pressure_first_stops_growth_and_then_takes_room_until_it_is_over() {
        let mut buffers = buffers();
        buffers.set_pressure(Pressure::Moderate);
        buffers.on_cwnd_limited(90_000, 300_000);
        assert_eq!(buffers.send_limit(), 100_000);
        buffers.set_pressure(Pressure::Severe);
        assert_eq!(buffers.send_limit(), FLOOR);
        assert_eq!(buffers.receive_limit(), FLOOR);
        assert_eq!(buffers.out_of_order_limit(), Some(FLOOR));
        assert!(buffers.room_in_order(100_000) > 1 << 30);
        buffers.set_pressure(Pressure::Critical);
        assert_eq!(buffers.send_limit(), FLOOR);
        assert_eq!(buffers.out_of_order_limit(), Some(0));
        assert_eq!(buffers.room_in_order(1000), FLOOR - 1000);
        assert_eq!(buffers.room_in_order(100_000), 0);
        buffers.set_pressure(Pressure::None);
        assert_eq!(buffers.send_limit(), 100_000);
        assert_eq!(buffers.out_of_order_limit(), None);
    }
}
