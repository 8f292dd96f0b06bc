//! The syntax tree of a wire script, and its parser.
//!
//! The language is packetdrill's, as far as it concerns TCP: events in order, each a packet, a call
//! of the socket interface, a shell command or an assertion. `parse` has the overall structure,
//! `packet`, `call` and `expr` the grammars of the parts, and `text` the common elements.

mod call;
mod expr;
mod packet;
mod parse;
mod print;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use millstream_wire::ip::Ecn;
use millstream_wire::tcp::Flags;

pub use self::parse::{ParseError, parse};

/// A complete script.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The `--name=value` lines at the head.
    pub options: Vec<OptionLine>,
    /// Shell commands before the first event.
    pub init: Vec<InitCommand>,
    /// The events in order.
    pub events: Vec<Event>,
}

impl Script {
    /// The minimum time from the start of the script to its last event, according to its own times.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.events
            .iter()
            .fold(Duration::ZERO, |base, event| match event.time {
                Time::At(at) | Time::Between(at, _) => at,
                Time::After(wait) | Time::AfterBetween(wait, _) => base + wait,
                // The following times are relative to the beginning of the call.
                Time::Blocking(from, _) => from,
                Time::BlockingAfter(from, _) => base + from,
                Time::Any => base,
            })
    }
}

/// One `--name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionLine {
    /// The line in the file, from 1.
    pub line: usize,
    /// The name without dashes.
    pub name: String,
    /// The value; empty if there is none.
    pub value: String,
}

/// A shell command before the first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitCommand {
    /// The line in the file, from 1.
    pub line: usize,
    /// The text between the back-quotes.
    pub text: String,
}

/// One step of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The line in the file, from 1.
    pub line: usize,
    /// The text of the event, for reports.
    pub source: String,
    /// The time of the event.
    pub time: Time,
    /// The action of the event.
    pub action: Action,
}

/// The time of an event; absolute times count from the script's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// At this time.
    At(Duration),
    /// This long after the previous event.
    After(Duration),
    /// At any time between two absolute times.
    Between(Duration, Duration),
    /// At any time in an interval relative to the previous event.
    AfterBetween(Duration, Duration),
    /// A call that blocks from one absolute time to another.
    Blocking(Duration, Duration),
    /// A call that blocks; both times are relative to the previous event.
    BlockingAfter(Duration, Duration),
    /// At any time.
    Any,
}

/// The action of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The peer sends a packet.
    Inject(Packet),
    /// The stack sends a packet.
    Expect(Packet),
    /// The application calls the stack.
    Call(Call),
    /// A shell command.
    Command(String),
    /// Assertions about the connection.
    Assert(Vec<Assertion>),
    /// Code other than assertions.
    Python,
}

/// A packet, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The properties of the IP header.
    pub ip: IpPart,
    /// The contents.
    pub body: Body,
}

/// A script's description of the IP header and the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpPart {
    /// The ECN codepoint.
    pub ecn: Option<Ecn>,
    /// The whole type-of-service byte.
    pub tos: Option<u8>,
    /// Time to live or hop limit.
    pub ttl: Option<u8>,
    /// The peer's port, in a script with several flows.
    pub port: Option<u16>,
}

/// The contents of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Segment),
    /// An ICMP message.
    Icmp(Icmp),
    /// A UDP datagram.
    Udp,
}

/// A TCP segment in the script's numbers: 0 is the initial sequence number of each end.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The control bits.
    pub flags: Flags,
    /// The bit before CWR, for accurate ECN.
    pub ae: bool,
    /// The first sequence number; `None` matches any.
    pub seq: Option<u32>,
    /// Bytes of payload.
    pub len: u32,
    /// The acknowledgment number.
    pub ack: Option<u32>,
    /// The window field of the header.
    pub win: Option<u16>,
    /// The urgent pointer.
    pub urg: Option<u16>,
    /// The options; `None` matches any.
    pub options: Option<Vec<TcpOpt>>,
}

/// One TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOpt {
    /// `mss N`
    Mss(u16),
    /// `wscale N`
    WindowScale(u8),
    /// `sackOK`
    SackPermitted,
    /// `nop`
    Nop,
    /// `eol`
    Eol,
    /// `TS val N ecr N`; a `None` matches any value.
    Timestamps {
        /// The sender's clock.
        val: Option<u32>,
        /// The echo.
        ecr: Option<u32>,
    },
    /// `sack L:R ...`
    Sack(Vec<(u32, u32)>),
    /// `FO hex` (a Fast Open cookie), `md5 ..` and other options that are not checked.
    Other(String),
}

/// An ICMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The type's name.
    pub kind: String,
    /// The code's name; empty if there is none.
    pub code: String,
    /// The next hop's MTU.
    pub mtu: Option<u32>,
    /// Sequence number and payload length of the quoted segment.
    pub quoted: Option<(u32, u32)>,
}

/// A call of the socket interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// The return value; `None` matches any.
    pub result: Option<Arg>,
    /// The name of the error, such as `ECONNREFUSED`, if the call fails.
    pub errno: Option<String>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// `...`
    Any,
    /// A number.
    Int(i64),
    /// A string.
    Str(String),
    /// Names joined by `|`.
    Symbols(Vec<String>),
    /// `[a, b]`
    List(Vec<Arg>),
    /// `{a=1, b=2}`; fields may have no name.
    Struct(Vec<(Option<String>, Arg)>),
    /// `htons(80)`
    Call(String, Vec<Arg>),
}

/// One `assert`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// The expression that must not be zero.
    pub expr: Expr,
    /// Its text.
    pub source: String,
}

/// An expression of an assertion.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number.
    Int(i64),
    /// A field of `TCP_INFO` or a constant.
    Name(String),
    /// `not x`
    Not(Box<Expr>),
    /// `-x`
    Negate(Box<Expr>),
    /// A comparison, or several in a row such as `1 <= x <= 2`, all of which must hold.
    Compare(Box<Expr>, Vec<(Op, Expr)>),
    /// A binary operation with another operator.
    Binary(Box<Expr>, Op, Box<Expr>),
}

/// Operators, from the lowest precedence to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the operator of its name")]
pub enum Op {
    Or,
    And,
    Equal,
    NotEqual,
    LessEqual,
    GreaterEqual,
    Less,
    Greater,
    BitOr,
    BitAnd,
    Add,
    Subtract,
    Multiply,
    Divide,
}
