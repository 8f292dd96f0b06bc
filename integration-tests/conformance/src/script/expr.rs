//! `%{ assert EXPR, message }%`: comparisons of connection fields.

use winnow::combinator::{alt, opt, preceded, repeat};
use winnow::prelude::*;
use winnow::token::take_while;

use super::text::{Input, Parsed, expected, keyword, mark, number, token, word};
use super::{Assertion, Expr, Op};

/// The inside of the braces: one or more assertions, separated by line ends or semicolons.
pub(super) fn assertions(i: &mut Input<'_>) -> Parsed<Vec<Assertion>> {
    repeat(1.., (assertion, opt(mark(";"))).map(|(a, _)| a)).parse_next(i)
}

fn assertion(i: &mut Input<'_>) -> Parsed<Assertion> {
    keyword("assert").parse_next(i)?;
    let (expr, source) = or.with_taken().parse_next(i)?;
    // A message follows on the same line; the values are reported anyway.
    opt((',', take_while(0.., |c| !matches!(c, '\n' | '}' | ';')))).parse_next(i)?;
    super::text::blank(i)?;
    Ok(Assertion {
        expr,
        source: source.trim().to_owned(),
    })
}

fn or(i: &mut Input<'_>) -> Parsed<Expr> {
    chain(i, and, keyword("or").value(Op::Or))
}

fn and(i: &mut Input<'_>) -> Parsed<Expr> {
    chain(i, not, keyword("and").value(Op::And))
}

fn not(i: &mut Input<'_>) -> Parsed<Expr> {
    alt((
        preceded(keyword("not"), not).map(|e| Expr::Not(Box::new(e))),
        comparison,
    ))
    .parse_next(i)
}

fn comparison(i: &mut Input<'_>) -> Parsed<Expr> {
    let operator = token(alt((
        "==".value(Op::Equal),
        "!=".value(Op::NotEqual),
        "<=".value(Op::LessEqual),
        ">=".value(Op::GreaterEqual),
        "<".value(Op::Less),
        ">".value(Op::Greater),
    )));
    chain(i, bit_or, operator)
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
    alt((
        number::<u32>.map(|value| Expr::Int(i64::from(value))),
        preceded(mark("-"), operand).map(|e| Expr::Negate(Box::new(e))),
        (mark("("), or, mark(")")).map(|(_, e, _)| e),
        word.map(|name| Expr::Name(name.to_owned())),
    ))
    .context(expected("a number, a field or a parenthesis"))
    .parse_next(i)
}

/// `next (operator next)*`, from the left.
fn chain<'a>(
    i: &mut Input<'a>,
    mut next: impl FnMut(&mut Input<'a>) -> Parsed<Expr>,
    mut operator: impl Parser<Input<'a>, Op, winnow::error::ErrMode<winnow::error::ContextError>>,
) -> Parsed<Expr> {
    let mut left = next(i)?;
    while let Some(op) = opt(operator.by_ref()).parse_next(i)? {
        left = Expr::Binary(Box::new(left), op, Box::new(next(i)?));
    }
    Ok(left)
}
