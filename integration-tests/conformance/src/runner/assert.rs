//! Evaluates assertions.

use crate::script::{Expr, Op};
use crate::target::{Called, Failure};

/// The value of `expr`; `lookup` resolves names. Comparisons yield 1 or 0.
pub(super) fn evaluate(expr: &Expr, lookup: &mut impl FnMut(&str) -> Called<i64>) -> Called<i64> {
    Ok(match expr {
        Expr::Int(value) => *value,
        Expr::Name(name) => match constant(name) {
            Some(value) => value,
            None => lookup(name)?,
        },
        Expr::Not(inner) => i64::from(evaluate(inner, lookup)? == 0),
        Expr::Negate(inner) => -evaluate(inner, lookup)?,
        Expr::Compare(first, others) => {
            let mut left = evaluate(first, lookup)?;
            let mut holds = 1;
            for (op, right) in others {
                let right = evaluate(right, lookup)?;
                holds &= apply(*op, left, right)?;
                left = right;
            }
            holds
        }
        Expr::Binary(left, op, right) => {
            let (left, right) = (evaluate(left, lookup)?, evaluate(right, lookup)?);
            apply(*op, left, right)?
        }
    })
}

fn apply(op: Op, left: i64, right: i64) -> Called<i64> {
    let value = match op {
        Op::Or => Some(i64::from(left != 0 || right != 0)),
        Op::And => Some(i64::from(left != 0 && right != 0)),
        Op::Equal => Some(i64::from(left == right)),
        Op::NotEqual => Some(i64::from(left != right)),
        Op::LessEqual => Some(i64::from(left <= right)),
        Op::GreaterEqual => Some(i64::from(left >= right)),
        Op::Less => Some(i64::from(left < right)),
        Op::Greater => Some(i64::from(left > right)),
        Op::BitOr => Some(left | right),
        Op::BitAnd => Some(left & right),
        Op::Add => left.checked_add(right),
        Op::Subtract => left.checked_sub(right),
        Op::Multiply => left.checked_mul(right),
        Op::Divide => left.checked_div_euclid(right),
    };
    value.ok_or_else(|| Failure::Unsupported("an assertion that has no value".into()))
}

/// The names in an expression that are not constants.
pub(super) fn fields(expr: &Expr) -> Vec<&str> {
    match expr {
        Expr::Int(_) => Vec::new(),
        Expr::Name(name) if constant(name).is_some() => Vec::new(),
        Expr::Name(name) => vec![name],
        Expr::Not(inner) | Expr::Negate(inner) => fields(inner),
        Expr::Compare(first, others) => {
            let others = others.iter().flat_map(|(_, expr)| fields(expr));
            fields(first).into_iter().chain(others).collect()
        }
        Expr::Binary(left, _, right) => [fields(left), fields(right)].concat(),
    }
}

fn constant(name: &str) -> Option<i64> {
    Some(match name {
        "TCP_ESTABLISHED" => 1,
        "TCP_SYN_SENT" => 2,
        "TCP_SYN_RECV" => 3,
        "TCP_FIN_WAIT1" => 4,
        "TCP_FIN_WAIT2" => 5,
        "TCP_TIME_WAIT" => 6,
        "TCP_CLOSE" => 7,
        "TCP_CLOSE_WAIT" => 8,
        "TCP_LAST_ACK" => 9,
        "TCP_LISTEN" => 10,
        "TCP_CLOSING" => 11,
        "TCP_CA_Open" => 0,
        "TCP_CA_Disorder" => 1,
        "TCP_CA_CWR" => 2,
        "TCP_CA_Recovery" => 3,
        "TCP_CA_Loss" => 4,
        "TCPI_OPT_TIMESTAMPS" => 1,
        "TCPI_OPT_SACK" => 2,
        "TCPI_OPT_WSCALE" => 4,
        "TCPI_OPT_ECN" => 8,
        "TCPI_OPT_ECN_SEEN" => 16,
        "TCPI_OPT_SYN_DATA" => 32,
        "TCP_INFINITE_SSTHRESH" => i32::MAX.into(),
        "True" => 1,
        "False" => 0,
        _ => return None,
    })
}
