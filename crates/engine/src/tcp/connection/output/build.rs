//! Builds the packet that was decided on.

use millstream_wire::tcp::{Flags, Header, Options, Timestamps};
use millstream_wire::{SeqNum, WindowScale};

use super::super::negotiate::Offer;
use super::super::sender::Sender;
use super::super::space::SYN;
use super::super::{Context, Tcb};
use super::decide::Action;
use super::window::initial_offer;
use crate::ip::fields::IpFields;
use crate::stats::count;
use crate::tcp::emit;
use crate::tcp::state::State;
use crate::time::Instant;
use crate::transmit::Transmit;

impl Tcb {
    /// Payload bytes of a full segment now; fewer when SACK blocks occupy part of the header.
    pub(crate) fn segment_len(&self) -> u32 {
        if !self.agreed.sack {
            return self.sender.snd.mss;
        }
        let room = self.receiver.sack_room(&self.agreed) as u32;
        self.sender.snd.mss.saturating_sub(room).max(8)
    }

    pub(crate) fn build(&mut self, action: &Action, cx: &mut Context<'_>, out: &mut Transmit) {
        out.clear();
        let segment_len = self.segment_len();
        let header = match *action {
            Action::Syn => self.syn_header(cx),
            Action::Data {
                start,
                end,
                fin,
                push,
                ..
            } => {
                let length = (end - start) as usize - usize::from(fin);
                self.sender.buf.gather(start, length, &mut out.payload);
                if length > segment_len as usize && !self.is_path_probe(length as u64) {
                    out.segment_size = Some(segment_len as u16);
                }
                // A super-segment ends with PSH (as on Linux): a receiver that merges packets
                // delivers them at a PSH.
                let push = push || out.segment_size.is_some();
                let mut header = self.data_header(start, fin, push, cx.now);
                header.flags |= self.ecn_flags(action.is_new_data());
                header
            }
            Action::Ack => {
                let flags = Flags::ACK | self.ecn_flags(false);
                self.header(
                    self.sender.acceptable_position(self.agreed.rcv_scale),
                    flags,
                    cx.now,
                )
            }
            Action::Probe => self.header(self.sender.snd.una - 1, Flags::ACK, cx.now),
        };
        let partial = cx.config.offload.transmit_checksum;
        let mut ip = self.ip_fields();
        ip.tos = self.ecn_codepoint(action.is_new_data()).apply(ip.tos);
        out.partial_checksum =
            emit::tcp_segment(&mut out.header, &ip, &header, &out.payload, partial);
    }

    /// A header with the acknowledgment, the window and the negotiated options.
    pub(in crate::tcp::connection) fn header(
        &mut self,
        position: u64,
        flags: Flags,
        now: Instant,
    ) -> Header {
        let window = self.advertise_window();
        Header {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.sender.snd.seq_num(position),
            ack: self.receiver.rcv.seq_num(self.receiver.rcv.nxt),
            flags,
            window,
            urgent: 0,
            options: Options {
                timestamps: self.timestamps_option(now),
                sack: self.receiver.sack_blocks(&self.agreed),
                ..Options::default()
            },
        }
    }

    fn data_header(&mut self, start: u64, fin: bool, push: bool, now: Instant) -> Header {
        let mut flags = Flags::ACK;
        flags.set(Flags::FIN, fin);
        flags.set(Flags::PSH, push && !(fin && start == self.sender.buf.end()));
        let mut header = self.header(start, flags, now);
        if let Some(up) = self.sender.snd.up.filter(|&up| up > start) {
            // MUST-62: the pointer refers to the octet after the urgent data, as far as 16 bits
            // reach.
            header.flags |= Flags::URG;
            header.urgent = (up - start).min(u64::from(u16::MAX)) as u16;
        }
        header
    }

    /// The header of a SYN, or of a SYN-ACK if the peer's SYN is known. Its window is never scaled.
    fn syn_header(&self, cx: &Context<'_>) -> Header {
        let mut offer = Offer {
            mss: self.agreed.advertised_mss,
            ..Offer::ours(cx.config, &self.options, self.tuple.local_ip)
        };
        let (mut flags, mut ack) = (Flags::SYN, SeqNum::new(0));
        // SYN-RECEIVED after a crossing SYN, or FIN-WAIT-1 if the application has closed since.
        if self.state != State::SynSent {
            flags |= Flags::ACK;
            flags.set(Flags::ECE, self.agreed.ecn);
            ack = self.receiver.rcv.seq_num(self.receiver.rcv.nxt);
            offer = offer.confirmed(&self.agreed);
        } else if self.syn_asks_for_ecn() {
            flags |= Flags::ECE | Flags::CWR;
        }
        Header {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.sender.snd.seq_num(SYN),
            ack,
            flags,
            window: initial_offer(&self.options, self.agreed.advertised_mss),
            urgent: 0,
            options: offer.options(self.timestamps_option(cx.now)),
        }
    }

    fn timestamps_option(&self, now: Instant) -> Option<Timestamps> {
        self.agreed.timestamps.then(|| Timestamps {
            value: self.timestamps.value(now),
            echo: self.timestamps.recent,
        })
    }

    /// The timestamp of a segment sent at `now`, if timestamps are in use.
    pub(in crate::tcp::connection) fn stamp(&self, now: Instant) -> Option<u32> {
        self.agreed.timestamps.then(|| self.timestamps.value(now))
    }

    /// The fields of the IP header, with a different identification for each packet (RFC 9293
    /// SHLD-22).
    pub(in crate::tcp::connection) fn ip_fields(&mut self) -> IpFields {
        self.ident = self.ident.wrapping_add(1);
        IpFields {
            src: self.tuple.local_ip,
            dst: self.tuple.remote_ip,
            tos: self.options.tos & !3,
            hop_limit: self.options.hop_limit,
            ident: self.ident,
        }
    }

    /// Sends a reset to the connection's peer (RFC 9293 3.10.4, 3.10.5), if the peer knows of the
    /// connection.
    pub(in crate::tcp::connection) fn send_reset(&mut self, cx: &mut Context<'_>) {
        if matches!(
            *self.state,
            State::Closed | State::SynSent | State::TimeWait
        ) {
            return;
        }
        let position = self.sender.acceptable_position(self.agreed.rcv_scale);
        let mut header = self.header(position, Flags::RST | Flags::ACK, cx.now);
        header.window = 0;
        header.options.sack = Default::default();
        let ip = self.ip_fields();
        cx.replies.tcp(&ip, &header, cx.config, cx.counters);
        count(&mut cx.counters.resets_sent);
    }

    /// Payload bytes of a full segment on a path with that MTU (RFC 9293 MUST-16).
    pub(in crate::tcp::connection) fn segment_len_for_mtu(&self, mtu: u32) -> u32 {
        let ip_len = if self.tuple.local_ip.is_ipv4() {
            20
        } else {
            40
        };
        mtu.saturating_sub(ip_len + 20 + self.agreed.options_len() as u32)
    }
}

impl Sender {
    /// The sequence number of a segment without data: SND.NXT, unless the peer reduced its window
    /// below that and would not accept a segment beyond it (as on Linux). With window scaling, the
    /// window's edges are imprecise: `scale` is that of the windows sent.
    fn acceptable_position(&self, scale: WindowScale) -> u64 {
        let edge = self.snd.right_edge();
        if self.snd.nxt.saturating_sub(edge) < 1 << scale.shift() {
            return self.snd.nxt;
        }
        self.snd.nxt.min(edge.max(self.snd.una))
    }
}
