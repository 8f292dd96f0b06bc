//! Converts a sequence to a wire script that expects Linux's behaviour.

use std::fmt::Write as _;

use super::play::{Answer, Seen};
use super::sequence::{Opening, Step};
use super::{Difference, Divergence};
use crate::script::{Body, IpPart, Packet, Segment, TcpOpt};
use crate::target::Failure;

/// A script that passes on Linux and fails on the engine.
#[must_use]
pub fn text(difference: &Difference) -> String {
    let Difference {
        seed,
        sequence,
        how,
    } = difference;
    let socket = match sequence.opening {
        Opening::Listen => 4,
        Opening::Connect => 3,
    };
    let mut script = format!(
        "// Seed {seed}: a difference at step {} of these.\n",
        how.step
    );
    script += &engine_did(how);
    script += "`sysctl -q net.ipv4.tcp_invalid_ratelimit=0`\n";
    script += "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n";
    script += "+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0\n";
    script += "+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n";
    if sequence.nodelay {
        script += "+0 setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n";
    }
    script += match sequence.opening {
        Opening::Listen => "+0 bind(3, ..., ...) = 0\n+0 listen(3, 5) = 0\n",
        Opening::Connect => {
            "+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)\n"
        }
    };
    let opening = how.linux.iter().take(1).map(|seen| (None, seen));
    let steps = sequence
        .steps
        .iter()
        .map(Some)
        .zip(how.linux.iter().skip(1));
    for (step, seen) in opening.chain(steps) {
        let _ = lines(&mut script, socket, step, seen);
    }
    script
}

/// The engine's deviating behaviour, as a comment.
fn engine_did(how: &Divergence) -> String {
    let Some(seen) = how.engine.get(how.step) else {
        let (ours, theirs) = how.states;
        return format!("// At the end the engine is in {ours}, Linux in {theirs}.\n");
    };
    let mut comment = String::new();
    let linux = how.linux.get(how.step);
    let mut tell = |who, seen: &Seen| {
        for segment in &seen.sent {
            let _ = writeln!(comment, "// {who} sends {}", exactly(segment));
        }
    };
    tell("The engine", seen);
    if let Some(linux) = linux {
        tell("Linux", linux);
    }
    let _ = writeln!(
        comment,
        "// The engine: call {:?}, accept {:?}, state {:?}; Linux: call {:?}, accept {:?}, state {:?}.",
        seen.result,
        seen.accepted,
        seen.state,
        linux.and_then(|seen| seen.result.as_ref()),
        linux.and_then(|seen| seen.accepted.as_ref()),
        linux.and_then(|seen| seen.state),
    );
    comment
}

fn lines(script: &mut String, socket: u8, step: Option<&Step>, seen: &Seen) -> std::fmt::Result {
    if let Some(segment) = &seen.segment {
        writeln!(script, "+.001 < {}", notation(segment))?;
    }
    if let (Some(step), Some(result)) = (step, &seen.result) {
        writeln!(script, "+.001 {} = {}", call(step, socket), answer(result))?;
    }
    for segment in &seen.sent {
        writeln!(script, "+0...0.1 > {}", notation(segment))?;
    }
    if let Some(Ok(_)) = &seen.accepted {
        writeln!(script, "+0 accept(3, ..., ...) = {socket}")?;
    }
    Ok(())
}

fn exactly(segment: &Segment) -> String {
    Packet {
        ip: IpPart::default(),
        body: Body::Tcp(segment.clone()),
    }
    .to_string()
}

/// The notation of a segment that a script sends or expects.
fn notation(segment: &Segment) -> String {
    let mut segment = segment.clone();
    for option in segment.options.iter_mut().flatten() {
        match option {
            TcpOpt::Timestamps { val: None, .. } => {
                segment.options = None;
                break;
            }
            TcpOpt::Other(_) => {
                *option = TcpOpt::Nop;
            }
            _ => {}
        }
    }
    exactly(&segment)
}

fn call(step: &Step, socket: u8) -> String {
    match step {
        Step::Write(length) => format!("send({socket}, ..., {length}, MSG_DONTWAIT)"),
        Step::Read(max) => format!("recv({socket}, ..., {max}, MSG_DONTWAIT)"),
        Step::ShutdownWrite => format!("shutdown({socket}, SHUT_WR)"),
        Step::Abort => format!(
            "setsockopt({socket}, SOL_SOCKET, SO_LINGER, {{onoff=1, linger=0}}, 8) = 0\n+0 close({socket})"
        ),
        Step::Close | Step::Segment(_) => format!("close({socket})"),
    }
}

fn answer(answer: &Answer) -> String {
    match answer {
        Ok(number) => number.to_string(),
        Err(Failure::WouldBlock) => "-1 EAGAIN (Resource temporarily unavailable)".to_owned(),
        Err(Failure::Error(errno)) => format!("-1 {errno} (...)"),
        Err(Failure::Unsupported(what)) => format!("-1 // {what}"),
    }
}
