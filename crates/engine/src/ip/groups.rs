//! The multicast groups of this host, and the reports about them that are due: IGMPv3 (RFC 3376 5)
//! and MLDv2 (RFC 3810 6), for groups that are joined from any source.
//!
//! A change is reported twice (the robustness variable), a query answered after a random delay. A
//! query while an answer is due changes nothing, so that a flood of queries causes no more answers
//! than a few.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use millstream_wire::membership::{Query, Record};

use crate::time::Instant;
use crate::tuple::FourTuple;

/// How many times a change is reported (RFC 3376 8.1).
const ROBUSTNESS: u8 = 2;

/// The repetition of a report comes within this time (RFC 3376 8.11, RFC 3810 9.11).
const REPETITION: Duration = Duration::from_secs(1);

/// The least time within which a query is answered, whatever it says.
const LEAST_RESPONSE: Duration = Duration::from_millis(100);

/// The groups that every host is in (RFC 1112 4, RFC 4291 2.8).
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_HERE: Ipv6Addr = Ipv6Addr::new(0xFF01, 0, 0, 0, 0, 0, 0, 1);

/// A group that sockets are in, or that they have left lately.
#[derive(Debug, Default)]
struct Group {
    sockets: usize,
    /// How many times the latest change is still to be reported.
    changes: u8,
    /// The time of the next report.
    due: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: BTreeMap<IpAddr, Group>,
    schedule: BTreeSet<(Instant, IpAddr)>,
    /// When all groups of IPv4 and IPv6 are reported.
    answer_v4: Option<Instant>,
    answer_v6: Option<Instant>,
    secret: [u8; 16],
    choices: u32,
}

impl Groups {
    /// `secret` makes the delays random.
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        Self {
            groups: BTreeMap::new(),
            schedule: BTreeSet::new(),
            answer_v4: None,
            answer_v6: None,
            secret,
            choices: 0,
        }
    }

    /// Whether this host receives what is sent to the group.
    pub(crate) fn is_member(&self, group: IpAddr) -> bool {
        is_everybodys(group)
            || self
                .groups
                .get(&group)
                .is_some_and(|group| group.sockets > 0)
    }

    /// Adds a socket to the group.
    pub(crate) fn join(&mut self, group: IpAddr, now: Instant) {
        let entry = self.groups.entry(group).or_default();
        entry.sockets += 1;
        if entry.sockets == 1 {
            self.change(group, now);
        }
    }

    /// Removes a socket from the group.
    pub(crate) fn leave(&mut self, group: IpAddr, now: Instant) {
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        entry.sockets = entry.sockets.saturating_sub(1);
        if entry.sockets == 0 {
            self.change(group, now);
        }
    }

    /// Ends all reports, when the host ends: nothing is repeated.
    pub(crate) fn end(&mut self) {
        self.schedule.clear();
        (self.answer_v4, self.answer_v6) = (None, None);
        self.groups.clear();
    }

    /// Schedules the answer to a query that came in IPv4 or IPv6.
    pub(crate) fn on_query(&mut self, query: &Query, v4: bool, now: Instant) {
        let within = query.max_response.max(LEAST_RESPONSE);
        let due = now + self.delay(within);
        // An answer that is due in time is not hastened, so that a flood of queries does not cause
        // one answer after another.
        let in_time = |old: Option<Instant>| old.filter(|old| *old <= now + within).or(Some(due));
        match query.group {
            None if v4 => self.answer_v4 = in_time(self.answer_v4),
            None => self.answer_v6 = in_time(self.answer_v6),
            Some(group) => {
                let scheduled = self.groups.get(&group).map(|entry| entry.due);
                if let Some(scheduled) = scheduled
                    && is_reported(group)
                    && in_time(scheduled) == Some(due)
                {
                    self.schedule(group, due);
                }
            }
        }
    }

    /// The time of the next report.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let report = self.schedule.first().map(|(due, _)| *due);
        let all = [report, self.answer_v4, self.answer_v6];
        all.into_iter().flatten().min()
    }

    /// Takes the records that are due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(IpAddr, Record)> {
        let mut records = Vec::new();
        while let Some(&(due, group)) = self.schedule.first()
            && due <= now
        {
            self.schedule.pop_first();
            records.extend(self.report(group, now).map(|record| (group, record)));
        }
        let is_due = |answer: &mut Option<Instant>| answer.take_if(|due| *due <= now).is_some();
        let (v4, v6) = (is_due(&mut self.answer_v4), is_due(&mut self.answer_v6));
        if v4 || v6 {
            let asked = self.groups.iter().filter(|(group, entry)| {
                let family = if group.is_ipv4() { v4 } else { v6 };
                family && entry.sockets > 0 && is_reported(**group)
            });
            records.extend(asked.map(|(group, _)| (*group, Record::IsMember)));
        }
        records
    }

    /// Reports a change of the group now and once more.
    fn change(&mut self, group: IpAddr, now: Instant) {
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        if is_reported(group) {
            entry.changes = ROBUSTNESS;
            self.schedule(group, now);
        } else if entry.sockets == 0 {
            self.groups.remove(&group);
        }
    }

    /// What the group's report says that is due now.
    fn report(&mut self, group: IpAddr, now: Instant) -> Option<Record> {
        let entry = self.groups.get_mut(&group)?;
        entry.due = None;
        let is_member = entry.sockets > 0;
        if entry.changes == 0 {
            return is_member.then_some(Record::IsMember);
        }
        entry.changes -= 1;
        if entry.changes > 0 {
            let due = now + self.delay(REPETITION);
            self.schedule(group, due);
        } else if !is_member {
            self.groups.remove(&group);
        }
        Some(if is_member {
            Record::Joined
        } else {
            Record::Left
        })
    }

    /// Schedules the group's next report, unless an earlier one is due.
    fn schedule(&mut self, group: IpAddr, due: Instant) {
        let Some(entry) = self.groups.get_mut(&group) else {
            return;
        };
        match entry.due {
            Some(earlier) if earlier <= due => return,
            Some(later) => {
                self.schedule.remove(&(later, group));
            }
            None => {}
        }
        entry.due = Some(due);
        self.schedule.insert((due, group));
    }

    /// A random time up to `within`.
    fn delay(&mut self, within: Duration) -> Duration {
        self.choices = self.choices.wrapping_add(1);
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let tuple = FourTuple {
            local_ip: nobody,
            remote_ip: nobody,
            local_port: 0,
            remote_port: 0,
        };
        let random = tuple.keyed_hash_with(&self.secret, b'q', &[self.choices]);
        within / 1024 * (1 + random as u32 % 1024)
    }
}

