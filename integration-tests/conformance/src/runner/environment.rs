//! Option lines and shell commands: the settings around the stack.
//!
//! No command is executed. Settings with a counterpart are applied; those without an effect here
//! are ignored; any other setting makes the script skipped.

use std::time::Duration;

use super::outcome::Stop;
use crate::script::{Action, Body, OptionLine, Script, TcpOpt};
use crate::target::Environment;

/// The relevant settings of `defaults.sh`, with which most published scripts begin.
const DEFAULTS: &[(&str, &str)] = &[
    ("net.ipv4.tcp_rmem", "4096 540000 15728640"),
    ("net.ipv4.tcp_wmem", "4096 262144 4194304"),
    ("net.ipv4.tcp_congestion_control", "cubic"),
    ("net.ipv4.tcp_timestamps", "1"),
    ("net.ipv4.tcp_sack", "1"),
    ("net.ipv4.tcp_window_scaling", "1"),
    ("net.ipv4.tcp_ecn", "0"),
    ("net.ipv4.tcp_recovery", "1"),
    ("net.ipv4.tcp_early_retrans", "4"),
    ("net.ipv4.tcp_frto", "2"),
    ("net.ipv4.tcp_syn_retries", "5"),
    ("net.ipv4.tcp_mtu_probing", "0"),
];

/// The requirements in the head of a script.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub(super) environment: Environment,
    /// `--tolerance_usecs`
    pub(super) tolerance: Option<Duration>,
    /// `--tcp_ts_tick_usecs`: timestamps count milliseconds, and are compared.
    pub(super) check_timestamps: bool,
    /// Whether the script sets the size of receive buffers.
    receive_buffer_given: bool,
}

impl Setup {
    /// Reads the head of a script: its option lines and the commands before the first event.
    pub(super) fn of(script: &Script) -> Result<Self, Stop> {
        let mut setup = Self::default();
        for option in &script.options {
            setup.option(option)?;
        }
        for command in &script.init {
            setup.shell(&command.text)?;
        }
        for event in &script.events {
            let Action::Command(command) = &event.action else {
                break;
            };
            setup.shell(command)?;
        }
        let environment = &setup.environment;
        let addresses = [environment.local_ip(), environment.peer_ip()];
        if addresses.iter().any(|ip| ip.is_ipv6() != environment.ipv6) {
            return Err(Stop::skipped(
                "addresses of another family than --ip_version",
            ));
        }
        if !setup.receive_buffer_given {
            setup.suppose_receive_buffer(script);
        }
        Ok(setup)
    }

    /// Derives the receive buffer from the window scale that a script expects, unless the script
    /// sets the buffer.
    fn suppose_receive_buffer(&mut self, script: &Script) {
        let scale = script.events.iter().find_map(|event| match &event.action {
            Action::Expect(packet) => match &packet.body {
                Body::Tcp(segment) => segment.options.iter().flatten().find_map(window_scale),
                Body::Icmp(_) | Body::Udp => None,
            },
            _ => None,
        });
        if let Some(scale) = scale.filter(|scale| *scale <= 14) {
            self.environment.receive_buffer = 65_535 << scale;
        }
    }

