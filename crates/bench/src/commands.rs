//! The subcommands: derive a plan from the arguments, run it, print the results.

use std::io::Write as _;
use std::net::IpAddr;

use anyhow::Result;
use millstream::IntoCidr as _;
use millstream::device::Tun;
use millstream_console::{Out, log};

use crate::cli::{
    BulkArgs, ConnectArgs, IdleArgs, LoadArgs, OutputArgs, PingPongArgs, ServeArgs, SideArgs,
    SideChoice, Switch,
};
use crate::dial::KernelDial;
use crate::lab::{Lab, Measured};
use crate::measure::raise_file_limit;
use crate::plot;
use crate::results::Results;
use crate::rounds::{self, Case, Plan};
use crate::service::READ;
use crate::setup::{Link, Runtime, Setup};
use crate::sides::tun;
use crate::work::bulk::{Bulk, Way};
use crate::work::connect::Connect;
use crate::work::pingpong::PingPong;
use crate::work::{Work, idle, scale, wheel};

/// `bulk`.
pub(crate) fn bulk(args: &BulkArgs) -> Result<()> {
    let mut works = Vec::new();
    for &write in &args.write {
        for &streams in &args.streams {
            works.extend(args.way.iter().map(|&way| {
                Work::Bulk(Bulk {
                    way,
                    streams,
                    write,
                })
            }));
        }
    }
    compare(&args.sides, &works)
}

/// `pingpong`.
pub(crate) fn ping_pong(args: &PingPongArgs) -> Result<()> {
    let mut works = Vec::new();
    for &idle in &args.idle {
        let sizes = args.size.iter();
        works.extend(sizes.map(|&size| Work::PingPong(PingPong { size, idle })));
    }
    compare(&args.sides, &works)
}

/// `connect`.
pub(crate) fn connect(args: &ConnectArgs) -> Result<()> {
    let works = args
        .parallel
        .iter()
        .map(|&parallel| Work::Connect(Connect { parallel }));
    compare(&args.sides, &works.collect::<Vec<_>>())
}

/// `idle`.
pub(crate) fn idle(args: &IdleArgs) -> Result<()> {
    let mut results = Results::default();
    idle::measure(args, &mut results)?;
    tell(&results, &args.output)
}

/// `scale`.
pub(crate) fn scale(args: &OutputArgs) -> Result<()> {
    let mut results = Results::default();
    scale::measure(args.rounds, &mut results)?;
    tell(&results, args)
}

/// `wheel`.
pub(crate) fn wheel(args: &OutputArgs) -> Result<()> {
    let mut results = Results::default();
    wheel::measure(args.rounds, &mut results)?;
    tell(&results, args)
}

/// `serve`: runs until it is killed.
pub(crate) fn serve(args: &ServeArgs) -> Result<()> {
    raise_file_limit()?;
    let address = args.addr.as_str().into_cidr()?;
    let link = Link {
        mtu: args.mtu,
        offload: args.offload,
    };
    let runtime = match args.threads {
        1 => Runtime::Current.build()?,
        threads => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?,
    };
    runtime.block_on(async {
        let mut interface = Tun::builder().name(&args.tun);
        if let Some(peer) = args.peer {
            let peer = format!("{peer}/{}", address.prefix);
            interface = interface.address(peer).up();
        }
        let stack = tun::stack(interface, link, address, args.threads)?;
        tun::serve(&stack, address.address, READ, || {
            log(format_args!(
                "serving at {}: 9001 receives, 9002 sends, 9003 echoes",
                address.address
            ));
            Ok(())
        })
        .await
    })
}

/// `load`.
pub(crate) fn load(args: &LoadArgs) -> Result<()> {
    raise_file_limit()?;
    let bulk = |way| {
        Work::Bulk(Bulk {
            way,
            streams: args.streams,
            write: READ,
        })
    };
    let works = [
        bulk(Way::In),
        bulk(Way::Out),
        Work::PingPong(PingPong { size: 1, idle: 0 }),
        Work::Connect(Connect {
            parallel: args.streams,
        }),
    ];
    let runtime = Runtime::Current.build()?;
    let mut results = Results::default();
    let progress = rounds::progress(args.output.rounds * works.len());
    for _ in 0..args.output.rounds {
        for work in works {
            let report = runtime.block_on(work.run(KernelDial(args.host), args.seconds))?;
            let measured = Measured {
                report,
                processor: None,
                dropped: None,
            };
            rounds::record(&mut results, &work.to_string(), &name(args.host), measured);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    tell(&results, &args.output)
}

fn name(host: IpAddr) -> String {
    host.to_string()
}

/// Runs all works on all sides and all links.
fn compare(args: &SideArgs, works: &[Work]) -> Result<()> {
    let mut cases = Vec::new();
    for &mtu in &args.mtu {
        for &offload in &args.offload {
            let link = Link {
                mtu,
                offload: offload == Switch::On,
            };
            cases.extend(works.iter().map(|&work| Case {
                title: format!("{work}; {link}"),
                work,
                setups: setups(args, link, work),
            }));
        }
    }
    let plan = Plan {
        cases,
        rounds: args.output.rounds,
        seconds: args.seconds,
    };
    let mut lab = Lab::enter(args.pin)?;
    let mut results = Results::default();
    plan.run(&mut lab, &mut results)?;
    tell(&results, &args.output)
}

fn setups(args: &SideArgs, link: Link, work: Work) -> Vec<Setup> {
    let write = match work {
        Work::Bulk(bulk) => bulk.write,
        Work::PingPong(_) | Work::Connect(_) => READ,
    };
    let mut setups = Vec::new();
    for &side in args
        .sides
        .iter()
        .flat_map(|choice| SideChoice::sides(*choice))
    {
        for &runtime in &args.runtime {
            for &queues in &args.queues {
                let setup = Setup::with_queues(side, link, runtime, write, queues);
                if side.does(work) && !setups.contains(&setup) {
                    setups.push(setup);
                }
            }
        }
    }
    setups
}

fn tell(results: &Results, args: &OutputArgs) -> Result<()> {
    if let Some(path) = &args.svg {
        plot::bars(results, path)?;
    }
    if args.json {
        writeln!(Out, "{}", results.to_json())?;
    } else {
        writeln!(
            Out,
            "Medians of {} rounds; ratios to the first side",
            args.rounds
        )?;
        write!(Out, "{}", results.to_text())?;
    }
    Ok(())
}