fn is_everybodys(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group == ALL_HOSTS,
        IpAddr::V6(group) => group == ALL_NODES || group == ALL_NODES_HERE,
    }
}

/// Whether routers hear of the group: not of those that every host is in, nor of those that do not
/// leave the host (RFC 3376 6, RFC 3810 6).
fn is_reported(group: IpAddr) -> bool {
    let stays = match group {
        IpAddr::V4(_) => false,
        IpAddr::V6(group) => group.octets()[1] & 0xF < 2,
    };
    !stays && !is_everybodys(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn query(group: Option<IpAddr>) -> Query {
        Query {
            group,
            max_response: Duration::from_secs(1),
        }
    }

    /// All records until there are no more, with the times at which they are due.
    fn reports(groups: &mut Groups) -> Vec<(Instant, IpAddr, Record)> {
        let mut all = Vec::new();
        while let Some(due) = groups.next_due() {
            let records = groups.take_due(due);
            all.extend(
                records
                    .into_iter()
                    .map(|(group, record)| (due, group, record)),
            );
        }
        all
    }

    #[test]
    fn a_change_is_reported_at_once_and_again_within_a_second() {
        let mut groups = Groups::new([3; 16]);
        let group: IpAddr = "239.1.2.3".parse().unwrap();
        groups.join(group, at(1000));
        groups.join(group, at(1000));
        assert!(groups.is_member(group));
        let told = reports(&mut groups);
        assert_eq!(told.len(), 2);
        assert!(told.iter().all(|told| told.2 == Record::Joined));
        assert_eq!(told[0].0, at(1000));
        assert!(told[1].0 <= at(2000));
        groups.leave(group, at(3000));
        assert!(reports(&mut groups).is_empty(), "one socket is left");
        groups.leave(group, at(4000));
        assert!(!groups.is_member(group));
        let told = reports(&mut groups);
        assert!(told.len() == 2 && told.iter().all(|told| told.2 == Record::Left));
        assert!(groups.groups.is_empty());
    }

    #[test]
    fn queries_are_answered_once_however_many_there_are() {
        let mut groups = Groups::new([3; 16]);
        let (v4, v6): (IpAddr, IpAddr) = ("239.1.2.3".parse().unwrap(), "ff15::1".parse().unwrap());
        groups.join(v4, at(0));
        groups.join(v6, at(0));
        reports(&mut groups);
        for _ in 0..1000 {
            groups.on_query(&query(None), true, at(5000));
            groups.on_query(&query(Some(v6)), false, at(5000));
            groups.on_query(&query(Some("ff15::2".parse().unwrap())), false, at(5000));
        }
        let told: Vec<_> = reports(&mut groups)
            .into_iter()
            .map(|told| (told.1, told.2))
            .collect();
        assert_eq!(told.len(), 2);
        assert!(told.contains(&(v4, Record::IsMember)) && told.contains(&(v6, Record::IsMember)));
    }

    #[test]
    fn groups_of_every_host_are_not_reported() {
        let mut groups = Groups::new([3; 16]);
        for group in ["224.0.0.1", "ff02::1", "ff01::1", "ff01::9"] {
            let group = group.parse().unwrap();
            groups.join(group, at(0));
            assert!(groups.is_member(group));
            groups.on_query(&query(None), true, at(0));
            groups.on_query(&query(None), false, at(0));
            groups.leave(group, at(0));
        }
        assert!(reports(&mut groups).is_empty() && groups.groups.is_empty());
        assert!(groups.is_member("ff02::1".parse().unwrap()));
    }
}
