//! The overall structure of a script: option lines, commands, and events with their times.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use winnow::combinator::{
    alt, cut_err, delimited, eof, not, opt, peek, preceded, repeat, repeat_till,
};
use winnow::error::{ContextError, StrContext};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location, Stateful};
use winnow::token::{take_until, take_while};

use super::call::call;
use super::expr::assertions;
use super::packet::{inbound, outbound};
use super::text::{Input, Parsed, blank, expected, mark, seconds, token};
use super::{Action, Event, InitCommand, OptionLine, Script, Time};

/// The position of a syntax error, and the expected syntax.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The expected syntax.
    pub message: String,
    /// The text of the line.
    pub text: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
            text,
        } = self;
        writeln!(f, "line {line}, column {column}: {message}")?;
        writeln!(f, "    {text}")?;
        write!(f, "    {:>column$}", '^')
    }
}

/// Parses a script.
///
/// # Errors
///
/// The first syntax error.
pub fn parse(source: &str) -> Result<Script, ParseError> {
    // Some editors write a byte order mark at the beginning of a file.
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut input = Stateful {
        input: LocatingSlice::new(source),
        state: 0,
    };
    let places = Places { source };
    script(&mut input, &places).map_err(|error| {
        let error = error.into_inner().unwrap_or_default();
        places.error(input.current_token_start(), &error)
    })
}

fn script(i: &mut Input<'_>, places: &Places<'_>) -> Parsed<Script> {
    blank(i)?;
    let options = repeat(0.., |i: &mut Input<'_>| option_line(i, places)).parse_next(i)?;
    let init = repeat(0.., |i: &mut Input<'_>| {
        let (text, range) = shell.with_span().parse_next(i)?;
        Ok(InitCommand {
            line: places.line(range.start),
            text,
        })
    })
    .parse_next(i)?;
    not(eof)
        .context(expected("at least one event"))
        .parse_next(i)?;
    let next = |i: &mut Input<'_>| {
        alt((
            |i: &mut Input<'_>| untimed(i, places),
            |i: &mut Input<'_>| event(i, places),
        ))
        .parse_next(i)
    };
    let (events, _) = repeat_till(1.., next, eof).parse_next(i)?;
    Ok(Script {
        options,
        init,
        events,
    })
}

fn option_line(i: &mut Input<'_>, places: &Places<'_>) -> Parsed<OptionLine> {
    let line = places.line(i.current_token_start());
    "--".parse_next(i)?;
    let name = take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '_').parse_next(i)?;
    let value = opt(preceded('=', take_while(0.., |c: char| !c.is_whitespace()))).parse_next(i)?;
    blank(i)?;
    Ok(OptionLine {
        line,
        name: name.to_owned(),
        value: value.unwrap_or_default().to_owned(),
    })
}

/// A command without a time, with which scripts restore their sysctls at the end.
fn untimed(i: &mut Input<'_>, places: &Places<'_>) -> Parsed<Event> {
    let (text, range) = shell.with_span().parse_next(i)?;
    Ok(Event {
        line: places.line(range.start),
        source: text.clone(),
        time: Time::Any,
        action: Action::Command(text),
    })
}

fn event(i: &mut Input<'_>, places: &Places<'_>) -> Parsed<Event> {
    let start = i.current_token_start();
    let ((time, action), source) = (time, cut_err(action)).with_taken().parse_next(i)?;
    let source = places.first_statement(source);
    Ok(Event {
        line: places.line(start),
        source,
        time,
        action,
    })
}

fn action(i: &mut Input<'_>) -> Parsed<Action> {
    alt((
        preceded(mark("<"), cut_err(inbound)).map(Action::Inject),
        preceded(mark(">"), cut_err(outbound)).map(Action::Expect),
        shell.map(Action::Command),
        python,
        call.map(Action::Call),
    ))
    .context(expected("a packet, a call, a command or an assertion"))
    .parse_next(i)
}

