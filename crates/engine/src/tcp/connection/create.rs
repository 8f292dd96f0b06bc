//! The creation of a connection: actively, by a local SYN, or from the half-open record of a
//! listener.

use std::sync::Arc;

use millstream_wire::SeqNum;

use super::app_side::AppSide;
use super::ecn::EcnState;
use super::negotiate::{Negotiated, Offer};
use super::receiver::Receiver;
use super::sender::Sender;
use super::space::{FIRST_BYTE, ReceiveSpace, SYN, SendSpace};
use super::{Context, Owed, Tally, Tcb};
use crate::config::SocketOptions;
use crate::tcp::autotune::Buffers;
use crate::tcp::challenge::Challenges;
use crate::tcp::state::{Current, Stimulus};
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
        let (now, snd) = (birth.now, SendSpace::new(birth.iss));
        Self {
            tuple: birth.tuple,
            state: Current::CLOSED,
            agreed: Negotiated::alone(ours),
            sender: Sender::new(snd, ours.mss.into(), &options, now),
            receiver: Receiver::new(ReceiveSpace::new(SeqNum::new(0))),
            app: AppSide::default(),
            buffers: Buffers::new(&options),
            timers: Deadlines::default(),
            owed: Owed::empty(),
            timestamps: TimestampState {
                offset: birth.timestamp_offset,
                recent: 0,
                recent_at: now,
            },
            ecn: EcnState::default(),
            probes: 0,
            ident: birth.iss.raw() as u16,
            last_received: now,
            challenges: Challenges::default(),
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
        tcb.state = Current::reached_by([Stimulus::PassiveOpen, Stimulus::Syn]);
        tcb.sender.snd.nxt = FIRST_BYTE;
        tcb.sender
            .recovery
            .board
            .on_sent(SYN, FIRST_BYTE, peer.syn_ack_sent);
        if peer.retransmitted {
            tcb.sender
                .recovery
                .board
                .on_retransmitted(SYN, FIRST_BYTE, peer.syn_ack_sent);
        }
        tcb.timestamps.recent = peer.timestamp;
        let agreed = Negotiated::between(ours, theirs);
        tcb.on_peer_syn(peer.irs, peer.window, agreed, birth.now);
        tcb.receiver.rcv.edge = FIRST_BYTE + peer.offered_window;
        tcb.receiver.rcv.acked = FIRST_BYTE;
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
        self.receiver.rcv = ReceiveSpace::new(irs);
        self.agreed = agreed;
        self.sender
            .snd
            .set_window(u32::from(window), SYN, self.sender.snd.una);
        self.sender.on_agreed(&self.agreed, &self.options);
        self.last_received = now;
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
