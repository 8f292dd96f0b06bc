//! The stack against the Linux kernel: every case over a TUN interface of its own, in a network
//! namespace that this process creates before it starts a thread.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use millstream_testbed::cases;
use millstream_testbed::harness::{self, Case};
use millstream_testbed::program::CURL;

mod addresses;
mod bulk;
mod child;
mod churn;
mod closing;
mod connect;
mod http;
mod icmp;
mod interface;
mod opening;
mod queues;
mod scenarios;
mod shares;
mod udp;

/// The time limit of a case with little data.
const SHORT: Duration = Duration::from_secs(30);
/// The time limit of a case with much data.
const LONG: Duration = Duration::from_secs(240);

fn cases() -> impl Iterator<Item = Case> {
    let short = cases![SHORT, &[], one_thread;
        opening::kernel_accepts_many_clients,
        opening::stack_accepts_many_clients,
        opening::stack_is_every_host,
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
        addresses::source_addresses_are_treated_as_in_the_table,
        icmp::ping,
        icmp::udp_port_unreachable,
        udp::datagrams_both_ways,
        udp::refusals_both_ways,
        udp::segments_and_sizes,
        udp::segments_cut_by_the_kernel,
        udp::header_fields,
        udp::groups,
        udp::sockets_of_two_queues,
        interface::an_ipv6_address_can_be_used_at_once,
        interface::an_arrived_packet_can_be_read_at_once,
        interface::its_deletion_is_reported_to_all_waiting_tasks,
        interface::packets_above_a_raised_mtu_are_dropped,
        interface::offloads_are_those_of_the_last_owner,
        scenarios::s1_client_closes_first,
        scenarios::s1_server_closes_first,
        scenarios::s1_fin_with_the_ack_of_the_first_fin,
        scenarios::s1_syn_without_an_answer,
        scenarios::s2_address_in_use,
        scenarios::s2_last_ack_lost,
        scenarios::s3_refused,
        scenarios::s3_abortive_release,
        scenarios::s4_kernel_survives,
        scenarios::s4_stack_survives,
        scenarios::s4_keepalive_detects_a_lost_peer,
        scenarios::s5_simultaneous_open,
        scenarios::s6_simultaneous_close,
    ];
    let long = cases![LONG, &[], one_thread;
        bulk::mtu_576,
        bulk::mtu_1500,
        bulk::mtu_9000,
        bulk::mtu_65535,
        churn::ten_thousand_connections,
        shares::four_downloads,
        shares::sixteen_downloads,
        shares::sixteen_downloads_with_offloads,
        shares::sixteen_downloads_by_two_queues,
        shares::four_uploads,
    ];
    let threaded = cases![LONG, &[], many_threads;
        opening::kernel_accepts_many_clients,
        opening::stack_accepts_many_clients,
        opening::stack_is_every_host,
        queues::many_connections_both_ways,
        udp::sockets_of_two_queues,
        closing::kernel_closes_while_data_is_in_flight,
        bulk::mtu_1500,
        churn::ten_thousand_connections,
        shares::four_downloads,
        shares::sixteen_downloads,
        shares::sixteen_downloads_with_offloads,
        shares::sixteen_downloads_by_two_queues,
        shares::four_uploads,
    ];
    let http = cases![LONG, &[CURL], one_thread;
        http::download,
        http::upload,
        http::two_hundred_at_once,
    ];
    let threaded_http = cases![LONG, &[CURL], many_threads;
        http::download,
        http::upload,
        http::two_hundred_at_once,
    ];
    short
        .into_iter()
        .chain(long)
        .chain(threaded)
        .chain(http)
        .chain(threaded_http)
}

fn main() -> ExitCode {
    if let Some(code) = child::run_if_asked() {
        return code;
    }
    harness::main(cases(), Path::new(env!("CARGO_TARGET_TMPDIR")))
}
