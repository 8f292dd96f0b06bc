//! Two kernels, or a kernel and millstream, on either side of the same bad link, in real time: how fast flows of
//! several lengths are.
//!
//! Every cell is a link and a flow. The kernel sends to a kernel, millstream to a kernel, and a kernel to
//! millstream, one after the other, over links with equal seeds; all with cubic.

mod device;
mod end;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use millstream_netsim::{Bridge, Displacement, GilbertElliott, LinkConfig};
use serde::Serialize;

use self::end::{End, Kind};
use crate::cli::ImpairedArgs;
use crate::rounds::progress;
use crate::stats::median;

const MS: Duration = Duration::from_millis(1);
const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
const RECEIVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2));

/// Flows: how long, how they are called, and how many of them in a row.
const FLOWS: [(usize, &str, usize); 3] = [
    (10_000, "10 KB", 5),
    (100_000, "100 KB", 5),
    (10_000_000, "10 MB", 1),
];

/// The links.
fn links() -> Vec<(&'static str, LinkConfig)> {
    let link = |rate: u64, delay: u32| {
        let product = rate / 8 * u64::from(delay) * 2 / 1000;
        let queue = usize::try_from(product).unwrap_or(usize::MAX).max(64_000);
        LinkConfig::new().rate(rate).delay(delay * MS).queue(queue)
    };
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
            link(50_000_000, 5).burst_loss(GilbertElliott::new(0.001, 0.2)),
        ),
        (
            "50 Mbit/s, 66 ms, 1 % overtaken",
            link(50_000_000, 33).displacement(Displacement::new(0.01, 3)),
        ),
    ]
}

/// What is compared with the kernel on both sides.
const PAIRS: [(&str, Kind, Kind); 2] = [
    ("millstream sends", Kind::Millstream, Kind::Kernel),
    ("millstream receives", Kind::Kernel, Kind::Millstream),
];

/// One comparison, in Mbit/s from the SYN to the answer of who has read everything.
#[derive(Debug, Serialize)]
struct Cell {
    name: String,
    ours: f64,
    linux: f64,
    ratio: f64,
}

/// `impaired`.
pub(crate) fn run(args: &ImpairedArgs) -> Result<()> {
    let mut links = links();
    links.retain(|(name, _)| name.contains(&args.link));
    ensure!(!links.is_empty(), "no link has {:?} in its name", args.link);
    let bar = progress(links.len() * args.rounds * (PAIRS.len() + 1));
    let mut cells = Vec::new();
    for (index, (name, link)) in links.iter().enumerate() {
        bar.set_message(*name);
        let mut samples = vec![vec![Vec::new(); FLOWS.len()]; PAIRS.len() + 1];
        for round in 0..args.rounds {
            let seed = (index * 100 + round) as u64;
            let sides = [(Kind::Kernel, Kind::Kernel)]
                .into_iter()
                .chain(PAIRS.map(|(_, sender, receiver)| (sender, receiver)));
            for (side, (sender, receiver)) in sides.enumerate() {
                let speeds = measure(sender, receiver, link, seed)
                    .with_context(|| format!("{name}: {sender:?} to {receiver:?}"))?;
                for (flow, speed) in speeds.into_iter().enumerate() {
                    samples[side][flow].push(speed);
                }
                bar.inc(1);
            }
        }
        for (pair, (what, ..)) in PAIRS.iter().enumerate() {
            for (flow, (_, length, _)) in FLOWS.iter().enumerate() {
                let (ours, linux) = (median(&samples[pair + 1][flow]), median(&samples[0][flow]));
                cells.push(Cell {
                    name: format!("{name}; {length}; {what}"),
                    ours,
                    linux,
                    ratio: ours / linux,
                });
            }
        }
    }
    bar.finish_and_clear();
    tell(&cells, args.json)
}

/// Mbit/s of each flow.
fn measure(sender: Kind, receiver: Kind, link: &LinkConfig, seed: u64) -> Result<Vec<f64>> {
    let (receiver, there) = End::start(receiver, RECEIVER)?;
    let (sender, here) = End::start(sender, SENDER)?;
    let bridge = Bridge::start(here, there, link.clone(), link.clone(), seed)?;
    receiver.serve(FLOWS.iter().map(|(_, _, count)| count).sum())?;
    let mut speeds = Vec::new();
    for (length, _, count) in FLOWS {
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(sender.send(RECEIVER, length)?.as_secs_f64());
        }
        speeds.push(length as f64 * 8.0 / median(&times) / 1e6);
    }
    bridge.stop()?;
    Ok(speeds)
}

fn tell(cells: &[Cell], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::json!({ "cells": cells }));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header([
        "Mbit/s",
        "millstream",
        "kernel to kernel",
        "ratio",
    ]);
    for cell in cells {
        table.add_row([
            cell.name.clone(),
            format!("{:.2}", cell.ours),
            format!("{:.2}", cell.linux),
            format!("{:.2}", cell.ratio),
        ]);
    }
    println!("{table}");
    let product: f64 = cells.iter().map(|cell| cell.ratio.ln()).sum();
    println!(
        "geometric mean of the ratios: {:.3}",
        (product / cells.len() as f64).exp()
    );
    Ok(())
}
