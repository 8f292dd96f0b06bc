//! The performance targets of millstream, and whether they are reached.

use std::io::{self, Write as _};

use anyhow::Result;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use millstream_console::Out;
use serde::Serialize;

use crate::cli::{IdleArgs, OutputArgs, TargetArgs};
use crate::lab::Lab;
use crate::processors::Pinning;
use crate::results::{Metric, Results};
use crate::rounds::{Case, Plan};
use crate::service::READ;
use crate::setup::{Link, Runtime, Setup, Side};
use crate::work::bulk::{Bulk, Way};
use crate::work::connect::Connect;
use crate::work::idle::{Idle, Kind};
use crate::work::pingpong::PingPong;
use crate::work::{Work, idle, scale, wheel};

/// A link with the MTU of Ethernet whose device cuts segments.
const OFFLOADED: Link = Link {
    mtu: 1500,
    offload: true,
};
/// The same without offload.
const PLAIN: Link = Link {
    mtu: 1500,
    offload: false,
};
/// A link with the largest possible packets.
const JUMBO: Link = Link {
    mtu: u16::MAX,
    offload: false,
};
/// The number of connections over which memory is averaged.
const MANY: u32 = 1_000_000;

/// One target.
#[derive(Serialize)]
struct Target {
    name: String,
    goal: String,
    /// `None` if one of the compared sides could not be measured.
    measured: Option<f64>,
    /// The result of a packet pump without a stack on the same device, with a copy of every byte
    /// where an application's data is copied: an upper bound for every stack.
    pump: Option<f64>,
    holds: bool,
}

/// The direction in which a value is better.
#[derive(Clone, Copy)]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

/// `targets`.
pub(crate) fn run(args: &TargetArgs) -> Result<()> {
    let (rounds, seconds) = if args.quick { (3, 0.5) } else { (7, 1.0) };
    let mut results = Results::default();
    let mut lab = Lab::enter(Pinning::Apart)?;
    let comparison = Comparison::default();
    let plan = Plan {
        cases: comparison.cases(),
        rounds,
        seconds,
    };
    plan.run(&mut lab, &mut results)?;
    drop(lab);
    scale::measure(rounds, &mut results)?;
    wheel::measure(rounds, &mut results)?;
    let output = OutputArgs {
        rounds: if args.quick { 1 } else { 3 },
        json: false,
        svg: None,
    };
    let count = vec![MANY];
    idle::measure(&IdleArgs { count, output }, &mut results)?;

    let mut judge = Judge {
        results: &results,
        targets: Vec::new(),
    };
    comparison.judge(&mut judge);
    judge_scale(&mut judge);
    tell(&judge.targets, &results, args.json)?;
    Ok(())
}

/// The cases with a client.
struct Comparison {
    bulk: [(Way, Link, Vec<Side>); 6],
}

impl Default for Comparison {
    fn default() -> Self {
        let with_peers = |sides: &[Side]| [sides, peers()].concat();
        Self {
            bulk: [
                (
                    Way::In,
                    OFFLOADED,
                    vec![Side::Tun, Side::Veth, Side::Ceiling, Side::CeilingCopy],
                ),
                (
                    Way::Out,
                    OFFLOADED,
                    vec![Side::Tun, Side::Veth, Side::Ceiling, Side::CeilingCopy],
                ),
                (Way::In, PLAIN, with_peers(&[Side::Tun, Side::Ceiling])),
                (Way::Out, PLAIN, with_peers(&[Side::Tun, Side::Ceiling])),
                (Way::In, JUMBO, vec![Side::Tun, Side::Ceiling]),
                (Way::Out, JUMBO, vec![Side::Tun, Side::Ceiling]),
            ],
        }
    }
}

impl Comparison {
    fn cases(&self) -> Vec<Case> {
        let mut cases: Vec<_> = self
            .bulk
            .iter()
            .map(|(way, link, sides)| case(bulk(*way), *link, sides))
            .collect();
        let mut memory = vec![Side::Memory];
        memory.extend(memory_peer());
        cases.push(case(bulk(Way::In), OFFLOADED, &memory));
        if let Some(last) = cases.last_mut() {
            last.title = MEMORY.to_owned();
        }
        let sides = [&[Side::Tun, Side::Veth, Side::Ceiling], peers()].concat();
        cases.push(case(CONNECT, PLAIN, &sides));
        let mut echo = case(ping_pong(0), PLAIN, &[Side::Tun, Side::Ceiling]);
        echo.setups.push(threaded());
        cases.push(echo);
        // Last, because closing so many connections takes some time after the measurement.
        for idle in [1_000, 100_000] {
            cases.push(case(ping_pong(idle), PLAIN, &[Side::Tun]));
        }
        cases
    }

