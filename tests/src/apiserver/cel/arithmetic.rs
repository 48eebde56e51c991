//! `+ - * / %`.

use std::rc::Rc;

use super::tree::Binary;
use super::value::{Fault, Outcome, Val};

pub(super) fn arithmetic<'a>(operator: Binary, left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    let overflow = || Fault::of("integer overflow");
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => {
            if *b == 0 && matches!(operator, Binary::Divide | Binary::Modulo) {
                return Err(by_zero(operator));
            }
            let result = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Val::Int).ok_or_else(overflow)
        }
        (Val::Uint(a), Val::Uint(b)) => {
            if *b == 0 && matches!(operator, Binary::Divide | Binary::Modulo) {
                return Err(by_zero(operator));
            }
            let result = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Val::Uint).ok_or_else(overflow)
        }
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(match operator {
            Binary::Add => a + b,
            Binary::Subtract => a - b,
            Binary::Multiply => a * b,
            Binary::Divide => a / b,
            _ => return Err(Fault::no_such_overload()),
        })),
        (Val::Text(a), Val::Text(b)) if operator == Binary::Add => Ok(Val::made(&format!("{}{}", &**a, &**b))),
        (Val::List(_) | Val::Array(_), Val::List(_) | Val::Array(_)) if operator == Binary::Add => {
            let both = left.each()?.into_iter().chain(right.each()?).collect::<Result<Vec<_>, _>>()?;
            Ok(Val::List(Rc::new(both)))
        }
        (Val::Time(a), Val::Time(b)) if operator == Binary::Subtract => Ok(Val::Span(a.duration_since(*b))),
        (Val::Time(a), Val::Span(b)) | (Val::Span(b), Val::Time(a)) => {
            let moved = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract if matches!(left, Val::Time(_)) => a.checked_sub(*b),
                _ => return Err(Fault::no_such_overload()),
            };
            moved.map(Val::Time).map_err(|_| Fault::of("timestamp overflow"))
        }
        (Val::Span(a), Val::Span(b)) => {
            let sum = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract => a.checked_sub(*b),
                _ => return Err(Fault::no_such_overload()),
            };
            sum.map(Val::Span).ok_or(Fault::of("duration overflow"))
        }
        _ => Err(Fault::no_such_overload()),
    }
}

const fn by_zero(operator: Binary) -> Fault {
    Fault::of(if matches!(operator, Binary::Divide) { "division by zero" } else { "modulus by zero" })
}
