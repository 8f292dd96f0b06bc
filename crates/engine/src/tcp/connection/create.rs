//! The creation of a connection: actively, by a local SYN, or from the half-open record of a
//! listener.

use std::sync::Arc;

use millstream_wire::SeqNum;

use super::ecn::EcnState;
use super::negotiate::{Negotiated, Offer};
use super::output::ack_policy::AckPolicy;
use super::output::cwnd_usage::CwndUsage;
use super::output::sack_report::SackReport;
use super::space::{FIRST_BYTE, ReceiveSpace, SYN, SendSpace};
use super::{Context, Owed, Tally, Tcb};
use crate::config::SocketOptions;
use crate::event::Readiness;
use crate::tcp::autotune::Buffers;
use crate::tcp::buffer::assembler::Assembler;
use crate::tcp::buffer::recv::RecvBuffer;
use crate::tcp::buffer::send::SendBuffer;
use crate::tcp::congestion::Control;
use crate::tcp::connection::segment_size::Path;
use crate::tcp::recovery::episode::Recovery;
use crate::tcp::recovery::rtt::{RttBounds, RttEstimator};
use crate::tcp::state::{State, Stimulus};
use crate::tcp::timestamps::TimestampState;
use crate::time::Instant;
use crate::timer::Deadlines;
use crate::tuple::FourTuple;

/// Identity of a new connection, chosen by the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    pub(crate) tuple: FourTuple,
    pub(crate) now: Instant,
    pub(crate) iss: SeqNum,
    pub(crate) timestamp_offset: u32,
}

impl Tcb {
    /// Creates a connection for an active open, still in CLOSED.
    pub(crate) fn active(birth: &Birth, ours: &Offer, options: Arc<SocketOptions>) -> Self {
        Self::new(birth, ours, options)
    }

    /// Opens: the SYN is sent by the next `poll_transmit`.
    pub(crate) fn begin(&mut self, cx: &mut Context<'_>) {
        self.transition(Stimulus::ActiveOpen, cx);
    }

    fn new(birth: &Birth, ours: &Offer, options: Arc<SocketOptions>) -> Self {
        let mss = u32::from(ours.mss);
        Self {
            tuple: birth.tuple,
            state: State::Closed,
            agreed: Negotiated::alone(ours),
            snd: SendSpace::new(birth.iss),
            rcv: ReceiveSpace::new(SeqNum::new(0)),
            send_buf: SendBuffer::new(FIRST_BYTE),
            recv_buf: RecvBuffer::new(FIRST_BYTE),
            assembler: Assembler::default(),
            buffers: Buffers::new(&options),
            recovery: Recovery::default(),
            rtt: RttEstimator::new(RttBounds {
                initial: options.initial_rto,
                min: options.min_rto,
                max: options.max_rto,
            }),
            congestion: Control::new(options.congestion, options.initial_window, mss),
            cwnd_usage: CwndUsage::default(),
            ack: AckPolicy::default(),
            sack_report: SackReport::default(),
            timestamps: TimestampState {
                offset: birth.timestamp_offset,
                recent: 0,
                recent_at: birth.now,
            },
            ecn: EcnState::default(),
            path: Path::default(),
            timers: Deadlines::default(),
            owed: Owed::empty(),
            readiness: Readiness::empty(),
            mapped: false,
            orphan: false,
            fin_queued: false,
            more_to_come: false,
            read_shutdown: false,
            reuse: false,
            error: None,
            error_reported: false,
            soft_error: None,
            retries: 0,
            duplicates_owed: 0,
            probes: 0,
            probe_backoff: 0,
            ident: birth.iss.raw() as u16,
            stalled_since: None,
            last_received: birth.now,
            last_sent: birth.now,
            last_challenge: None,
            tally: Tally::default(),
            options,
        }
    }

    /// Creates a connection for a passive open whose SYN-ACK was sent by a half-open record at
    /// `syn_ack_sent`: in SYN-RECEIVED, ready for the segment that acknowledges the SYN-ACK.
    pub(crate) fn from_half_open(
        birth: &Birth,
        ours: &Offer,
        theirs: &Offer,
        peer: &PeerSyn,
        options: Arc<SocketOptions>,
    ) -> Self {
        let mut tcb = Self::new(birth, ours, options);
        tcb.state = State::SynReceived;
        tcb.snd.nxt = FIRST_BYTE;
        tcb.recovery
            .board
            .on_sent(SYN, FIRST_BYTE, peer.syn_ack_sent);
        if peer.retransmitted {
            tcb.recovery
                .board
                .on_retransmitted(SYN, FIRST_BYTE, peer.syn_ack_sent);
        }
        tcb.timestamps.recent = peer.timestamp;
        let agreed = Negotiated::between(ours, theirs);
        tcb.on_peer_syn(peer.irs, peer.window, agreed, birth.now);
        tcb.rcv.edge = FIRST_BYTE + peer.offered_window;
        tcb.rcv.acked = FIRST_BYTE;
        tcb
    }

    /// Both SYNs are known: applies the negotiated values. `window` is that of the SYN, which is
    /// never scaled.
    pub(crate) fn on_peer_syn(
        &mut self,
        irs: SeqNum,
        window: u16,
        agreed: Negotiated,
        now: Instant,
    ) {
        self.rcv = ReceiveSpace::new(irs);
        self.agreed = agreed;
        self.snd.set_window(u32::from(window), SYN, self.snd.una);
        let mss = u32::from(agreed.send_mss);
        self.path = Path::default();
        self.set_send_mss(mss);
        self.congestion = Control::new(self.options.congestion, self.options.initial_window, mss);
        self.last_received = now;
    }

    /// Sets the size of full segments.
    pub(crate) fn set_send_mss(&mut self, mss: u32) {
        self.snd.mss = mss;
        self.congestion.set_mss(mss);
    }
}

/// The peer's values in a half-open record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerSyn {
    pub(crate) irs: SeqNum,
    /// Window field of the SYN.
    pub(crate) window: u16,
    /// Timestamp of the SYN, if it had one.
    pub(crate) timestamp: u32,
    /// Time at which the SYN-ACK was last sent.
    pub(crate) syn_ack_sent: Instant,
    /// Whether it was sent more than once.
    pub(crate) retransmitted: bool,
    /// The window offered in the SYN-ACK, in bytes.
    pub(crate) offered_window: u64,
}
