//! millstream against other TCP/IP stacks. Each has a TUN interface of its own, in a network
//! namespace that this process creates before it starts a thread; the kernel routes between the
//! two.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use millstream_testbed::cases;
use millstream_testbed::harness::{self, Case};

mod closing;
#[cfg(lwip)]
mod lwip_ffi;
#[cfg(lwip)]
mod lwip_peer;
mod peer;
mod smoltcp_peer;
mod tcp_ip_peer;
mod topology;
mod transfer;

/// The time limit of a case. With loss, the other stacks wait a second or more for the second loss
/// in a window: as senders they support neither SACK nor NewReno's partial acknowledgments.
const LIMIT: Duration = Duration::from_secs(300);

/// The number of cases that run at the same time. Cases with loss mostly wait, so they come first.
const AT_ONCE: usize = 6;

fn cases() -> impl Iterator<Item = Case> {
    use transfer::{smoltcp, tcp_ip};
    let cases = cases![LIMIT, &[], one_thread;
        smoltcp::serves_with_loss,
        smoltcp::connects_with_loss,
        tcp_ip::serves_with_loss,
        tcp_ip::connects_with_loss,
        smoltcp::serves_and_closes_first,
        smoltcp::serves_and_closes_last,
        smoltcp::serves_and_closes_simultaneously,
        smoltcp::connects_and_closes_first,
        smoltcp::connects_and_closes_last,
        smoltcp::connects_and_closes_simultaneously,
        tcp_ip::serves_and_closes_first,
        tcp_ip::serves_and_closes_last,
        tcp_ip::serves_and_closes_simultaneously,
        tcp_ip::connects_and_closes_first,
        tcp_ip::connects_and_closes_last,
        tcp_ip::connects_and_closes_simultaneously,
    ];
    lwip_cases().into_iter().chain(cases)
}

#[cfg(lwip)]
fn lwip_cases() -> impl IntoIterator<Item = Case> {
    use transfer::lwip;
    cases![LIMIT, &[], one_thread;
        lwip::serves_with_loss,
        lwip::connects_with_loss,
        lwip::serves_and_closes_first,
        lwip::serves_and_closes_last,
        lwip::serves_and_closes_simultaneously,
        lwip::connects_and_closes_first,
        lwip::connects_and_closes_last,
        lwip::connects_and_closes_simultaneously,
    ]
}

/// A single case in place of all, so that the harness reports the missing package.
#[cfg(not(lwip))]
fn lwip_cases() -> impl IntoIterator<Item = Case> {
    use millstream_testbed::program::Program;

    // A library is not a program, so the search for it always fails.
    const LIBRARY: &[Program] = &[Program::new("liblwip", "liblwip-dev")];
    [Case {
        name: "lwip",
        limit: LIMIT,
        needs: LIBRARY,
        runtime: harness::one_thread,
        run: |_| Box::pin(async { anyhow::bail!("built without lwIP") }),
    }]
}

fn main() -> ExitCode {
    harness::main_with(cases(), Path::new(env!("CARGO_TARGET_TMPDIR")), AT_ONCE)
}