    fn option(&mut self, option: &OptionLine) -> Result<(), Stop> {
        let OptionLine { name, value, .. } = option;
        let unsupported = || Stop::skipped(format!("the option --{name}={value} is not supported"));
        match (name.as_str(), value.as_str()) {
            ("ip_version", "ipv4") => self.environment.ipv6 = false,
            ("ip_version", "ipv6") => self.environment.ipv6 = true,
            ("tolerance_usecs", _) => {
                let micros = value.parse().map_err(|_| unsupported())?;
                self.tolerance = Some(Duration::from_micros(micros));
            }
            ("tcp_ts_tick_usecs", "0") => self.check_timestamps = false,
            ("tcp_ts_tick_usecs", "1000") => self.check_timestamps = true,
            ("mtu", _) => {
                let mtu = value.parse().ok();
                let mtu = mtu.filter(|mtu| (576..=65_535).contains(mtu));
                self.environment.mtu = mtu.ok_or_else(unsupported)?;
            }
            ("local_ip", _) => {
                self.environment.local = Some(value.parse().map_err(|_| unsupported())?);
            }
            ("remote_ip", _) => {
                self.environment.peer = Some(value.parse().map_err(|_| unsupported())?);
            }
            ("bind_port", _) => {
                self.environment.bind_port = value.parse().map_err(|_| unsupported())?;
            }
            ("connect_port", _) => {
                self.environment.connect_port = value.parse().map_err(|_| unsupported())?;
            }
            ("init_scripts", _) => return value.split(',').try_for_each(|name| self.shell(name)),
            // The speed of a real machine is irrelevant on virtual time, and the single device
            // reaches all addresses.
            ("speed" | "timeout_seconds" | "gateway_ip" | "netmask_ip", _)
            | ("non_fatal" | "verbose" | "debug" | "dry_run", _) => {}
            _ => return Err(unsupported()),
        }
        Ok(())
    }

    fn shell(&mut self, text: &str) -> Result<(), Stop> {
        let joined = text.replace("\\\n", " ");
        for line in joined.lines() {
            let words = words(line);
            for command in words.split(|word| matches!(word.as_str(), ";" | "&&")) {
                self.command(command)?;
            }
        }
        Ok(())
    }

    fn command(&mut self, words: &[String]) -> Result<(), Stop> {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let unsupported = || {
            let command = words.join(" ");
            Stop::skipped(format!("the command `{command}` is not supported"))
        };
        if let ["echo", value @ .., ">", file] = words.as_slice()
            && let Some(key) = file.strip_prefix("/proc/sys/")
        {
            return self.set(key, &value.join(" "));
        }
        let words = without_redirection(&words);
        let Some((program, arguments)) = words.split_first() else {
            return Ok(());
        };
        let name = program.rsplit('/').next().unwrap_or_default();
        match (name, arguments) {
            ("true" | ":", _) => Ok(()),
            ("defaults.sh", _) => DEFAULTS
                .iter()
                .try_for_each(|(key, value)| self.set(key, value)),
            ("sysctl" | "set_sysctls.py" | "set_sysctls", _) => assignments(arguments)?
                .into_iter()
                .try_for_each(|(key, value)| self.set(&key, &value)),
            ("ip", ["route", "add" | "change" | "replace", attributes @ ..]) => {
                self.route(attributes).ok_or_else(unsupported)
            }
            _ if is_harmless(name, arguments) => Ok(()),
            _ => Err(unsupported()),
        }
    }

    /// Applies the attributes of a route; one route serves all connections.
    fn route(&mut self, attributes: &[&str]) -> Option<()> {
        let (_destination, attributes) = attributes.split_first()?;
        for pair in attributes.chunks(2) {
            match *pair {
                ["initcwnd", segments] => {
                    self.environment.initial_window = segments.parse().ok()?;
                }
                ["quickack", on] => self.environment.quick_acks = on == "1",
                ["via" | "dev" | "proto" | "scope" | "src", _] => {}
                _ => return None,
            }
        }
        Some(())
    }

