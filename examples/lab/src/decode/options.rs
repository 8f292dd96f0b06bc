//! The options of a TCP header, each with its bytes (RFC 9293 3.1).

use millstream_wire::WindowScale;
use millstream_wire::tcp::{OptionIter, TcpOption, Timestamps};

use super::Field;

/// The options field with a subfield for each option; `None` if there are no options.
pub(super) fn decode(options: &[u8]) -> Option<Field> {
    if options.is_empty() {
        return None;
    }
    let mut at = 0;
    let mut fields = Vec::new();
    for option in OptionIter::new(options) {
        let Ok(option) = option else {
            let rest = &options[at..];
            fields.push(Field::new(
                "Malformed option",
                bytes(rest),
                "its length is impossible: nothing more can be read",
            ));
            at = options.len();
            break;
        };
        let len = match option {
            TcpOption::End | TcpOption::Nop => 1,
            _ => options.get(at + 1).map_or(1, |len| usize::from(*len)),
        };
        let end = (at + len).min(options.len());
        fields.push(describe(&option, at, &options[at..end]));
        at = end;
    }
    if at < options.len() {
        fields.push(Field::new(
            "Padding",
            bytes(&options[at..]),
            "after the end of the list",
        ));
    }
    Some(Field::new("Options", format!("{} bytes", options.len()), "").with(fields))
}

/// Bytes as pairs of hexadecimal digits.
pub(super) fn bytes(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn describe(option: &TcpOption<'_>, at: usize, raw: &[u8]) -> Field {
    let (name, meaning) = name_and_meaning(option);
    let place = match raw.len() {
        1 => format!("byte {at}: {}", bytes(raw)),
        len => format!("bytes {at}-{}: {}", at + len - 1, bytes(raw)),
    };
    let mut fields = Vec::new();
    if let [kind, len, ..] = raw {
        fields.push(Field::new("Kind", kind, ""));
        fields.push(Field::new("Length", len, "bytes, with kind and length"));
    }
    fields.extend(contents(option));
    Field::new(name, place, meaning).with(fields)
}

fn name_and_meaning(option: &TcpOption<'_>) -> (&'static str, &'static str) {
    match option {
        TcpOption::End => ("End of option list", "kind 0: the list ends here"),
        TcpOption::Nop => (
            "No-operation",
            "kind 1: a filler, so that what follows is aligned",
        ),
        TcpOption::Mss(_) => (
            "Maximum segment size",
            "the most data that the sender accepts in one segment",
        ),
        TcpOption::WindowScale(_) => (
            "Window scale",
            "the sender's windows are to be multiplied, if both sides send it",
        ),
        TcpOption::SackPermitted => (
            "SACK permitted",
            "the sender understands selective acknowledgments",
        ),
        TcpOption::Sack(_) => ("SACK", "data received beyond a hole"),
        TcpOption::Echo(_) => ("Echo", "obsoleted by timestamps"),
        TcpOption::EchoReply(_) => ("Echo reply", "obsoleted by timestamps"),
        TcpOption::Timestamps(_) => ("Timestamps", "measure round trips and tell old duplicates"),
        TcpOption::Unknown { .. } => ("Unknown option", "skipped by its length"),
    }
}

fn contents(option: &TcpOption<'_>) -> Vec<Field> {
    match option {
        TcpOption::End | TcpOption::Nop | TcpOption::SackPermitted => Vec::new(),
        TcpOption::Mss(size) => vec![Field::new("MSS", size, "bytes")],
        TcpOption::WindowScale(shift) => vec![shift_count(*shift)],
        TcpOption::Sack(blocks) => blocks
            .as_slice()
            .iter()
            .map(|block| {
                Field::new(
                    "Block",
                    format!("{} to {}", block.left.raw(), block.right.raw()),
                    "first number, and number after the last",
                )
            })
            .collect(),
        TcpOption::Echo(value) | TcpOption::EchoReply(value) => {
            vec![Field::new("Value", value, "")]
        }
        TcpOption::Timestamps(Timestamps { value, echo }) => vec![
            Field::new("Timestamp value", value, "the sender's clock"),
            Field::new(
                "Timestamp echo reply",
                echo,
                "echo of the other side's clock; valid only with ACK",
            ),
        ],
        TcpOption::Unknown { data, .. } => vec![Field::new("Contents", bytes(data), "")],
    }
}

fn shift_count(shift: u8) -> Field {
    let scale = WindowScale::new(shift);
    let factor = 1_u32 << scale.shift();
    let meaning = if shift > scale.shift() {
        format!("values above 14 count as 14: multiply by {factor}")
    } else {
        format!("multiply by {factor}")
    };
    Field::new("Shift count", shift, meaning)
}
