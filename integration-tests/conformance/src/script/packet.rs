//! Packets: `< S 0:0(0) win 32792 <mss 1000,sackOK>`,
//! `> icmp unreachable port_unreachable [0:0(0)]`.

use millstream_wire::ip::Ecn;
use millstream_wire::tcp::Flags;
use winnow::combinator::{alt, cut_err, delimited, opt, peek, preceded, repeat, separated};
use winnow::prelude::*;
use winnow::token::take_while;

use super::text::{Input, Parsed, expected, keyword, mark, number, token, word};
use super::{Body, Icmp, IpPart, Packet, Segment, TcpOpt};

/// A packet from the peer, which the script must specify completely.
pub(super) fn inbound(i: &mut Input<'_>) -> Parsed<Packet> {
    packet(i, false)
}

/// A packet from the stack, whose sequence number may be unspecified.
pub(super) fn outbound(i: &mut Input<'_>) -> Parsed<Packet> {
    packet(i, true)
}

/// The packet after the direction.
fn packet(i: &mut Input<'_>, any: bool) -> Parsed<Packet> {
    let ip = ip_part(i)?;
    let body = alt((
        preceded(keyword("icmp"), cut_err(icmp)).map(Body::Icmp),
        (keyword("udp"), length).value(Body::Udp),
        (|i: &mut Input<'_>| segment(i, any)).map(Body::Tcp),
    ))
    .parse_next(i)?;
    Ok(Packet { ip, body })
}

/// One property of the IP header.
enum IpItem {
    Ecn(Ecn),
    Tos(u8),
    Ttl(u8),
    Port(u16),
}

fn ip_part(i: &mut Input<'_>) -> Parsed<IpPart> {
    let ecn = alt((
        keyword("noecn").value(Ecn::NotEct),
        keyword("ect0").value(Ecn::Ect0),
        keyword("ect1").value(Ecn::Ect1),
        keyword("ce").value(Ecn::Ce),
    ));
    let item = alt((
        ecn.map(IpItem::Ecn),
        preceded(keyword("tos"), number).map(IpItem::Tos),
        preceded(keyword("ttl"), number).map(IpItem::Ttl),
        preceded(keyword("port"), number).map(IpItem::Port),
    ));
    let bracketed = delimited(
        alt((mark("["), mark("("))),
        item,
        alt((mark("]"), mark(")"))),
    );
    let mut part = IpPart::default();
    let items: Vec<IpItem> = repeat(0.., bracketed).parse_next(i)?;
    for item in items {
        match item {
            IpItem::Ecn(ecn) => part.ecn = Some(ecn),
            IpItem::Tos(tos) => part.tos = Some(tos),
            IpItem::Ttl(ttl) => part.ttl = Some(ttl),
            IpItem::Port(port) => part.port = Some(port),
        }
    }
    Ok(part)
}

fn segment(i: &mut Input<'_>, any: bool) -> Parsed<Segment> {
    let (flags, ae) = flags(i)?;
    // From here on the text must be a segment, so that errors refer to the segment's syntax.
    cut_err(|i: &mut Input<'_>| rest_of_segment(i, flags, ae, any)).parse_next(i)
}

fn rest_of_segment(i: &mut Input<'_>, flags: Flags, ae: bool, any: bool) -> Parsed<Segment> {
    let (seq, len) = if any && opt(peek(mark("..."))).parse_next(i)?.is_some() {
        any_sequence(i)?
    } else {
        sequence.map(|(seq, len)| (Some(seq), len)).parse_next(i)?
    };
    Ok(Segment {
        flags,
        ae,
        seq,
        len,
        ack: opt(preceded(keyword("ack"), cut_err(number))).parse_next(i)?,
        win: opt(preceded(keyword("win"), cut_err(number))).parse_next(i)?,
        urg: opt(preceded(keyword("urg"), cut_err(number))).parse_next(i)?,
        options: match opt(options).parse_next(i)? {
            Some(options) => options,
            None => Some(Vec::new()),
        },
    })
}

/// The control bits, and the bit for accurate ECN.
fn flags(i: &mut Input<'_>) -> Parsed<(Flags, bool)> {
    let letters = take_while(1.., |c| "SFRPUEWAC.".contains(c));
    token(alt(("-", letters)))
        .context(expected("TCP flags"))
        .map(|letters: &str| {
            let flag = |letter| match letter {
                'S' => Flags::SYN,
                'F' => Flags::FIN,
                'R' => Flags::RST,
                'P' => Flags::PSH,
                'U' => Flags::URG,
                'E' => Flags::ECE,
                'W' | 'C' => Flags::CWR,
                '.' => Flags::ACK,
                _ => Flags::empty(),
            };
            let all = letters.chars().map(flag).collect();
            (all, letters.contains('A'))
        })
        .parse_next(i)
}

/// `1:1001(1000)`, whose numbers must be consistent.
fn sequence(i: &mut Input<'_>) -> Parsed<(u32, u32)> {
    (number::<u32>, mark(":"), number::<u32>, length)
        .verify(|(start, (), end, len)| start.wrapping_add(*len) == *end)
        .map(|(start, (), _, len)| (start, len))
        .context(expected("SEQ:SEQ(LEN) with consistent numbers"))
        .parse_next(i)
}

/// `...:...(1000)`
fn any_sequence(i: &mut Input<'_>) -> Parsed<(Option<u32>, u32)> {
    (mark("..."), mark(":"), mark("..."), length)
        .map(|((), (), (), len)| (None, len))
        .parse_next(i)
}

fn length(i: &mut Input<'_>) -> Parsed<u32> {
    delimited(mark("("), number, mark(")")).parse_next(i)
}

fn options(i: &mut Input<'_>) -> Parsed<Option<Vec<TcpOpt>>> {
    mark("<").parse_next(i)?;
    let options = cut_err(alt((
        mark("...").value(None),
        peek(mark(">")).value(Some(Vec::new())),
        separated(1.., cut_err(option), mark(",")).map(Some),
    )))
    .parse_next(i)?;
    cut_err(mark(">")).parse_next(i)?;
    Ok(options)
}

fn option(i: &mut Input<'_>) -> Parsed<TcpOpt> {
    alt((
        preceded(keyword("mss"), cut_err(number)).map(TcpOpt::Mss),
        preceded(keyword("wscale"), cut_err(number)).map(TcpOpt::WindowScale),
        keyword("sackOK").value(TcpOpt::SackPermitted),
        keyword("nop").value(TcpOpt::Nop),
        keyword("eol").value(TcpOpt::Eol),
        timestamps,
        preceded(keyword("sack"), cut_err(repeat(1.., block))).map(TcpOpt::Sack),
        other,
    ))
    .context(expected("a TCP option"))
    .parse_next(i)
}

fn timestamps(i: &mut Input<'_>) -> Parsed<TcpOpt> {
    keyword("TS").parse_next(i)?;
    let val = opt(preceded(keyword("val"), cut_err(number))).parse_next(i)?;
    let ecr = opt(preceded(keyword("ecr"), cut_err(number))).parse_next(i)?;
    Ok(TcpOpt::Timestamps { val, ecr })
}

fn block(i: &mut Input<'_>) -> Parsed<(u32, u32)> {
    (number, mark(":"), number)
        .map(|(left, (), right)| (left, right))
        .parse_next(i)
}

/// Options that are valid in the language but cannot be checked.
fn other(i: &mut Input<'_>) -> Parsed<TcpOpt> {
    const NAMES: [&str; 8] = [
        "FO",
        "FOEXP",
        "md5",
        "ao",
        "mp_capable",
        "mp_join",
        "dss",
        "add_address",
    ];
    word.verify(|name: &str| NAMES.contains(&name))
        .void()
        .parse_peek(*i)?;
    token(take_while(1.., |c| c != ',' && c != '>'))
        .map(|text: &str| TcpOpt::Other(text.trim().to_owned()))
        .parse_next(i)
}

fn icmp(i: &mut Input<'_>) -> Parsed<Icmp> {
    let kind = word
        .context(expected("an ICMP type"))
        .parse_next(i)?
        .to_owned();
    let code = opt(word.verify(|name: &str| name != "mtu")).parse_next(i)?;
    let mtu = opt(preceded(keyword("mtu"), cut_err(number))).parse_next(i)?;
    let quoted = opt(delimited(mark("["), sequence, mark("]"))).parse_next(i)?;
    Ok(Icmp {
        kind,
        code: code.unwrap_or_default().to_owned(),
        mtu,
        quoted,
    })
}