    /// Applies one sysctl.
    fn set(&mut self, key: &str, value: &str) -> Result<(), Stop> {
        let key = key.trim_start_matches("/proc/sys/").replace('/', ".");
        let value = &arithmetic(value.trim());
        let value = value.as_str();
        let unsupported = || Stop::skipped(format!("sysctl {key}={value} is not supported"));
        let number = || value.parse::<u32>().map_err(|_| unsupported());
        let small = || value.parse::<u8>().map_err(|_| unsupported());
        let seconds = || number().map(|n| Duration::from_secs(n.into()));
        let switch = || match value {
            "0" => Ok(false),
            "1" | "2" => Ok(true),
            _ => Err(unsupported()),
        };
        // The value has three parts: minimum, default and maximum.
        let size = |place| {
            let size = value.split_whitespace().nth(place);
            size.and_then(|size| size.parse().ok())
                .ok_or_else(unsupported)
        };
        let environment = &mut self.environment;
        match key.as_str() {
            "net.ipv4.tcp_timestamps" => environment.timestamps = switch()?,
            "net.ipv4.tcp_sack" => environment.sack = switch()?,
            "net.ipv4.tcp_ecn" => {
                environment.ecn = small()?;
                if environment.ecn > 2 {
                    return Err(unsupported());
                }
            }
            "net.ipv4.tcp_dsack" => environment.dsack = switch()?,
            "net.ipv4.tcp_slow_start_after_idle" => environment.slow_start_after_idle = switch()?,
            "net.ipv4.tcp_mtu_probing" => {
                environment.mtu_probing = small()?;
                if environment.mtu_probing > 2 {
                    return Err(unsupported());
                }
            }
            "net.ipv4.tcp_recovery" if value != "2" => environment.rack = switch()?,
            // 1 and 2 selected an earlier mechanism, which was removed in kernel 4.12.
            "net.ipv4.tcp_early_retrans" if small()? <= 4 => {
                environment.tail_loss_probe = small()? >= 3;
            }
            "net.ipv4.tcp_frto" if matches!(value, "0" | "2") => environment.frto = value == "2",
            "net.ipv4.tcp_window_scaling" => environment.window_scaling = switch()?,
            "net.ipv4.tcp_syn_retries" => environment.syn_retries = small()?,
            "net.ipv4.tcp_synack_retries" => environment.syn_ack_retries = small()?,
            "net.ipv4.tcp_retries1" => environment.retries1 = small()?,
            "net.ipv4.tcp_retries2" => environment.retries2 = small()?,
            "net.ipv4.tcp_fin_timeout" => environment.fin_timeout = seconds()?,
            "net.ipv4.tcp_keepalive_time" => environment.keepalive_time = seconds()?,
            "net.ipv4.tcp_keepalive_intvl" => environment.keepalive_interval = seconds()?,
            "net.ipv4.tcp_keepalive_probes" => environment.keepalive_probes = small()?,
            "net.ipv4.tcp_syncookies" => {
                environment.syn_cookies = small()?;
                if environment.syn_cookies > 2 {
                    return Err(unsupported());
                }
            }
            "net.ipv4.tcp_rfc1337" => environment.rfc1337 = switch()?,
            "net.ipv4.tcp_invalid_ratelimit" => {
                environment.challenge_interval = Duration::from_millis(number()?.into());
            }
            "net.ipv4.tcp_rmem" => {
                environment.receive_buffer = size(2)?;
                environment.first_receive_buffer = Some(size(1)?);
                self.receive_buffer_given = true;
            }
            "net.ipv4.tcp_wmem" => {
                environment.send_buffer = size(2)?;
                environment.first_send_buffer = Some(size(1)?);
            }
            "net.ipv4.tcp_max_orphans" => environment.max_orphans = number()? as usize,
            "net.ipv4.tcp_max_tw_buckets" => environment.max_time_wait = number()? as usize,
            "net.ipv4.tcp_congestion_control" => environment.congestion = value.to_owned(),
            _ if is_without_effect(&key, value) => {}
            _ => return Err(unsupported()),
        }
        Ok(())
    }
}

fn window_scale(option: &TcpOpt) -> Option<u8> {
    match option {
        TcpOpt::WindowScale(shift) => Some(*shift),
        _ => None,
    }
}

