use std::time::Duration;

use super::*;

fn events(source: &str) -> Vec<Event> {
    parse(source).expect("a script").events
}

fn only_event(source: &str) -> Event {
    let mut events = events(source);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

fn segment(source: &str) -> Segment {
    match only_event(source).action {
        Action::Inject(Packet {
            body: Body::Tcp(segment),
            ..
        })
        | Action::Expect(Packet {
            body: Body::Tcp(segment),
            ..
        }) => segment,
        other => panic!("{other:?}"),
    }
}

fn call(source: &str) -> Call {
    match only_event(source).action {
        Action::Call(call) => call,
        other => panic!("{other:?}"),
    }
}

fn error_at(source: &str) -> (usize, usize) {
    let error = parse(source).expect_err("no script");
    (error.line, error.column)
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[test]
fn times_are_parsed() {
    let cases = [
        ("1", Time::At(micros(1_000_000))),
        (".5", Time::At(micros(500_000))),
        ("0.000250", Time::At(micros(250))),
        ("+0", Time::After(Duration::ZERO)),
        ("+.1", Time::After(micros(100_000))),
        ("1~2.5", Time::Between(micros(1_000_000), micros(2_500_000))),
        (
            "+.1~+.2",
            Time::AfterBetween(micros(100_000), micros(200_000)),
        ),
        ("0...0.1", Time::Blocking(Duration::ZERO, micros(100_000))),
        (
            "+0...2",
            Time::BlockingAfter(Duration::ZERO, micros(2_000_000)),
        ),
        ("*", Time::Any),
    ];
    for (text, expected) in cases {
        let event = only_event(&format!("{text} close(3) = 0"));
        assert_eq!(event.time, expected, "{text}");
    }
}

#[test]
fn segments_are_parsed() {
    let syn = segment("+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>");
    assert_eq!(syn.flags, Flags::SYN);
    assert_eq!((syn.seq, syn.len, syn.ack), (Some(0), 0, None));
    assert_eq!(syn.win, Some(32_792));
    assert_eq!(
        syn.options,
        Some(vec![
            TcpOpt::Mss(1000),
            TcpOpt::SackPermitted,
            TcpOpt::Nop,
            TcpOpt::Nop,
            TcpOpt::Nop,
            TcpOpt::WindowScale(7),
        ])
    );
    let data = segment("+0 > P. 1:1001(1000) ack 5 urg 3 <nop,nop,sack 1:2 4:6>");
    assert_eq!(data.flags, Flags::PSH | Flags::ACK);
    assert_eq!((data.seq, data.len, data.ack), (Some(1), 1000, Some(5)));
    assert_eq!(data.urg, Some(3));
    assert_eq!(
        data.options.as_deref().and_then(<[TcpOpt]>::last),
        Some(&TcpOpt::Sack(vec![(1, 2), (4, 6)]))
    );
    assert_eq!(segment("+0 > . 1:1(0) ack 1 <...>").options, None);
    assert_eq!(segment("+0 > . ...:...(5) ack 1").seq, None);
    assert_eq!(segment("+0 < - 0:0(0)").flags, Flags::empty());
    let ecn = segment("+0 < SEWA 0:0(0)");
    assert_eq!(ecn.flags, Flags::SYN | Flags::ECE | Flags::CWR);
    assert!(ecn.ae);
}

#[test]
fn sequence_numbers_wrap() {
    let last = segment("+0 < . 4294967295:4(5) ack 1");
    assert_eq!((last.seq, last.len), (Some(u32::MAX), 5));
}

#[test]
fn the_ip_header_is_parsed() {
    let source = "+0 > (port 99) (ttl 3) (tos 0x28) [ect0] . 1:1(0)";
    let Action::Expect(packet) = only_event(source).action else {
        panic!("no packet");
    };
    let expected = IpPart {
        ecn: Some(Ecn::Ect0),
        tos: Some(0x28),
        ttl: Some(3),
        port: Some(99),
    };
    assert_eq!(packet.ip, expected);
}

#[test]
fn icmp_messages_are_parsed() {
    let source = "+0 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]";
    let Action::Inject(packet) = only_event(source).action else {
        panic!("no packet");
    };
    let expected = Icmp {
        kind: "unreachable".to_owned(),
        code: "frag_needed".to_owned(),
        mtu: Some(1200),
        quoted: Some((1, 1460)),
    };
    assert_eq!(packet.body, Body::Icmp(expected));
}

#[test]
fn calls_are_parsed() {
    let refused = call("+0 connect(3, ..., ...) = -1 ECONNREFUSED (Connection refused)");
    assert_eq!(refused.args, [Arg::Int(3), Arg::Any, Arg::Any]);
    assert_eq!(refused.result, Some(Arg::Int(-1)));
    assert_eq!(refused.errno.as_deref(), Some("ECONNREFUSED"));

    let flags = call("+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    let names = ["O_RDWR", "O_NONBLOCK"].map(str::to_owned).to_vec();
    assert_eq!(flags.args[2], Arg::Symbols(names));

    let poll = call("+0 poll([{fd=4, events=POLLIN, revents=0}], 1, 0) = 0");
    let field = |name: &str, value| (Some(name.to_owned()), value);
    let pollin = Arg::Symbols(vec!["POLLIN".to_owned()]);
    let entry = Arg::Struct(vec![
        field("fd", Arg::Int(4)),
        field("events", pollin),
        field("revents", Arg::Int(0)),
    ]);
    assert_eq!(poll.args[0], Arg::List(vec![entry]));

    let any = call("+0 read(3, \"text\", htons(8080)) = ...");
    assert_eq!(any.result, None);
    assert_eq!(any.args[1], Arg::Str("text".to_owned()));
    assert_eq!(
        any.args[2],
        Arg::Call("htons".to_owned(), vec![Arg::Int(8080)])
    );
}

#[test]
fn assertions_bind_as_in_python() {
    let source = "+0 %{ assert a & 1 == b | 2 and not c < 3 + 4 * 5 or d, 'message' }%";
    let Action::Assert(assertions) = only_event(source).action else {
        panic!("no assertion");
    };
    let name = |name: &str| Box::new(Expr::Name(name.to_owned()));
    let int = |value| Box::new(Expr::Int(value));
    let binary = |left, op, right| Box::new(Expr::Binary(left, op, right));
    let compare = |left, op, right: Box<Expr>| Box::new(Expr::Compare(left, vec![(op, *right)]));
    let equal = compare(
        binary(name("a"), Op::BitAnd, int(1)),
        Op::Equal,
        binary(name("b"), Op::BitOr, int(2)),
    );
    let sum = binary(int(3), Op::Add, binary(int(4), Op::Multiply, int(5)));
    let less = Box::new(Expr::Not(compare(name("c"), Op::Less, sum)));
    let expected = binary(binary(equal, Op::And, less), Op::Or, name("d"));
    assert_eq!(assertions.len(), 1);
    assert_eq!(assertions[0].expr, *expected);
    assert_eq!(
        assertions[0].source,
        "a & 1 == b | 2 and not c < 3 + 4 * 5 or d"
    );
}

#[test]
fn several_assertions_and_other_code_are_parsed() {
    let several = "+0 %{\nassert tcpi_a == 1, tcpi_a\nassert tcpi_b == 2; assert tcpi_c\n}%";
    let Action::Assert(assertions) = only_event(several).action else {
        panic!("no assertions");
    };
    assert_eq!(assertions.len(), 3);
    assert_eq!(only_event("+0 %{ print(tcpi_a) }%").action, Action::Python);
}

#[test]
fn options_commands_and_comments_are_parsed() {
    let source = "// a comment\n--ip_version=ipv6 --mtu=1280\n\n`sysctl -q a=b`\n/* two\nlines */\n\
                  0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3 // trailing\n# another\n+0 `true`\n";
    let script = parse(source).expect("a script");
    let options: Vec<_> = script
        .options
        .iter()
        .map(|o| (&*o.name, &*o.value))
        .collect();
    assert_eq!(options, [("ip_version", "ipv6"), ("mtu", "1280")]);
    assert_eq!(script.init[0].text, "sysctl -q a=b");
    assert_eq!(script.init[0].line, 4);
    assert_eq!(script.events[0].line, 7);
    assert_eq!(
        script.events[0].source,
        "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3"
    );
    assert_eq!(script.events[1].line, 9);
    assert_eq!(script.events[1].action, Action::Command("true".to_owned()));
}

#[test]
fn errors_have_the_position_of_the_mistake() {
    assert_eq!(error_at("0 < Q 0:0(0)"), (1, 5));
    assert_eq!(
        error_at("// comment\n0 close(3) = 0\n+0 > . 1:1(0) ack x"),
        (3, 19)
    );
    assert_eq!(error_at("+0 > . 1:5(3)"), (1, 8));
    assert_eq!(error_at("+0 < S 0:0(0) <mss 1000,wscal 7>"), (1, 25));
    assert_eq!(error_at("+0 < S 0:0(0) <wscale 256>"), (1, 23));
    assert_eq!(error_at("0 close(3) 0"), (1, 12));
    assert_eq!(error_at("later close(3) = 0"), (1, 1));
    let shown = parse("0 close(3) 0").expect_err("no script").to_string();
    assert_eq!(
        shown,
        "line 1, column 12: expected =\n    0 close(3) 0\n               ^"
    );
}

#[test]
fn packets_print_as_they_are_written() {
    let lines = [
        "S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>",
        "P. 1:1001(1000) ack 5 <nop,nop,TS val 1 ecr 2,nop,nop,sack 1:2 4:6>",
        "(port 7) (tos 0x28) (ttl 3) [ce] SEWA 0:0(0)",
        "- 0:0(0) <...>",
        "icmp unreachable frag_needed mtu 1200 [1:1461(1460)]",
    ];
    for line in lines {
        let Action::Inject(packet) = only_event(&format!("+0 < {line}")).action else {
            panic!("no packet");
        };
        assert_eq!(packet.to_string(), line);
    }
}

#[test]
fn chained_comparisons_are_one_expression() {
    let Action::Assert(assertions) = only_event("+0 %{ assert 1 <= 3 <= 2 }%").action else {
        panic!("no assertion");
    };
    assert!(matches!(&assertions[0].expr, Expr::Compare(_, others) if others.len() == 2));
}

#[test]
fn too_deep_nesting_is_an_error() {
    let deep = 100_000;
    let open = |text: &str| text.repeat(deep);
    for text in [
        format!("+0 %{{ assert {}1{} }}%", open("("), open(")")),
        format!("+0 %{{ assert {}1 }}%", open("not ")),
        format!("+0 %{{ assert {}1 }}%", open("-")),
        format!("+0 %{{ assert 1{} }}%", open("+1")),
        format!("+0 %{{ assert 1{} }}%", open("<1")),
        format!("+0 poll({}{}) = 0", open("["), open("]")),
        format!("+0 poll({}{}) = 0", open("{"), open("}")),
        format!("+0 poll({}{}) = 0", open("f("), open(")")),
    ] {
        // Each must end; those with mere repetition are valid.
        let _ = parse(&text);
    }
    let error = parse(&format!("+0 poll({}{}) = 0", open("["), open("]"))).unwrap_err();
    assert!(error.message.contains("fewer nested brackets"), "{error}");
}

#[test]
fn packets_from_the_peer_need_sequence_numbers() {
    let error = parse("+0 < . ...:...(0) ack 1 win 257").unwrap_err();
    assert_eq!((error.line, error.column), (1, 8));
    assert!(parse("+0 > . ...:...(0) ack 1").is_ok());
}

#[test]
fn a_script_without_events_is_an_error() {
    assert!(parse("").is_err());
    assert!(parse("// nothing\n").is_err());
    assert!(parse("`true`\n").is_err());
}
