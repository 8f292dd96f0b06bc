//! Two kernels, or a kernel and millstream, at the ends of the same bad link, in real time: the
//! throughput of flows of several lengths.
//!
//! A cell of the table is a link and a flow length. The kernel sends to a kernel, millstream to a
//! kernel, and a kernel to millstream, one after the other, over links with equal seeds; all with
//! CUBIC and ECN.

mod awake;
mod chart;
mod device;
mod end;
mod fair;
mod look;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use millstream_console::Out;
use millstream_netsim::{Bridge, Displacement, GilbertElliott, Jitter, LinkConfig};
use serde::Serialize;

use self::awake::Awake;
use self::chart::Traced;
use self::end::{End, Flow, Kind};
use crate::cli::ImpairedArgs;
use crate::rounds::progress;
use crate::stats::median;

const MS: Duration = Duration::from_millis(1);
const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
const RECEIVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2));

/// Flows: length, name, and number per round.
const FLOWS: [(usize, &str, usize); 3] = [
    (10_000, "10 KB", 15),
    (100_000, "100 KB", 9),
    (10_000_000, "10 MB", 1),
];

/// One of [`FLOWS`].
type Length = (usize, &'static str, usize);

/// The links.
fn links() -> Vec<(&'static str, LinkConfig)> {
    let link = |rate: u64, delay: u32| {
        let product = rate / 8 * u64::from(delay) * 2 / 1000;
        let queue = usize::try_from(product).unwrap_or(usize::MAX).max(64_000);
        LinkConfig::new().rate(rate).delay(delay * MS).queue(queue)
    };
    // The last packet of a flight is held only briefly, because there may be no other to overtake
    // it.
    let overtaken = |share| Displacement::new(share, 3).hold_at_most(10 * MS);
    vec![
        ("100 Mbit/s, 20 ms", link(100_000_000, 10)),
        ("50 Mbit/s, 100 ms", link(50_000_000, 50)),
        (
            "50 Mbit/s, 20 ms, 0.1 % lost",
            link(50_000_000, 10).loss(0.001),
        ),
        ("50 Mbit/s, 10 ms, 1 % lost", link(50_000_000, 5).loss(0.01)),
        ("20 Mbit/s, 10 ms, 3 % lost", link(20_000_000, 5).loss(0.03)),
        (
            "50 Mbit/s, 10 ms, bursts lost",
            link(50_000_000, 5).burst_loss(GilbertElliott::new(0.001, 0.1).losing(0.0, 0.5)),
        ),
        (
            "50 Mbit/s, 66 ms, 1 % overtaken",
            link(50_000_000, 33).displacement(overtaken(0.01)),
        ),
        (
            "50 Mbit/s, 66 ms, 0.5 % overtaken",
            link(50_000_000, 33).displacement(overtaken(0.005)),
        ),
        (
            "50 Mbit/s, 66 ms, 3 % overtaken",
            link(50_000_000, 33).displacement(overtaken(0.03)),
        ),
        ("20 Mbit/s, 2 ms, 10 % lost", link(20_000_000, 1).loss(0.1)),
        ("50 Mbit/s, 300 ms", link(50_000_000, 150)),
        (
            "50 Mbit/s, 20 ms, up to 4 ms of jitter",
            link(50_000_000, 10).jitter(Jitter {
                most: 4 * MS,
                reorders: true,
            }),
        ),
        (
            "50 Mbit/s, 20 ms, 2 % twice",
            link(50_000_000, 10).duplication(0.02),
        ),
        (
            "50 Mbit/s, 20 ms, marked from half a queue on",
            link(50_000_000, 10).ecn_threshold(62_500),
        ),
    ]
}

/// The pairs that are compared with two kernels.
const PAIRS: [(&str, Kind, Kind); 2] = [
    ("millstream sends", Kind::Millstream, Kind::Kernel),
    ("millstream receives", Kind::Kernel, Kind::Millstream),
];

/// One comparison, in Mbit/s from the SYN to the reply of the receiver, which has read all bytes
/// then.
#[derive(Debug, Serialize)]
struct Cell {
    name: String,
    ours: f64,
    linux: f64,
    /// The median of the ratios of flows with the same random decisions: a short flow takes one
    /// round trip or, if a particular packet is lost, a second. A ratio of medians would depend on
    /// chance.
    ratio: f64,
    ours_details: Figures,
    linux_details: Figures,
}

/// Other figures of a flow at its sender; medians.
#[derive(Debug, Serialize)]
struct Figures {
    /// The time from the SYN to the reply.
    milliseconds: f64,
    /// The time of each flow, in the order of seeds.
    each_milliseconds: Vec<f64>,
    bytes_sent_again: f64,
    /// Segments that the receiver reported as duplicates.
    segments_received_twice: f64,
}

impl Figures {
    fn of(flows: &[Flow]) -> Self {
        let median_of = |figure: fn(&Flow) -> f64| {
            let figures: Vec<_> = flows.iter().map(figure).collect();
            median(&figures)
        };
        Self {
            milliseconds: median_of(Flow::milliseconds),
            each_milliseconds: flows.iter().map(Flow::milliseconds).collect(),
            bytes_sent_again: median_of(|flow| flow.last().again as f64),
            segments_received_twice: median_of(|flow| flow.last().spurious as f64),
        }
    }
}

/// `impaired`.
pub(crate) fn run(args: &ImpairedArgs) -> Result<()> {
    let _awake = Awake::start()?;
    if args.fair {
        return fair::run(args);
    }
    let mut links = links();
    links.retain(|(name, _)| name.contains(&args.link));
    ensure!(!links.is_empty(), "no link name contains {:?}", args.link);
    let mut lengths = FLOWS.to_vec();
    lengths.retain(|(_, length, _)| length.contains(&args.flow));
    ensure!(
        !lengths.is_empty(),
        "no flow has the name {:?}; the names are {}",
        args.flow,
        FLOWS.map(|(_, length, _)| length).join(", ")
    );
    let bar = progress(links.len() * args.rounds * (PAIRS.len() + 1));
    let (mut cells, mut traced) = (Vec::new(), Vec::new());
    for (index, (name, link)) in links.iter().enumerate() {
        bar.set_message(*name);
        let sides = [(Kind::Kernel, Kind::Kernel)]
            .into_iter()
            .chain(PAIRS.map(|(_, sender, receiver)| (sender, receiver)));
        let mut flows: Vec<Vec<Vec<Flow>>> = Vec::new();
        flows.resize_with(PAIRS.len() + 1, || {
            lengths.iter().map(|_| Vec::new()).collect()
        });
        for round in 0..args.rounds {
            let seed = args.seed + (index * 100 + round) as u64;
            for (side, (sender, receiver)) in sides.clone().enumerate() {
                let measured = measure(sender, receiver, link, seed, &lengths)
                    .with_context(|| format!("{name}: {sender:?} to {receiver:?}"))?;
                for (all, more) in flows[side].iter_mut().zip(measured) {
                    all.extend(more);
                }
                bar.inc(1);
            }
        }
        cells.extend(compare(name, &lengths, &flows));
        traced.push(Traced::new(name, &flows));
    }
    bar.finish_and_clear();
    if let Some(path) = &args.svg {
        chart::draw(&traced, path)?;
    }
    tell(&cells, args)
}

/// The cells of a link: for each pair, the flows of each length compared with those from kernel to
/// kernel.
fn compare(link: &str, lengths: &[Length], flows: &[Vec<Vec<Flow>>]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (pair, (what, ..)) in PAIRS.iter().enumerate() {
        for (flow, (bytes, length, _)) in lengths.iter().enumerate() {
            let [ours, linux] = [&flows[pair + 1][flow], &flows[0][flow]];
            let ratios = ours.iter().zip(linux);
            let ratios = ratios.map(|(o, l)| l.time.as_secs_f64() / o.time.as_secs_f64());
            let ratio = median(&ratios.collect::<Vec<_>>());
            let [ours, linux] = [ours, linux].map(|flows| Figures::of(flows));
            let speed = |figures: &Figures| *bytes as f64 * 8.0 / figures.milliseconds / 1e3;
            cells.push(Cell {
                name: format!("{link}; {length}; {what}"),
                ours: speed(&ours),
                linux: speed(&linux),
                ratio,
                ours_details: ours,
                linux_details: linux,
            });
        }
    }
    cells
}

/// Measures the flows of each length.
fn measure(
    sender: Kind,
    receiver: Kind,
    link: &LinkConfig,
    seed: u64,
    lengths: &[Length],
) -> Result<Vec<Vec<Flow>>> {
    let flows = lengths.iter().enumerate().map(|(n, &(length, _, count))| {
        let seeds = (0..count).map(|flow| seed * 1000 + (n * 100 + flow) as u64);
        seeds
            .map(|seed| one_flow(sender, receiver, link, seed, length))
            .collect()
    });
    flows.collect()
}

/// One flow over a new link: its random decisions are the same for all pairs as long as they send
/// the same packets. The stacks are also new, so that they have no cached metrics of the path.
fn one_flow(
    sender: Kind,
    receiver: Kind,
    link: &LinkConfig,
    seed: u64,
    length: usize,
) -> Result<Flow> {
    let (receiver, there) = End::start(receiver, RECEIVER)?;
    let (sender, here) = End::start(sender, SENDER)?;
    let bridge = Bridge::start(here, there, link.clone(), link.clone(), seed)?;
    receiver.serve(1)?;
    let flow = sender.send(RECEIVER, length)?;
    bridge.stop()?;
    Ok(flow)
}

fn tell(cells: &[Cell], args: &ImpairedArgs) -> Result<()> {
    if args.json {
        let told = serde_json::json!({ "seed": args.seed, "cells": cells });
        writeln!(Out, "{told}")?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header([
        "Mbit/s (KB retransmitted, segments received twice)",
        "millstream",
        "kernel to kernel",
        "ratio",
    ]);
    let told = |speed: f64, figures: &Figures| {
        format!(
            "{speed:.2} ({:.0}, {:.0})",
            figures.bytes_sent_again / 1e3,
            figures.segments_received_twice
        )
    };
    for cell in cells {
        table.add_row([
            cell.name.clone(),
            told(cell.ours, &cell.ours_details),
            told(cell.linux, &cell.linux_details),
            format!("{:.2}", cell.ratio),
        ]);
    }
    writeln!(Out, "{table}")?;
    let product: f64 = cells.iter().map(|cell| cell.ratio.ln()).sum();
    writeln!(
        Out,
        "geometric mean of the ratios: {:.3}; seed {}",
        (product / cells.len() as f64).exp(),
        args.seed
    )?;
    Ok(())
}