/// Whether a setting states the behaviour here anyway, or is irrelevant here.
fn is_without_effect(key: &str, value: &str) -> bool {
    let Some(name) = key.strip_prefix("net.ipv4.") else {
        // The packet scheduling of a real device, and limits far above those that a script reaches.
        return matches!(
            key,
            "net.core.default_qdisc" | "net.core.somaxconn" | "net.core.netdev_max_backlog"
        );
    };
    match name {
        "tcp_no_metrics_save"
        | "tcp_challenge_ack_limit"
        | "tcp_max_syn_backlog"
        | "tcp_fack"
        | "tcp_min_tso_segs"
        | "tcp_tso_win_divisor"
        | "tcp_tso_rtt_log"
        | "tcp_limit_output_bytes"
        | "tcp_pacing_ss_ratio"
        | "tcp_pacing_ca_ratio"
        | "tcp_mem"
        | "tcp_low_latency"
        | "tcp_fastopen"
        | "tcp_fastopen_key" => true,
        "tcp_moderate_rcvbuf" => value == "1",
        "tcp_reordering" => value == "3",
        "tcp_abort_on_overflow" | "tcp_autocorking" | "tcp_thin_linear_timeouts" => value == "0",
        "tcp_notsent_lowat" => value == "4294967295",
        "ip_no_pmtu_disc" => value == "0",
        _ => false,
    }
}

/// Whether a command only undoes a script's changes to a real machine, clears that machine's
/// caches, or affects how its device passes packets on.
fn is_harmless(name: &str, arguments: &[&str]) -> bool {
    match (name, arguments) {
        ("ip", ["tcp_metrics", "flush", ..]) => true,
        ("tc", ["qdisc", ..]) => !arguments
            .iter()
            .any(|word| matches!(*word, "netem" | "tbf" | "ingress")),
        _ => name.starts_with("sysctl_restore"),
    }
}

/// Parses `KEY=VALUE` or `KEY = VALUE` for each argument; flags are skipped.
fn assignments(arguments: &[&str]) -> Result<Vec<(String, String)>, Stop> {
    let mut arguments = arguments.iter().filter(|word| !word.starts_with('-'));
    let mut found = Vec::new();
    while let Some(word) = arguments.next() {
        let assignment = match word.split_once('=') {
            Some((key, value)) => Some((key, value)),
            None if arguments.next() == Some(&"=") => arguments.next().map(|value| (*word, *value)),
            None => None,
        };
        let (key, value) = assignment
            .ok_or_else(|| Stop::skipped(format!("sysctl {word} is not an assignment")))?;
        found.push((key.to_owned(), value.to_owned()));
    }
    Ok(found)
}

/// The words of a command, without redirections.
fn without_redirection<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let is_arrow = |word: &str| matches!(word, ">" | ">>" | "2>" | "&>");
    let leads = |word: &str| word.starts_with(['>', '&']) || word.starts_with("2>");
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if is_arrow(word) {
            words.next();
        } else if !leads(word) {
            kept.push(*word);
        }
    }
    kept
}

/// Evaluates `$((15*1024*1024))`; returns any other text unchanged.
fn arithmetic(value: &str) -> String {
    let Some((before, rest)) = value.split_once("$((") else {
        return value.to_owned();
    };
    let Some((formula, after)) = rest.split_once("))") else {
        return value.to_owned();
    };
    let product = |term: &str| -> Option<u64> {
        term.split('*').try_fold(1u64, |product, factor| {
            product.checked_mul(factor.trim().parse().ok()?)
        })
    };
    let sum = formula
        .split('+')
        .try_fold(0u64, |sum, term| sum.checked_add(product(term)?));
    match sum {
        Some(sum) => format!("{before}{sum}{}", arithmetic(after)),
        None => value.to_owned(),
    }
}

/// Splits a line like a shell, with quotes, comments and `;`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut parentheses = 0;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.push(c),
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') if word.is_empty() => break,
            (None, ';') => {
                words.push(std::mem::take(&mut word));
                words.push(c.to_string());
            }
            (None, _) if c.is_whitespace() && parentheses == 0 => {
                words.push(std::mem::take(&mut word));
            }
            (None, _) => {
                parentheses += i32::from(c == '(') - i32::from(c == ')');
                word.push(c);
            }
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}