    fn judge(&self, judge: &mut Judge<'_>) {
        self.judge_bulk(judge);
        let best = |judge: &Judge<'_>, case: &str, metric| {
            let medians = peers().iter().map(|side| setup(*side, PLAIN).label());
            medians
                .filter_map(|side| judge.results.median(case, &side, metric))
                .reduce(f64::max)
        };
        for (way, link, least) in [
            (Way::In, OFFLOADED, 5.0),
            (Way::Out, OFFLOADED, 10.0),
            (Way::In, PLAIN, 1.2),
            (Way::Out, PLAIN, 1.0),
        ] {
            // No peer has a device that cuts segments.
            let theirs = best(judge, &title(bulk(way), PLAIN), Metric::Gbits);
            judge.on_device(
                &title(bulk(way), link),
                Metric::Gbits,
                "the best peer",
                theirs,
                Goal::AtLeast(least),
            );
        }
        judge_echo(judge);
        let connect = title(CONNECT, PLAIN);
        let peer = best(judge, &connect, Metric::PerSecond);
        let veth = judge.median(&connect, Side::Veth, Metric::PerSecond);
        for (bar, theirs, least) in [("the best peer", peer, 1.2), ("veth", veth, 1.5)] {
            let goal = Goal::AtLeast(least);
            judge.on_device(&connect, Metric::PerSecond, bar, theirs, goal);
        }
        let ours = judge.median(MEMORY, Side::Memory, Metric::Gbits);
        let theirs = memory_peer().and_then(|side| judge.median(MEMORY, side, Metric::Gbits));
        judge.value(format!("{MEMORY}: Gbit/s"), Goal::AtLeast(40.0), ours);
        judge.ratio(
            format!("{MEMORY}: of smoltcp's loopback"),
            Goal::AtLeast(2.5),
            ours,
            theirs,
        );
    }

    /// Compares rates and processor time with the ceiling and veth.
    fn judge_bulk(&self, judge: &mut Judge<'_>) {
        use Metric::{CpuPerByte, Gbits};
        for (way, link, bar, metric, goal) in [
            (Way::In, OFFLOADED, Side::Ceiling, Gbits, Goal::AtLeast(0.9)),
            (Way::In, OFFLOADED, Side::Veth, Gbits, Goal::AtLeast(1.0)),
            (
                Way::In,
                OFFLOADED,
                Side::Ceiling,
                CpuPerByte,
                Goal::AtMost(1.3),
            ),
            (
                Way::Out,
                OFFLOADED,
                Side::CeilingCopy,
                Gbits,
                Goal::AtLeast(0.8),
            ),
            (Way::Out, OFFLOADED, Side::Veth, Gbits, Goal::AtLeast(1.0)),
            (
                Way::Out,
                OFFLOADED,
                Side::Ceiling,
                CpuPerByte,
                Goal::AtMost(1.3),
            ),
            (Way::In, PLAIN, Side::Ceiling, Gbits, Goal::AtLeast(0.9)),
            (Way::Out, PLAIN, Side::Ceiling, Gbits, Goal::AtLeast(0.95)),
            (Way::In, JUMBO, Side::Ceiling, Gbits, Goal::AtLeast(0.8)),
            (Way::Out, JUMBO, Side::Ceiling, Gbits, Goal::AtLeast(0.8)),
        ] {
            let title = title(bulk(way), link);
            let theirs = judge.median(&title, bar, metric);
            judge.on_device(&title, metric, &setup(bar, link).label(), theirs, goal);
        }
    }
}

fn judge_echo(judge: &mut Judge<'_>) {
    let alone = title(ping_pong(0), PLAIN);
    let threaded = threaded().label();
    for (metric, most) in [(Metric::P50, 1.1), (Metric::P99, 1.3)] {
        let echo = judge.median(&alone, Side::Ceiling, metric);
        let current = judge.median(&alone, Side::Tun, metric);
        let multi = judge.results.median(&alone, &threaded, metric);
        for (runtime, ours) in [("one thread", current), ("threads", multi)] {
            judge.ratio(
                format!("{alone}, {runtime}: {} of a bare echo", metric.name()),
                Goal::AtMost(most),
                ours,
                echo,
            );
        }
    }
    let ours = judge.median(&alone, Side::Tun, Metric::P50);
    for idle in [1_000, 100_000] {
        let title = title(ping_pong(idle), PLAIN);
        let beside = judge.median(&title, Side::Tun, Metric::P50);
        judge.ratio(
            format!("{title}: p50 of that alone"),
            Goal::AtMost(1.1),
            beside,
            ours,
        );
    }
}

