//! The stack against the Linux kernel: every case over a TUN interface of its own, in a network
//! namespace that this process makes before it starts a thread.
//!
//! Where no namespace can be made every case is skipped, loudly; with `CI` in the environment it
//! fails instead. A case that fails tells the state of its sockets, the last packets of its links,
//! and the path of a pcapng file with more of them.

use std::env;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use millstream_integration_tests::lab::Lab;
use millstream_integration_tests::link::Netlink;
use millstream_integration_tests::netns;
use tokio::runtime::{Builder, Runtime};

mod bulk;
mod child;
mod churn;
mod closing;
mod connect;
mod http;
mod icmp;
mod opening;
mod scenarios;

/// How long a case may take that moves little data.
const SHORT: Duration = Duration::from_secs(30);
/// How long a case may take that moves much.
const LONG: Duration = Duration::from_secs(240);
/// How much longer a case's thread may take than the case, before it is given up as stuck.
const GRACE: Duration = Duration::from_secs(20);

/// Threads of a runtime with many.
const WORKERS: usize = 4;

/// One case.
struct Case {
    name: &'static str,
    limit: Duration,
    runtime: fn() -> io::Result<Runtime>,
    run: fn(&Lab) -> LocalBoxFuture<'_, Result<()>>,
}

/// The cases of these functions, named after them and the runtime they run on.
macro_rules! cases {
    ($limit:expr, $runtime:ident; $($module:ident :: $function:ident),* $(,)?) => {
        [$(Case {
            name: concat!(stringify!($module), "::", stringify!($function), "::", stringify!($runtime)),
            limit: $limit,
            runtime: $runtime,
            run: |lab| Box::pin($module::$function(lab)),
        }),*]
    };
}

fn cases() -> impl Iterator<Item = Case> {
    let short = cases![SHORT, one_thread;
        opening::kernel_accepts_many_clients,
        opening::stack_accepts_many_clients,
        opening::refused_by_the_kernel,
        opening::refused_by_the_stack,
        opening::backlog_overflow_recovers,
        closing::stack_half_closes,
        closing::kernel_half_closes,
        closing::kernel_resets,
        closing::stack_lingers_zero,
        closing::unread_data_resets,
        closing::kernel_closes_while_data_is_in_flight,
        closing::kernel_resets_while_data_is_in_flight,
        closing::killed_server_with_unread_data,
        closing::killed_server_without_data,
        closing::shutdown_removes_the_interface,
        icmp::ping,
        icmp::udp_port_unreachable,
        scenarios::s1_client_closes_first,
        scenarios::s1_server_closes_first,
        scenarios::s1_fin_with_the_ack_of_ours,
        scenarios::s1_syn_without_an_answer,
        scenarios::s2_address_in_use,
        scenarios::s2_last_ack_lost,
        scenarios::s3_refused,
        scenarios::s3_abortive_release,
        scenarios::s4_kernel_survives,
        scenarios::s4_stack_survives,
        scenarios::s4_keepalive_finds_out,
        scenarios::s5_simultaneous_open,
        scenarios::s6_simultaneous_close,
    ];
    let long = cases![LONG, one_thread;
        http::download,
        http::upload,
        http::two_hundred_at_once,
        bulk::mtu_576,
        bulk::mtu_1500,
        bulk::mtu_9000,
        bulk::mtu_65535,
        churn::ten_thousand_connections,
    ];
    let threaded = cases![LONG, many_threads;
        opening::kernel_accepts_many_clients,
        opening::stack_accepts_many_clients,
        closing::kernel_closes_while_data_is_in_flight,
        http::download,
        http::upload,
        http::two_hundred_at_once,
        bulk::mtu_1500,
        churn::ten_thousand_connections,
    ];
    short.into_iter().chain(long).chain(threaded)
}

fn main() -> ExitCode {
    if let Some(code) = child::run_if_asked() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // One at a time: cases measure memory and descriptors of the process, and time out.
    arguments.test_threads.get_or_insert(1);

    let missing = if arguments.list {
        None
    } else {
        prepare().err()
    };
    let must_run = env::var_os("CI").is_some();
    let trials = cases()
        .map(|case| match &missing {
            None => Trial::test(case.name, move || run(&case)),
            Some(why) if must_run => {
                let why = why.clone();
                Trial::test(case.name, move || Err(Failed::from(why)))
            }
            Some(why) => {
                println!("skipped: {}: {why}", case.name);
                Trial::test(case.name, || Ok(())).with_ignored_flag(true)
            }
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Enters the namespace and brings its loopback up. The error is the reason for all cases.
fn prepare() -> Result<(), String> {
    netns::enter().map_err(|error| format!("no network namespace: {error}"))?;
    let up = || -> Result<()> {
        one_thread()?.block_on(async { Netlink::open()?.link("lo").await?.up().await })
    };
    up().map_err(|error| format!("no loopback: {error:#}"))
}

fn one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn many_threads() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
}

/// Runs a case on a thread of its own, so that one that blocks can be told from one that waits.
fn run(case: &Case) -> Result<(), Failed> {
    let lab = Arc::new(Lab::new(case.name));
    let (done, outcome) = mpsc::channel();
    let thread = {
        let (lab, limit) = (lab.clone(), case.limit);
        let (runtime, run) = (case.runtime, case.run);
        thread::Builder::new()
            .name(case.name.to_owned())
            .spawn(move || {
                let result = runtime().context("runtime").and_then(|runtime| {
                    runtime.block_on(async {
                        tokio::time::timeout(limit, run(&lab))
                            .await
                            .unwrap_or_else(|_| Err(anyhow::anyhow!("not done after {limit:?}")))
                    })
                });
                // The receiver waits; after the grace time nobody wants to know.
                let _ = done.send(result.map_err(|error| failed(&lab, &format!("{error:#}"))));
            })
            .map_err(|error| format!("no thread: {error}"))?
    };
    match outcome.recv_timeout(case.limit + GRACE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(failed(
            &lab,
            "the case's thread is stuck: a task does not yield",
        )),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panic = thread.join().err();
            let text = panic
                .as_ref()
                .and_then(|panic| panic.downcast_ref::<String>());
            Err(failed(&lab, text.map_or("panicked", String::as_str)))
        }
    }
}

fn failed(lab: &Lab, why: &str) -> Failed {
    let report = lab.report(Path::new(env!("CARGO_TARGET_TMPDIR")));
    format!("{why}\n{report}").into()
}
