//! Option lines and shell commands: what they set up around the stack.
//!
//! Nothing is run. Settings that have a counterpart are taken; those that make no difference here are
//! let pass; any other makes the script skipped.

use std::time::Duration;

use super::outcome::Stop;
use crate::script::{Action, Body, OptionLine, Script, TcpOpt};
use crate::target::Environment;

/// What `defaults.sh`, which most published scripts begin with, sets of what matters here.
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

/// What the head of a script asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub(super) environment: Environment,
    /// `--tolerance_usecs`
    pub(super) tolerance: Option<Duration>,
    /// `--tcp_ts_tick_usecs`: timestamps count milliseconds, and are compared.
    pub(super) check_timestamps: bool,
    /// The script says how large receive buffers are.
    receive_buffer_given: bool,
}

impl Setup {
    /// Reads the head of a script: option lines and the commands before anything else happens.
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
        if !setup.receive_buffer_given {
            setup.suppose_receive_buffer(script);
        }
        Ok(setup)
    }

    /// The window scale that a script expects tells how large a receive buffer it supposes, unless it
    /// says so itself.
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
            // How fast a real machine is has no meaning on virtual time.
            ("non_fatal" | "verbose" | "dry_run", _) => {}
            _ => return Err(unsupported()),
        }
        Ok(())
    }

    fn shell(&mut self, text: &str) -> Result<(), Stop> {
        let joined = text.replace("\\\n", " ");
        let commands = joined.split(['\n', ';']).flat_map(|line| line.split("&&"));
        for command in commands {
            self.command(&words(command))?;
        }
        Ok(())
    }

    fn command(&mut self, words: &[String]) -> Result<(), Stop> {
        let Some((program, arguments)) = words.split_first() else {
            return Ok(());
        };
        let name = program.rsplit('/').next().unwrap_or_default();
        match name {
            _ if name.starts_with('#') => Ok(()),
            "true" | ":" => Ok(()),
            "defaults.sh" => DEFAULTS.iter().try_for_each(|(key, value)| self.set(key, value)),
            "sysctl" | "set_sysctls.py" | "set_sysctls" => arguments
                .iter()
                .filter(|argument| !argument.starts_with('-'))
                .try_for_each(|argument| {
                    let (key, value) = argument.split_once('=').ok_or_else(|| {
                        Stop::skipped(format!("sysctl {argument} is not an assignment"))
                    })?;
                    self.set(key, value)
                }),
            _ if is_harmless(program, arguments) => Ok(()),
            _ => Err(Stop::skipped(format!(
                "the command `{}` is not supported",
                words.join(" ")
            ))),
        }
    }

    /// One sysctl.
    fn set(&mut self, key: &str, value: &str) -> Result<(), Stop> {
        let key = key.trim_start_matches("/proc/sys/").replace('/', ".");
        let value = value.trim();
        let unsupported = || Stop::skipped(format!("sysctl {key}={value} cannot be honoured"));
        let number = || value.parse::<u32>().map_err(|_| unsupported());
        let small = || value.parse::<u8>().map_err(|_| unsupported());
        let seconds = || number().map(|n| Duration::from_secs(n.into()));
        let switch = || match value {
            "0" => Ok(false),
            "1" | "2" => Ok(true),
            _ => Err(unsupported()),
        };
        // Of three: smallest, first and largest.
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
            "net.ipv4.tcp_mtu_probing" if value != "2" => environment.mtu_probing = switch()?,
            "net.ipv4.tcp_recovery" if value != "2" => environment.rack = switch()?,
            // 1 and 2 were an earlier mechanism's, which went with kernel 4.12.
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

/// Settings that say what holds here anyway, or that nothing here depends on.
fn is_without_effect(key: &str, value: &str) -> bool {
    let Some(name) = key.strip_prefix("net.ipv4.") else {
        // The order in which a real device sends, and limits far above what a script reaches.
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
        "tcp_dsack" | "tcp_slow_start_after_idle" | "tcp_moderate_rcvbuf" => value == "1",
        "tcp_reordering" => value == "3",
        "tcp_abort_on_overflow"
        | "tcp_autocorking"
        | "tcp_thin_linear_timeouts" => value == "0",
        "tcp_syncookies" => value != "2",
        "ip_no_pmtu_disc" => value == "0",
        _ => false,
    }
}

/// Commands that undo what a script did to a real machine, or forget what that machine remembered.
fn is_harmless(program: &str, arguments: &[String]) -> bool {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    program.contains("sysctl_restore")
        || (program == "ip" && arguments.starts_with(&["tcp_metrics", "flush"]))
}

/// Splits as a shell would, as far as quotes go.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in command.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
