//! `%{ assert EXPR, message }%`: comparisons of connection fields, with Python's operators.

use winnow::combinator::{alt, cut_err, opt, repeat};
use winnow::prelude::*;
use winnow::token::take_until;

use super::text::{Input, Parsed, blank, expected, keyword, mark, nested, number, token, word};
use super::{Assertion, Expr, Op};

/// The maximum number of operators in a row, which bounds the depth of the tree.
const MAX_ROW: usize = 100;

/// The text inside the braces: one or more assertions, separated by line ends or semicolons.
pub(super) fn assertions(i: &mut Input<'_>) -> Parsed<Vec<Assertion>> {
    repeat(1.., (assertion, opt(mark(";"))).map(|(a, _)| a)).parse_next(i)
}

fn assertion(i: &mut Input<'_>) -> Parsed<Assertion> {
    keyword("assert").parse_next(i)?;
    let (expr, source) = or.with_taken().parse_next(i)?;
    // A message on the same line is ignored; the values are reported in any case.
    opt((',', message)).parse_next(i)?;
    blank(i)?;
    Ok(Assertion {
        expr,
        source: source.trim().to_owned(),
    })
}

/// The rest of the line, or also the next line if the message continues there.
fn message(i: &mut Input<'_>) -> Parsed<()> {
    loop {
        let text: &str = take_until(0.., ("\n", ";", "}%")).parse_next(i)?;
        if !text.trim_end().ends_with('\\') {
            return Ok(());
        }
        blank(i)?;
    }
}

fn or(i: &mut Input<'_>) -> Parsed<Expr> {
    chain(i, and, keyword("or").value(Op::Or))
}

fn and(i: &mut Input<'_>) -> Parsed<Expr> {
    chain(i, not, keyword("and").value(Op::And))
}

fn not(i: &mut Input<'_>) -> Parsed<Expr> {
    let negations: usize = repeat(0.., keyword("not")).parse_next(i)?;
    let expr = comparison(i)?;
    // Two negations turn a number into a truth value.
    let count = if negations > 2 {
        1 + (negations + 1) % 2
    } else {
        negations
    };
    Ok((0..count).fold(expr, |e, _| Expr::Not(Box::new(e))))
}

/// `a < b`, or `a < b < c`, for which both must hold.
fn comparison(i: &mut Input<'_>) -> Parsed<Expr> {
    let operator = token(alt((
        "==".value(Op::Equal),
        "!=".value(Op::NotEqual),
        "<=".value(Op::LessEqual),
        ">=".value(Op::GreaterEqual),
        "<".value(Op::Less),
        ">".value(Op::Greater),
    )));
    let first = bit_or(i)?;
    let others: Vec<_> = repeat(0..=MAX_ROW, (operator, cut_err(bit_or))).parse_next(i)?;
    Ok(if others.is_empty() {
        first
    } else {
        Expr::Compare(Box::new(first), others)
    })
}

fn bit_or(i: &mut Input<'_>) -> Parsed<Expr> {
    chain(i, bit_and, mark("|").value(Op::BitOr))
}

fn bit_and(i: &mut Input<'_>) -> Parsed<Expr> {
    chain(i, sum, mark("&").value(Op::BitAnd))
}

fn sum(i: &mut Input<'_>) -> Parsed<Expr> {
    let operator = alt((mark("+").value(Op::Add), mark("-").value(Op::Subtract)));
    chain(i, product, operator)
}

fn product(i: &mut Input<'_>) -> Parsed<Expr> {
    let operator = alt((mark("*").value(Op::Multiply), mark("/").value(Op::Divide)));
    chain(i, operand, operator)
}

fn operand(i: &mut Input<'_>) -> Parsed<Expr> {
    let minuses: usize = repeat(0.., mark("-")).parse_next(i)?;
    let operand = alt((
        number::<u32>.map(|value| Expr::Int(i64::from(value))),
        (mark("("), cut_err((nested(or), mark(")")))).map(|((), (e, ()))| e),
        word.map(|name| Expr::Name(name.to_owned())),
    ))
    .context(expected("a number, a field or a parenthesis"))
    .parse_next(i)?;
    Ok(if minuses % 2 == 1 {
        Expr::Negate(Box::new(operand))
    } else {
        operand
    })
}

/// `next (operator next)*`, left-associative.
fn chain<'a>(
    i: &mut Input<'a>,
    mut next: impl FnMut(&mut Input<'a>) -> Parsed<Expr>,
    operator: impl Parser<Input<'a>, Op, winnow::error::ErrMode<winnow::error::ContextError>>,
) -> Parsed<Expr> {
    let first = next(i)?;
    let others: Vec<_> = repeat(0..=MAX_ROW, (operator, cut_err(next))).parse_next(i)?;
    let join = |left, (op, right)| Expr::Binary(Box::new(left), op, Box::new(right));
    Ok(others.into_iter().fold(first, join))
}
