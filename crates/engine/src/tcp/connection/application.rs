//! The application's operations on an open connection: read, write, query.

use bytes::Bytes;

use super::space::FIRST_BYTE;
use super::{Context, Owed, Tcb};
use crate::config::SocketOptions;
use crate::congestion::pacing::Pacer;
use crate::error::{ConnectionError, WriteError};
use crate::event::Readiness;
use crate::read::Read;
use crate::tcp::info::TcpInfo;
use crate::tcp::recovery::scoreboard::DUP_THRESH;
use crate::tcp::state::State;
use crate::time::Instant;

/// Free bytes of the send buffer that always wake a waiting writer.
const ENOUGH_ROOM: usize = 1 << 20;

impl Tcb {
    /// Moves up to `max` received bytes to `out`.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        max: usize,
        out: &mut impl Extend<Bytes>,
    ) -> Result<Read, ConnectionError> {
        let length = self.receiver.buf.read(max, out);
        if length > 0 {
            self.tune_receive_buffer(now);
            self.update_window_after_read();
            if self.receiver.buf.is_empty() && self.receiver.ack.is_due_when_read() {
                self.owed |= Owed::ACK;
            }
            self.receiver.pass_urgent_mark();
            return Ok(Read::Data(length));
        }
        self.nothing_to_read(max)
    }

    /// Copies references to up to `max` received bytes to `out` and leaves the bytes in the buffer.
    pub(crate) fn peek(
        &mut self,
        max: usize,
        out: &mut impl Extend<Bytes>,
    ) -> Result<Read, ConnectionError> {
        let length = self.receiver.buf.peek(max, out);
        if length > 0 {
            Ok(Read::Data(length))
        } else {
            self.nothing_to_read(max)
        }
    }

    fn nothing_to_read(&mut self, max: usize) -> Result<Read, ConnectionError> {
        if max == 0 && !self.receiver.buf.is_empty() {
            return Ok(Read::Data(0));
        }
        if self.receiver.rcv.fin_received() {
            // The whole stream has been read, whatever happened afterwards.
            return Ok(Read::Eof);
        }
        if let Some(error) = self.app.take_error() {
            return Err(error);
        }
        if self.at_eof() {
            Ok(Read::Eof)
        } else {
            Ok(Read::WouldBlock)
        }
    }

    /// Whether the end of the stream is reached.
    fn at_eof(&self) -> bool {
        self.receiver.rcv.fin_received() || self.app.read_shutdown || self.state == State::Closed
    }

    /// Whether a read returns something from the peer: data, its FIN, or the failure of the
    /// connection.
    pub(crate) fn has_unread(&self) -> bool {
        !self.receiver.buf.is_empty()
            || self.app.error.is_some()
            || self.receiver.rcv.fin_received()
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.has_enough_to_read() || self.app.error.is_some() || self.at_eof()
    }

    /// Whether as much data waits as the reader has asked for, or no more will arrive before it
    /// reads.
    fn has_enough_to_read(&self) -> bool {
        let waits = self.receiver.buf.len();
        let enough = self.options.receive_low_water;
        let enough = enough.min(self.buffers.receive_limit());
        waits > 0 && (waits >= enough || self.is_window_used_up())
    }

    /// The reason why a write is impossible, if any.
    pub(crate) fn write_status(&mut self) -> Result<(), WriteError> {
        if let Some(error) = self.app.take_error() {
            return Err(WriteError::Connection(error));
        }
        if self.sender.fin_queued || self.app.error_reported || self.state == State::Closed {
            return Err(WriteError::BrokenPipe);
        }
        if !self.state.may_send() {
            return Err(WriteError::Shutdown);
        }
        Ok(())
    }

    /// Bytes that a write would accept.
    pub(crate) fn write_capacity(&self) -> usize {
        if self.state.may_send() && !self.sender.fin_queued {
            self.buffers
                .send_limit()
                .saturating_sub(self.sender.buf.len())
        } else {
            0
        }
    }

    /// Whether a waiting writer should be woken: a third of the buffer is free, so that it is not
    /// woken for every segment (as on Linux). For a large buffer a smaller part is enough: on a
    /// path that could hold the whole buffer in flight, free space reduces the flight size.
    pub(crate) fn has_room_to_write(&self) -> bool {
        let limit = self.buffers.send_limit();
        let enough = limit - limit / 3 * 2;
        self.sender.buf.len() <= limit - enough.min(ENOUGH_ROOM)
    }

    pub(crate) fn is_writable(&self) -> bool {
        let open = self.state.may_send() && !self.sender.fin_queued && self.app.error.is_none();
        !open || (self.state != State::SynSent && self.has_room_to_write())
    }

    /// Copies as much of `data` as fits (RFC 9293 MAY-16).
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        self.write_status()?;
        let data = data.get(..self.write_capacity()).unwrap_or(data);
        self.sender.buf.push_slice(data);
        Ok(data.len())
    }

    /// Moves as much of the front of `data` as fits, at most `most` bytes, without a copy. `data`
    /// keeps `pinned` bytes of memory alive.
    pub(crate) fn write_bytes(
        &mut self,
        data: &mut Bytes,
        most: usize,
        pinned: usize,
    ) -> Result<usize, WriteError> {
        self.write_status()?;
        let length = data.len().min(self.write_capacity()).min(most);
        if length > 0 {
            self.sender.buf.push(data.split_to(length), pinned);
        }
        Ok(length)
    }

    /// Writes as `write` does, and marks the end of `data` as urgent (RFC 9293 3.8.5, MUST-30,
    /// MUST-31).
    pub(crate) fn write_urgent(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        let length = self.write(data)?;
        if length > 0 {
            self.sender.snd.up = Some(self.sender.buf.end());
        }
        Ok(length)
    }

    /// Applies the immediate effects of changed options.
    pub(crate) fn on_options_changed(&mut self, had: &SocketOptions, cx: &mut Context<'_>) {
        self.start_keepalive(cx.now);
        if self.sender.stalled_since.is_some() {
            self.restart_stall(cx.now);
        }
        if !self.options.cork {
            self.owed -= Owed::HELD_DATA;
        } else if self.options.nodelay && !had.nodelay {
            self.push();
        }
        self.buffers.on_options_changed(had, &self.options);
        if self.options.receive_buffer > had.receive_buffer {
            self.update_window_after_read();
        }
        self.sender
            .rtt
            .set_bounds(self.options.min_rto, self.options.max_rto);
        self.sender.congestion.change(self.options.congestion);
        self.sender
            .congestion
            .set_pace(cx.now, self.options.pacing_wish(), self.sender.rtt.srtt());
        // A larger send buffer may have made room, and less data may be enough for the reader.
        self.app.readiness |= Readiness::WRITABLE;
        if self.is_readable() {
            self.app.readiness |= Readiness::READABLE;
        }
    }

    /// Sends data held back by a cork or Nagle's algorithm, if less than a segment is unsent; data
    /// written later is held back again.
    pub(crate) fn push(&mut self) {
        if (1..u64::from(self.segment_len())).contains(&self.sender.unsent()) {
            self.owed |= Owed::HELD_DATA;
        }
    }

    pub(crate) fn info(&self) -> TcpInfo {
        let board = &self.sender.recovery.board;
        let findings = self.sender.recovery.findings();
        let data_acked = self.sender.snd.una.saturating_sub(FIRST_BYTE);
        let data_sent = self
            .sender
            .snd
            .nxt
            .min(self.sender.buf.end())
            .saturating_sub(FIRST_BYTE);
        let received = self.receiver.rcv.nxt - FIRST_BYTE;
        TcpInfo {
            state: *self.state,
            timestamps: self.agreed.timestamps,
            sack: self.agreed.sack,
            ecn: self.agreed.ecn,
            ecn_seen: self.ecn.seen,
            snd_wscale: self.agreed.snd_scale.shift(),
            rcv_wscale: self.agreed.rcv_scale.shift(),
            rto: self.sender.rtt.rto(),
            rtt: self.sender.rtt.srtt(),
            rtt_var: self.sender.rtt.rttvar(),
            min_rtt: self.sender.rtt.min_rtt(),
            snd_mss: self.sender.snd.mss,
            pmtu: self.sender.path.mtu(),
            advmss: u32::from(self.agreed.advertised_mss),
            cwnd: self.sender.congestion.cwnd(),
            ssthresh: self.sender.congestion.ssthresh(),
            snd_wnd: self.sender.snd.wnd,
            rcv_wnd: self.receiver.rcv.wnd().min(u64::from(u32::MAX)) as u32,
            bytes_in_flight: self.sender.snd.flight(),
            bytes_sacked: board.sacked(),
            bytes_lost: board.lost() + board.in_flight_again(),
            bytes_retrans_out: board.in_flight_again(),
            notsent_bytes: self.sender.unsent(),
            bytes_sent: data_sent + self.tally.bytes_retrans,
            bytes_retrans: self.tally.bytes_retrans,
            bytes_acked: data_acked - u64::from(self.sender.fin_acked()),
            bytes_received: received - u64::from(self.receiver.rcv.fin_received()),
            segs_out: self.tally.segs_out,
            segs_in: self.tally.segs_in,
            total_retrans: self.tally.retrans,
            retransmits: u32::from(self.sender.retries),
            probes: u32::from(self.probes),
            rcv_space: self.buffers.receive_limit(),
            snd_space: self.buffers.send_limit(),
            readable_bytes: self.receiver.buf.len() as u64,
            lost: board.lost_ever(),
            ca_state: self.sender.recovery.ca_state(),
            reordering: findings.reordering.max(DUP_THRESH),
            delivered: self.tally.delivered,
            delivered_ce: self.tally.delivered_ce,
            data_segs_out: self.tally.data_segs_out,
            data_segs_in: self.tally.data_segs_in,
            ato: self.options.delayed_ack,
            dsack_dups: findings.duplicates,
            reord_seen: findings.reorderings,
            pacing_rate: self.sender.congestion.pacer().and_then(Pacer::rate),
            delivery_rate: findings.delivery_rate,
            congestion: self.sender.congestion.name(),
        }
    }
}
