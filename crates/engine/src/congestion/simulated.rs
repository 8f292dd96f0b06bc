//! One flow through one bottleneck, for tests of congestion control.

use std::collections::VecDeque;
use std::time::Duration;

use super::pacing::Pacer;
use super::rate::{DeliveryRate, SendStamp};
use super::{AckSample, Cause, Congestion, CongestionEvent};
use crate::time::Instant;

pub(crate) const MSS: u32 = 1000;

#[derive(Clone, Copy)]
struct Packet {
    sent_at: Instant,
    stamp: SendStamp,
    /// Arrival time of its acknowledgment; `None` if it was dropped.
    acked_at: Option<Instant>,
    end: u64,
}

/// One flow through one bottleneck: a rate, a delay, a bounded queue. A lost packet is detected
/// when a later one is acknowledged. It is not retransmitted: new data is sent instead.
pub(crate) struct Path<C> {
    pub(crate) congestion: C,
    rate: DeliveryRate,
    pacer: Pacer,
    pub(crate) now: Instant,
    pub(crate) bandwidth: u64,
    pub(crate) delay: Duration,
    /// Capacity of the queue in bytes.
    buffer: u64,
    /// One packet in this number is dropped at random.
    pub(crate) drop_one_of: Option<u64>,
    /// Time at which the bottleneck has sent its queue.
    busy_until: Instant,
    flight: VecDeque<Packet>,
    pub(crate) in_flight: u32,
    sent: u64,
    una: u64,
    /// The acknowledgment of data up to here ends the episode.
    recover: Option<u64>,
    pub(crate) srtt: Option<Duration>,
    min_rtt: Option<Duration>,
    pub(crate) lost: u64,
}

impl<C: Congestion> Path<C> {
    /// A flow under `congestion`; `bandwidth` in bytes per second, and a queue for `buffer` bytes.
    pub(crate) fn new(congestion: C, bandwidth: u64, delay_ms: u64, buffer: u64) -> Self {
        Self {
            congestion,
            rate: DeliveryRate::default(),
            pacer: Pacer::new(Instant::ZERO, MSS),
            now: Instant::from_millis(1),
            bandwidth,
            delay: Duration::from_millis(delay_ms),
            buffer,
            drop_one_of: None,
            busy_until: Instant::ZERO,
            flight: VecDeque::new(),
            in_flight: 0,
            sent: 0,
            una: 0,
            recover: None,
            srtt: None,
            min_rtt: None,
            lost: 0,
        }
    }

    pub(crate) fn bdp(&self) -> u64 {
        self.bandwidth * self.delay.as_millis() as u64 / 1000
    }

    /// Runs for `millis`; returns the bytes per second delivered.
    pub(crate) fn run(&mut self, millis: u64) -> u64 {
        let delivered = self.rate.delivered();
        let end = self.now + Duration::from_millis(millis);
        while self.step(end) {}
        (self.rate.delivered() - delivered) * 1000 / millis
    }

    /// Runs until `done`, at most for a minute.
    pub(crate) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !done(self) {
            assert!(self.step(end), "not in a minute: {:?}", self.congestion);
        }
    }

    /// Sends nothing for `silence`; nothing is outstanding after it.
    pub(crate) fn rest(&mut self, silence: Duration) {
        self.flight.clear();
        self.in_flight = 0;
        self.now += silence;
        self.congestion.on_send_from_idle(self.now, silence);
    }

    /// Processes the next transmission or acknowledgment before `end`, whichever is first.
    fn step(&mut self, end: Instant) -> bool {
        let room = self.in_flight + MSS <= self.congestion.cwnd();
        let send_at = room.then(|| self.pacer.next_send_at(self.now, MSS));
        let ack_at = self.flight.iter().find_map(|packet| packet.acked_at);
        match (send_at, ack_at) {
            (Some(at), ack) if at < end && ack.is_none_or(|ack| at <= ack) => self.send(at),
            (_, Some(at)) if at < end => self.acknowledge(at),
            (None, None) => panic!("neither room nor flight"),
            _ => {
                self.now = end;
                return false;
            }
        }
        true
    }

    fn send(&mut self, at: Instant) {
        self.now = at;
        let stamp = self.rate.on_sent(at, MSS, self.in_flight);
        let queued = (self.busy_until - at).as_nanos() as u64 * self.bandwidth / 1_000_000_000;
        let unlucky = self
            .drop_one_of
            .is_some_and(|of| self.sent / u64::from(MSS) % of == of - 1);
        let acked_at = (queued + u64::from(MSS) <= self.buffer && !unlucky).then(|| {
            let transmission =
                Duration::from_nanos(u64::from(MSS) * 1_000_000_000 / self.bandwidth);
            self.busy_until = self.busy_until.max(at) + transmission;
            self.busy_until + self.delay
        });
        self.sent += u64::from(MSS);
        self.in_flight += MSS;
        self.pacer.on_sent(at, MSS);
        self.flight.push_back(Packet {
            sent_at: at,
            stamp,
            acked_at,
            end: self.sent,
        });
    }

    fn acknowledge(&mut self, at: Instant) {
        self.now = at;
        let mut lost = 0;
        while let Some(packet) = self.flight.pop_front() {
            self.in_flight -= MSS;
            if packet.acked_at.is_none() {
                lost += MSS;
                let segment = self.rate.on_lost(at, MSS, &packet.stamp);
                self.congestion.on_lost(&segment);
                continue;
            }
            self.take(at, &packet, lost);
            return;
        }
    }

    fn take(&mut self, at: Instant, packet: &Packet, lost: u32) {
        self.lost += u64::from(lost);
        self.una = packet.end;
        let rtt = at - packet.sent_at;
        self.srtt = Some(self.srtt.map_or(rtt, |srtt| (srtt * 7 + rtt) / 8));
        self.rate
            .on_delivered(at, MSS, packet.sent_at, &packet.stamp);
        if self.recover.is_some_and(|recover| self.una >= recover) {
            self.recover = None;
            self.congestion.on_recovered(at);
        }
        if lost > 0 && self.recover.is_none() {
            self.recover = Some(self.sent);
            self.congestion.on_congestion(&CongestionEvent {
                now: at,
                flight: self.in_flight,
                cause: Cause::Loss,
            });
        }
        let sample = AckSample {
            now: at,
            acked: MSS,
            cwnd_limited: self.is_cwnd_limited(),
            paced: true,
            in_flight: self.in_flight,
            lost,
            rtt: Some(rtt),
            min_rtt: self.min_rtt,
            srtt: self.srtt,
            una: self.una,
            nxt: self.sent,
            rate: self.rate.sample(self.min_rtt),
            ..AckSample::default()
        };
        if self.recover.is_none() || self.congestion.governs_recovery() {
            self.congestion.on_ack(&sample);
        }
        let rate = self.congestion.pacing_rate(self.srtt);
        self.pacer.set_rate(at, rate, MSS);
    }

    /// As in the engine: the window is used up, or in slow start more than half of it is.
    fn is_cwnd_limited(&self) -> bool {
        let (cwnd, threshold) = (self.congestion.cwnd(), self.congestion.ssthresh());
        self.in_flight + 2 * MSS > cwnd || (cwnd < threshold && cwnd < 2 * self.in_flight)
    }
}
