//! Socket calls: `write(4, ..., 1000) = 1000`,
//! `connect(3, ..., ...) = -1 ECONNREFUSED (Connection refused)`.

use winnow::combinator::{alt, cut_err, delimited, opt, repeat, separated, separated_foldl1};
use winnow::prelude::*;
use winnow::token::{take_until, take_while};

use super::text::{Input, Parsed, expected, mark, nested, number, token, word};
use super::{Arg, Call};

pub(super) fn call(i: &mut Input<'_>) -> Parsed<Call> {
    let name = word.parse_next(i)?.to_owned();
    mark("(").parse_next(i)?;
    cut_err(|i: &mut Input<'_>| rest_of_call(i, &name)).parse_next(i)
}

fn rest_of_call(i: &mut Input<'_>, name: &str) -> Parsed<Call> {
    let args = separated(0.., arg, mark(",")).parse_next(i)?;
    mark(")").parse_next(i)?;
    mark("=").parse_next(i)?;
    let result = alt((hyphenated, arg))
        .context(expected("the result of the call"))
        .parse_next(i)?;
    let errno = opt(word.verify(|name: &str| name.starts_with('E'))).parse_next(i)?;
    // The text of the error, or the names of the flags in a result, which carry no further
    // information.
    opt(token(delimited('(', take_until(0.., ")"), ')'))).parse_next(i)?;
    Ok(Call {
        name: name.to_owned(),
        args,
        result: (result != Arg::Any).then_some(result),
        errno: errno.map(str::to_owned),
    })
}

fn arg(i: &mut Input<'_>) -> Parsed<Arg> {
    alt((
        mark("...").value(Arg::Any),
        signed.map(Arg::Int),
        string.map(Arg::Str),
        delimited(
            mark("["),
            cut_err(nested(separated(0.., arg, mark(",")))),
            mark("]"),
        )
        .map(Arg::List),
        delimited(
            mark("{"),
            cut_err(nested(separated(0.., field, mark(",")))),
            mark("}"),
        )
        .map(Arg::Struct),
        function,
        separated(1.., word.map(str::to_owned), mark("|")).map(Arg::Symbols),
    ))
    .context(expected("an argument"))
    .parse_next(i)
}

/// A state in the spelling of the RFCs, `FIN-WAIT-1`.
fn hyphenated(i: &mut Input<'_>) -> Parsed<Arg> {
    let letters = take_while(1.., |c: char| c.is_ascii_alphabetic());
    let part = take_while(1.., |c: char| c.is_ascii_alphanumeric());
    token((letters, repeat::<_, _, (), _, _>(1.., ('-', part))).take())
        .map(|name: &str| Arg::Symbols(vec![name.to_owned()]))
        .parse_next(i)
}

fn field(i: &mut Input<'_>) -> Parsed<(Option<String>, Arg)> {
    // The length in `msg_iov(1)=[..]` follows from the list.
    let length = opt(delimited(mark("("), arg, mark(")")));
    let name = (word, length, mark("=")).map(|(name, _, ())| name.to_owned());
    let name = opt(name).parse_next(i)?;
    Ok((name, arg(i)?))
}

fn function(i: &mut Input<'_>) -> Parsed<Arg> {
    (
        word,
        delimited(mark("("), nested(separated(0.., arg, mark(","))), mark(")")),
    )
        .map(|(name, args): (&str, Vec<Arg>)| Arg::Call(name.to_owned(), args))
        .parse_next(i)
}

/// A number, or a product, `-1`, `16*1024`.
fn signed(i: &mut Input<'_>) -> Parsed<i64> {
    let product = separated_foldl1(
        number::<u32>.map(i64::from),
        mark("*"),
        |left: i64, (), right| left.saturating_mul(right),
    );
    (opt(mark("-")), product)
        .map(|(minus, value)| if minus.is_some() { -value } else { value })
        .parse_next(i)
}

fn string(i: &mut Input<'_>) -> Parsed<String> {
    token(delimited('"', take_until(0.., "\""), '"'))
        .map(|text: &str| text.to_owned())
        .parse_next(i)
}
