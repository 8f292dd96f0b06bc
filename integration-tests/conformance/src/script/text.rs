//! Elements common to all grammars: white space with comments, words, numbers, times.

use std::time::Duration;

use winnow::ascii::{digit0, digit1, hex_digit1, multispace1, till_line_ending};
use winnow::combinator::{alt, cut_err, fail, not, opt, preceded, repeat};
use winnow::error::{ContextError, ErrMode, StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Stateful};
use winnow::token::{one_of, take_until, take_while};

/// The text, with the position and the number of open brackets.
pub(super) type Input<'a> = Stateful<LocatingSlice<&'a str>, usize>;

/// The maximum nesting of brackets. Each level takes space on the machine's stack.
const MAX_NESTED: usize = 32;

/// The result of a parser.
pub(super) type Parsed<T> = Result<T, ErrMode<ContextError>>;

/// A parser for bracketed text that may contain further brackets.
pub(super) fn nested<'a, T>(
    mut parser: impl Parser<Input<'a>, T, ErrMode<ContextError>>,
) -> impl Parser<Input<'a>, T, ErrMode<ContextError>> {
    move |i: &mut Input<'a>| {
        i.state += 1;
        let parsed = if i.state > MAX_NESTED {
            cut_err(fail.context(expected("fewer nested brackets"))).parse_next(i)
        } else {
            parser.parse_next(i)
        };
        i.state -= 1;
        parsed
    }
}

/// White space, comments (`//`, `#` and `/* */`), and escaped line ends.
pub(super) fn blank(i: &mut Input<'_>) -> Parsed<()> {
    repeat(
        0..,
        alt((
            multispace1.void(),
            alt(("\\\n", "\\\r\n")).void(),
            preceded(alt(("//", "#")), till_line_ending).void(),
            preceded("/*", cut_err(long_comment)),
        )),
    )
    .parse_next(i)
}

fn long_comment(i: &mut Input<'_>) -> Parsed<()> {
    (take_until(0.., "*/"), "*/")
        .void()
        .context(expected("the end of the comment"))
        .parse_next(i)
}

/// `parser`, followed by white space.
pub(super) fn token<'a, T>(
    mut parser: impl Parser<Input<'a>, T, ErrMode<ContextError>>,
) -> impl Parser<Input<'a>, T, ErrMode<ContextError>> {
    move |i: &mut Input<'a>| {
        let value = parser.parse_next(i)?;
        blank(i)?;
        Ok(value)
    }
}

/// A required punctuation mark.
pub(super) fn mark<'a>(text: &'static str) -> impl Parser<Input<'a>, (), ErrMode<ContextError>> {
    token(text.void()).context(expected(text))
}

/// A letter, then letters, digits and underscores.
pub(super) fn word<'a>(i: &mut Input<'a>) -> Parsed<&'a str> {
    token(
        (
            one_of(|c: char| c.is_ascii_alphabetic() || c == '_'),
            take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_'),
        )
            .take(),
    )
    .parse_next(i)
}

/// The word `keyword`, not followed by further letters.
pub(super) fn keyword<'a>(
    keyword: &'static str,
) -> impl Parser<Input<'a>, (), ErrMode<ContextError>> {
    word.verify(move |found: &str| found == keyword)
        .void()
        .context(expected(keyword))
}

/// A number without a sign, decimal or with `0x`, that fits the type.
pub(super) fn number<T: TryFrom<u64>>(i: &mut Input<'_>) -> Parsed<T> {
    token(alt((
        preceded(alt(("0x", "0X")), hex_digit1)
            .verify_map(|digits| u64::from_str_radix(digits, 16).ok()),
        digit1.verify_map(|digits: &str| digits.parse::<u64>().ok()),
    )))
    .verify_map(|value| T::try_from(value).ok())
    .context(StrContext::Expected(StrContextValue::Description(
        "a number in range",
    )))
    .parse_next(i)
}

/// Thirty years: longer than any timer.
const MAX_SECONDS: u64 = 1_000_000_000;

/// Seconds, with or without a fraction: `1`, `.5`, `0.000250`.
pub(super) fn seconds(i: &mut Input<'_>) -> Parsed<Duration> {
    alt((
        (digit1, opt(('.', not('.'), digit0))).take(),
        ('.', digit1).take(),
    ))
    .verify_map(|text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        if whole > MAX_SECONDS {
            return None;
        }
        let padded = format!("{fraction:0<9}");
        Some(Duration::new(whole, padded.get(..9)?.parse().ok()?))
    })
    .context(expected("a time in seconds"))
    .parse_next(i)
}

/// The description of a missing element in error messages.
pub(super) fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}