/// Judges the engine alone.
fn judge_scale(judge: &mut Judge<'_>) {
    let nanos = |judge: &Judge<'_>, case: &str, row: &str| {
        judge.results.median(case, row, Metric::NanosEach)
    };
    for (case, of, few, many, most) in [
        (scale::PACKET, "idle", 10, 1_000_000, 1.3),
        (scale::ACK, "in flight", 10, 10_000, 1.5),
    ] {
        let [few, many] = [few, many].map(|count| scale::row(count, of));
        let name = format!("{case}: {many} of {few}");
        let (few, many) = (nanos(judge, case, &few), nanos(judge, case, &many));
        judge.ratio(name, Goal::AtMost(most), many, few);
    }
    for (kind, most) in [
        (Kind::Stream, 1024.0),
        (Kind::HalfOpen, 256.0),
        (Kind::TimeWait, 128.0),
    ] {
        let case = Idle { kind, count: MANY }.to_string();
        let bytes = judge.results.median(&case, kind.name(), Metric::BytesEach);
        judge.value(
            format!("{case}: {}, B", kind.name()),
            Goal::AtMost(most),
            bytes,
        );
    }
    let [least, .., most] = wheel::SIZES.map(wheel::insert_and_cancel);
    let few = nanos(judge, &least, wheel::OURS);
    let many = nanos(judge, &most, wheel::OURS);
    judge.value(format!("{most}: ns"), Goal::AtMost(30.0), many);
    judge.ratio(format!("{most}: of {least}"), Goal::AtMost(1.3), many, few);
}

/// Compares medians with goals.
struct Judge<'a> {
    results: &'a Results,
    targets: Vec<Target>,
}

impl Judge<'_> {
    fn median(&self, case: &str, side: Side, metric: Metric) -> Option<f64> {
        let label = setup(side, PLAIN).label();
        self.results.median(case, &label, metric)
    }

    /// Compares millstream in a case with `theirs`, the value of `bar`, and records the pump's
    /// value.
    fn on_device(
        &mut self,
        case: &str,
        metric: Metric,
        bar: &str,
        theirs: Option<f64>,
        goal: Goal,
    ) {
        let ours = self.median(case, Side::Tun, metric);
        let with_copy = self.median(case, Side::CeilingCopy, metric);
        let pump = with_copy.or_else(|| self.median(case, Side::Ceiling, metric));
        let name = format!("{case}: {} of {bar}", metric.name());
        self.note(name, goal, quotient(ours, theirs), quotient(pump, theirs));
    }

    fn ratio(&mut self, name: String, goal: Goal, ours: Option<f64>, bar: Option<f64>) {
        self.value(name, goal, quotient(ours, bar));
    }

    fn value(&mut self, name: String, goal: Goal, measured: Option<f64>) {
        self.note(name, goal, measured, None);
    }

    fn note(&mut self, name: String, goal: Goal, measured: Option<f64>, pump: Option<f64>) {
        self.targets.push(Target {
            name,
            goal: goal.to_string(),
            measured,
            pump,
            holds: measured.is_some_and(|value| goal.met_by(value)),
        });
    }
}

fn quotient(ours: Option<f64>, bar: Option<f64>) -> Option<f64> {
    ours.zip(bar).map(|(ours, bar)| ours / bar)
}

/// The title of the case without a device.
const MEMORY: &str = "two stacks in one process, MTU 1500";
/// Short connections, as many in parallel as the target states.
const CONNECT: Work = Work::Connect(Connect { parallel: 16 });

fn bulk(way: Way) -> Work {
    Work::Bulk(Bulk {
        way,
        streams: 1,
        write: READ,
    })
}

fn ping_pong(idle: usize) -> Work {
    Work::PingPong(PingPong { size: 1, idle })
}

fn setup(side: Side, link: Link) -> Setup {
    Setup::new(side, link, Runtime::Current, READ)
}

fn threaded() -> Setup {
    Setup::new(Side::Tun, PLAIN, Runtime::Multi, READ)
}

fn title(work: Work, link: Link) -> String {
    format!("{work}; {link}")
}

fn case(work: Work, link: Link, sides: &[Side]) -> Case {
    Case {
        title: title(work, link),
        work,
        setups: sides.iter().map(|side| setup(*side, link)).collect(),
    }
}

#[cfg(feature = "peers")]
fn peers() -> &'static [Side] {
    crate::sides::peers::ALL
}

#[cfg(not(feature = "peers"))]
fn peers() -> &'static [Side] {
    &[]
}

/// The peer that can be measured without a device.
#[cfg(feature = "peers")]
fn memory_peer() -> Option<Side> {
    Some(Side::SmoltcpLoopback)
}

#[cfg(not(feature = "peers"))]
fn memory_peer() -> Option<Side> {
    None
}

fn tell(targets: &[Target], results: &Results, json: bool) -> io::Result<()> {
    if json {
        return writeln!(Out, "{}", serde_json::json!({ "targets": targets }));
    }
    write!(Out, "{}", results.to_text())?;
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["target", "goal", "measured", "holds", "a pump"]);
    for target in targets {
        let [measured, pump] = [target.measured, target.pump]
            .map(|value| value.map_or("-".to_owned(), |value| format!("{value:.3}")));
        let holds = if target.holds { "yes" } else { "no" };
        table.add_row([&target.name, &target.goal, &measured, holds, &pump]);
    }
    for index in [2, 4] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(Out, "{table}")
}