/// `%{ code }%`: assertions, or other code.
fn python(i: &mut Input<'_>) -> Parsed<Action> {
    mark("%{").parse_next(i)?;
    let code = cut_err(peek(take_until(0.., "}%")).context(expected("the end of the code")))
        .parse_next(i)?;
    let joined = code.replace("\\\n", " ");
    let mut statements = joined.split(['\n', ';']).map(str::trim);
    if statements.all(|s| s.is_empty() || s.starts_with('#') || s.starts_with("assert")) {
        return cut_err(delimited((), assertions, mark("}%")))
            .map(Action::Assert)
            .parse_next(i);
    }
    token((take_until(0.., "}%"), "}%")).parse_next(i)?;
    Ok(Action::Python)
}

/// A command between back-quotes.
fn shell(i: &mut Input<'_>) -> Parsed<String> {
    let rest = (take_until(0.., "`"), '`').context(expected("the end of the command"));
    token(preceded('`', cut_err(rest)))
        .map(|(text, _)| text)
        .map(|text: &str| text.trim().to_owned())
        .parse_next(i)
}

fn time(i: &mut Input<'_>) -> Parsed<Time> {
    alt((mark("*").value(Time::Any), relative, absolute))
        .context(expected("the time of an event"))
        .parse_next(i)
}

/// `+N`, `+N~+M`, `+N...+M`; older scripts omit the second sign.
fn relative(i: &mut Input<'_>) -> Parsed<Time> {
    mark("+").parse_next(i)?;
    let from = seconds(i)?;
    second_time(
        i,
        from,
        Time::After,
        Time::AfterBetween,
        Time::BlockingAfter,
    )
}

/// `N`, `N~M`, `N...M`
fn absolute(i: &mut Input<'_>) -> Parsed<Time> {
    let from = seconds(i)?;
    second_time(i, from, Time::At, Time::Between, Time::Blocking)
}

fn second_time(
    i: &mut Input<'_>,
    from: Duration,
    alone: fn(Duration) -> Time,
    between: fn(Duration, Duration) -> Time,
    blocking: fn(Duration, Duration) -> Time,
) -> Parsed<Time> {
    blank(i)?;
    let ends = alt((preceded(mark("~"), until).map(Some), dots));
    let time = match opt(ends).parse_next(i)? {
        Some(Some(to)) => between(from, to),
        Some(None) => blocking(from, cut_err(until).parse_next(i)?),
        None => alone(from),
    };
    blank(i)?;
    Ok(time)
}

/// The dots between the two times of a blocking call.
fn dots(i: &mut Input<'_>) -> Parsed<Option<Duration>> {
    mark("...").value(None).parse_next(i)
}

fn until(i: &mut Input<'_>) -> Parsed<Duration> {
    opt(mark("+")).parse_next(i)?;
    seconds(i)
}

/// Converts offsets to lines and columns.
struct Places<'a> {
    source: &'a str,
}

impl Places<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.source[..offset].matches('\n').count()
    }

    fn error(&self, offset: usize, error: &ContextError) -> ParseError {
        let before = &self.source[..offset];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let text = self.source[start..].lines().next().unwrap_or_default();
        // The innermost expectation is the most specific.
        let expectation = error.context().find_map(|context| match context {
            StrContext::Expected(what) => Some(what.to_string()),
            _ => None,
        });
        let message = expectation.map_or_else(
            || "not understood".to_owned(),
            |what| format!("expected {what}"),
        );
        ParseError {
            line: self.line(offset),
            column: before[start..].chars().count() + 1,
            message,
            text: text.to_owned(),
        }
    }

    /// An event's text without the comments and blank lines that follow it.
    fn first_statement(&self, source: &str) -> String {
        let mut lines = Vec::new();
        for line in source.lines() {
            let comment = ["//", "/*", "#"]
                .iter()
                .filter_map(|mark| line.find(mark))
                .min();
            let line = line[..comment.unwrap_or(line.len())].trim();
            if !line.is_empty() {
                lines.push(line);
            }
        }
        lines.join(" ")
    }
}
