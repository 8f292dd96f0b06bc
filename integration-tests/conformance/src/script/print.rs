//! Prints packets and arguments in the notation of scripts, so that a report shows expected and
//! actual values in the same form.

use std::fmt;

use millstream_wire::ip::Ecn;
use millstream_wire::tcp::Flags;

use super::{Arg, Body, Icmp, IpPart, Packet, Segment, TcpOpt};

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip.fmt(f)?;
        match &self.body {
            Body::Tcp(segment) => segment.fmt(f),
            Body::Icmp(message) => message.fmt(f),
            Body::Udp => f.write_str("udp"),
        }
    }
}

impl fmt::Display for IpPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(port) = self.port {
            write!(f, "(port {port}) ")?;
        }
        if let Some(tos) = self.tos {
            write!(f, "(tos 0x{tos:02x}) ")?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, "(ttl {ttl}) ")?;
        }
        match self.ecn {
            None => Ok(()),
            Some(Ecn::NotEct) => f.write_str("[noecn] "),
            Some(Ecn::Ect0) => f.write_str("[ect0] "),
            Some(Ecn::Ect1) => f.write_str("[ect1] "),
            Some(Ecn::Ce) => f.write_str("[ce] "),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&letters(self.flags, self.ae))?;
        let len = self.len;
        match self.seq {
            Some(seq) => write!(f, " {seq}:{}({len})", seq.wrapping_add(len))?,
            None => write!(f, " ...:...({len})")?,
        }
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(win) = self.win {
            write!(f, " win {win}")?;
        }
        if let Some(urg) = self.urg {
            write!(f, " urg {urg}")?;
        }
        match self.options.as_deref() {
            None => f.write_str(" <...>"),
            Some([]) => Ok(()),
            Some(options) => {
                let options: Vec<_> = options.iter().map(ToString::to_string).collect();
                write!(f, " <{}>", options.join(","))
            }
        }
    }
}

fn letters(flags: Flags, ae: bool) -> String {
    const LETTERS: [(Flags, char); 8] = [
        (Flags::SYN, 'S'),
        (Flags::FIN, 'F'),
        (Flags::RST, 'R'),
        (Flags::PSH, 'P'),
        (Flags::URG, 'U'),
        (Flags::ECE, 'E'),
        (Flags::CWR, 'W'),
        (Flags::ACK, '.'),
    ];
    let set = LETTERS.iter().filter(|(flag, _)| flags.contains(*flag));
    let mut letters: String = set.map(|(_, letter)| *letter).collect();
    if ae {
        letters.push('A');
    }
    if letters.is_empty() {
        letters.push('-');
    }
    letters
}

impl fmt::Display for TcpOpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Nop => f.write_str("nop"),
            Self::Eol => f.write_str("eol"),
            Self::Timestamps { val, ecr } => {
                f.write_str("TS")?;
                if let Some(val) = val {
                    write!(f, " val {val}")?;
                }
                if let Some(ecr) = ecr {
                    write!(f, " ecr {ecr}")?;
                }
                Ok(())
            }
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                for (left, right) in blocks {
                    write!(f, " {left}:{right}")?;
                }
                Ok(())
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "icmp {}", self.kind)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some((seq, len)) = self.quoted {
            write!(f, " [{seq}:{}({len})]", seq.wrapping_add(len))?;
        }
        Ok(())
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("..."),
            Self::Int(value) => write!(f, "{value}"),
            Self::Str(text) => write!(f, "\"{text}\""),
            Self::Symbols(names) => f.write_str(&names.join("|")),
            Self::List(args) => write!(f, "[{}]", joined(args)),
            Self::Call(name, args) => write!(f, "{name}({})", joined(args)),
            Self::Struct(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| match name {
                        Some(name) => format!("{name}={value}"),
                        None => value.to_string(),
                    })
                    .collect();
                write!(f, "{{{}}}", fields.join(", "))
            }
        }
    }
}

fn joined(args: &[Arg]) -> String {
    let args: Vec<_> = args.iter().map(ToString::to_string).collect();
    args.join(", ")
}
