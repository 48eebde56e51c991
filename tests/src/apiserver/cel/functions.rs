//! The functions that expressions may call.

use std::rc::Rc;

use jiff::SignedDuration;

use super::authorizer::{Decision, Step};
use super::evaluate::Variables;
use super::quantity::Quantity;
use super::value::{Fault, Outcome, Val};

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    /// Compiled by itself, with its pattern.
    Matches,
    Lower,
    Upper,
    Trim,
    Replace,
    Split,
    Join,
    Substring,
    IndexOf,
    ToText,
    ToInt,
    ToUint,
    ToDouble,
    ToBool,
    ToSpan,
    ToTime,
    TypeOf,
    Dyn,
    Quantity,
    IsQuantity,
    Sign,
    CompareTo,
    IsLess,
    IsGreater,
    IsInteger,
    AsInteger,
    OptionalNone,
    OptionalOf,
    OptionalOfNonZero,
    HasValue,
    Value,
    OrValue,
    Or,
    Ask(Step),
    Check,
    Allowed,
    Denied,
}

/// Name, as a method, arguments with the target, function. `None`: either way.
const FUNCTIONS: &[(&str, Option<bool>, usize, Function)] = &[
    ("size", None, 1, Function::Size),
    ("contains", Some(true), 2, Function::Contains),
    ("startsWith", Some(true), 2, Function::StartsWith),
    ("endsWith", Some(true), 2, Function::EndsWith),
    ("matches", None, 2, Function::Matches),
    ("lowerAscii", Some(true), 1, Function::Lower),
    ("upperAscii", Some(true), 1, Function::Upper),
    ("trim", Some(true), 1, Function::Trim),
    ("replace", Some(true), 3, Function::Replace),
    ("split", Some(true), 2, Function::Split),
    ("join", Some(true), 1, Function::Join),
    ("join", Some(true), 2, Function::Join),
    ("substring", Some(true), 2, Function::Substring),
    ("substring", Some(true), 3, Function::Substring),
    ("indexOf", Some(true), 2, Function::IndexOf),
    ("string", Some(false), 1, Function::ToText),
    ("int", Some(false), 1, Function::ToInt),
    ("uint", Some(false), 1, Function::ToUint),
    ("double", Some(false), 1, Function::ToDouble),
    ("bool", Some(false), 1, Function::ToBool),
    ("duration", Some(false), 1, Function::ToSpan),
    ("timestamp", Some(false), 1, Function::ToTime),
    ("type", Some(false), 1, Function::TypeOf),
    ("dyn", Some(false), 1, Function::Dyn),
    ("quantity", Some(false), 1, Function::Quantity),
    ("isQuantity", Some(false), 1, Function::IsQuantity),
    // Kubernetes has `sign` as a method and as a function.
    ("sign", None, 1, Function::Sign),
    ("compareTo", Some(true), 2, Function::CompareTo),
    ("isLessThan", Some(true), 2, Function::IsLess),
    ("isGreaterThan", Some(true), 2, Function::IsGreater),
    ("isInteger", Some(true), 1, Function::IsInteger),
    ("asInteger", Some(true), 1, Function::AsInteger),
    ("optional.none", Some(false), 0, Function::OptionalNone),
    ("optional.of", Some(false), 1, Function::OptionalOf),
    ("optional.ofNonZeroValue", Some(false), 1, Function::OptionalOfNonZero),
    ("hasValue", Some(true), 1, Function::HasValue),
    ("value", Some(true), 1, Function::Value),
    ("orValue", Some(true), 2, Function::OrValue),
    ("or", Some(true), 2, Function::Or),
    ("group", Some(true), 2, Function::Ask(Step::Group)),
    ("resource", Some(true), 2, Function::Ask(Step::Resource)),
    ("subresource", Some(true), 2, Function::Ask(Step::Subresource)),
    ("namespace", Some(true), 2, Function::Ask(Step::Namespace)),
    ("name", Some(true), 2, Function::Ask(Step::Name)),
    ("path", Some(true), 2, Function::Ask(Step::Path)),
    ("check", Some(true), 2, Function::Check),
    ("allowed", Some(true), 1, Function::Allowed),
    ("denied", Some(true), 1, Function::Denied),
];

impl Function {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(.., function)| *function == self).map_or("", |(name, ..)| name)
    }

    /// The function of this name; the arguments count the target of a method.
    pub(super) fn of(name: &str, method: bool, arguments: usize) -> Option<Self> {
        FUNCTIONS
            .iter()
            .find(|(known, style, takes, _)| *known == name && style.is_none_or(|s| s == method) && *takes == arguments)
            .map(|(.., function)| *function)
    }
}

pub(super) fn call<'a>(function: Function, arguments: &[Val<'a>], world: &dyn Variables<'a>) -> Outcome<'a> {
    match (function, arguments) {
        (Function::Size, [of]) => Ok(Val::Int(i64::try_from(of.size()?).unwrap_or(i64::MAX))),
        (Function::TypeOf, [of]) => Ok(Val::Type(of.type_name())),
        (Function::Dyn, [of]) => Ok(of.clone()),
        (Function::Join, [of, separator @ ..]) => join(of, separator.first()),
        (Function::Quantity, [text]) => {
            let quantity = Quantity::parse(text.text()?);
            quantity.map(|q| Val::Quantity(Rc::new(q))).ok_or(Fault::of(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ))
        }
        (Function::IsQuantity, [text]) => Ok(Val::Bool(Quantity::parse(text.text()?).is_some())),
        (
            Function::Sign
            | Function::CompareTo
            | Function::IsLess
            | Function::IsGreater
            | Function::IsInteger
            | Function::AsInteger,
            [Val::Quantity(of), other @ ..],
        ) => quantities(function, of, other.first()),
        (Function::OptionalNone, []) => Ok(Val::Optional(None)),
        (Function::OptionalOf, [of]) => Ok(Val::some(of.clone())),
        (Function::OptionalOfNonZero, [of]) => {
            Ok(if is_zero(of) { Val::Optional(None) } else { Val::some(of.clone()) })
        }
        (Function::HasValue, [Val::Optional(of)]) => Ok(Val::Bool(of.is_some())),
        (Function::Value, [Val::Optional(of)]) => {
            of.as_deref().cloned().ok_or(Fault::of("optional.none() dereference"))
        }
        (Function::OrValue, [Val::Optional(of), other]) => Ok(of.as_deref().unwrap_or(other).clone()),
        (Function::Or, [Val::Optional(of), other @ Val::Optional(_)]) => {
            Ok(if of.is_some() { Val::Optional(of.clone()) } else { other.clone() })
        }
        (Function::Ask(step), [Val::Question(question), value]) => question.step(step, value.text()?),
        (Function::Check, [Val::Question(question), verb]) => {
            let allowed = world.authorize(&question.access(verb.text()?)?)?;
            Ok(Val::Decision(Decision { allowed }))
        }
        (Function::Allowed, [Val::Decision(decision)]) => Ok(Val::Bool(decision.allowed)),
        (Function::Denied, [Val::Decision(decision)]) => Ok(Val::Bool(!decision.allowed)),
        (_, [of]) if is_conversion(function) => convert(function, of),
        (_, [Val::Text(of), rest @ ..]) => texts(function, of, rest),
        _ => Err(Fault::no_such_overload()),
    }
}

fn quantities<'a>(function: Function, of: &Quantity, other: Option<&Val<'a>>) -> Outcome<'a> {
    let other = match other {
        Some(Val::Quantity(other)) => Some(of.compare(other)),
        Some(_) => return Err(Fault::no_such_overload()),
        None => None,
    };
    Ok(match (function, other) {
        (Function::Sign, None) => Val::Int(of.sign()),
        (Function::IsInteger, None) => Val::Bool(of.integer().is_some()),
        (Function::AsInteger, None) => Val::Int(of.integer().ok_or(Fault::of("cannot convert value to integer"))?),
        (Function::CompareTo, Some(order)) => Val::Int(i64::from(order as i8)),
        (Function::IsLess, Some(order)) => Val::Bool(order.is_lt()),
        (Function::IsGreater, Some(order)) => Val::Bool(order.is_gt()),
        _ => return Err(Fault::no_such_overload()),
    })
}

fn texts<'a>(function: Function, of: &str, rest: &[Val<'a>]) -> Outcome<'a> {
    Ok(match (function, rest) {
        (Function::Contains, [part]) => Val::Bool(of.contains(part.text()?)),
        (Function::StartsWith, [part]) => Val::Bool(of.starts_with(part.text()?)),
        (Function::EndsWith, [part]) => Val::Bool(of.ends_with(part.text()?)),
        (Function::Lower, []) => Val::made(&of.to_ascii_lowercase()),
        (Function::Upper, []) => Val::made(&of.to_ascii_uppercase()),
        (Function::Trim, []) => Val::made(of.trim()),
        (Function::Replace, [from, to]) => Val::made(&of.replace(from.text()?, to.text()?)),
        (Function::Split, [separator]) => {
            let separator = separator.text()?;
            let parts = if separator.is_empty() {
                of.chars().map(|c| Val::made(c.encode_utf8(&mut [0; 4]))).collect()
            } else {
                of.split(separator).map(Val::made).collect()
            };
            Val::List(Rc::new(parts))
        }
        (Function::IndexOf, [part]) => {
            let before = of.split_once(part.text()?).map(|(before, _)| before.chars().count());
            Val::Int(before.and_then(|b| i64::try_from(b).ok()).unwrap_or(-1))
        }
        (Function::Substring, [from, to @ ..]) => {
            let place = |value: &Val<'_>| match value {
                Val::Int(at) => usize::try_from(*at).map_err(|_| Fault::new(format!("index out of range: {at}"))),
                _ => Err(Fault::no_such_overload()),
            };
            let length = of.chars().count();
            let (from, to) = (place(from)?, to.first().map_or(Ok(length), place)?);
            if from > to || to > length {
                return Err(Fault::new(format!("invalid substring range. start: {from}, end: {to}")));
            }
            let part: String = of.chars().skip(from).take(to.saturating_sub(from)).collect();
            Val::made(&part)
        }
        _ => return Err(Fault::no_such_overload()),
    })
}

fn join<'a>(of: &Val<'a>, separator: Option<&Val<'a>>) -> Outcome<'a> {
    let separator = separator.map_or(Ok(""), Val::text)?;
    let mut joined = String::new();
    for (at, part) in of.each()?.into_iter().enumerate() {
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(part?.text()?);
    }
    Ok(Val::made(&joined))
}

const fn is_conversion(function: Function) -> bool {
    matches!(
        function,
        Function::ToText
            | Function::ToInt
            | Function::ToUint
            | Function::ToDouble
            | Function::ToBool
            | Function::ToSpan
            | Function::ToTime
    )
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "conversions of the language, after their range was checked"
)]
fn convert<'a>(function: Function, of: &Val<'a>) -> Outcome<'a> {
    let range = || Fault::of("range error");
    let wrong = |text: &str| Fault::new(format!("type conversion error from 'string': {text:?}"));
    Ok(match (function, of) {
        (Function::ToText, Val::Text(_))
        | (Function::ToInt, Val::Int(_))
        | (Function::ToUint, Val::Uint(_))
        | (Function::ToDouble, Val::Double(_))
        | (Function::ToBool, Val::Bool(_))
        | (Function::ToSpan, Val::Span(_))
        | (Function::ToTime, Val::Time(_)) => of.clone(),
        (Function::ToText, Val::Int(value)) => Val::made(&value.to_string()),
        (Function::ToText, Val::Uint(value)) => Val::made(&value.to_string()),
        (Function::ToText, Val::Bool(value)) => Val::made(if *value { "true" } else { "false" }),
        (Function::ToText, Val::Double(value)) => Val::made(&value.to_string()),
        (Function::ToText, Val::Time(value)) => Val::made(&value.to_string()),
        (Function::ToInt, Val::Text(text)) => Val::Int(text.parse().map_err(|_| wrong(text))?),
        (Function::ToInt, Val::Uint(value)) => Val::Int(i64::try_from(*value).map_err(|_| range())?),
        (Function::ToInt, Val::Double(value)) if value.abs() < 9.2e18 => Val::Int(*value as i64),
        (Function::ToInt, Val::Time(value)) => Val::Int(value.as_second()),
        (Function::ToUint, Val::Text(text)) => Val::Uint(text.parse().map_err(|_| wrong(text))?),
        (Function::ToUint, Val::Int(value)) => Val::Uint(u64::try_from(*value).map_err(|_| range())?),
        (Function::ToUint, Val::Double(value)) if (0.0..1.8e19).contains(value) => Val::Uint(*value as u64),
        (Function::ToInt | Function::ToUint, Val::Double(_)) => return Err(range()),
        (Function::ToDouble, Val::Int(value)) => Val::Double(*value as f64),
        (Function::ToDouble, Val::Uint(value)) => Val::Double(*value as f64),
        (Function::ToDouble, Val::Text(text)) => Val::Double(text.parse().map_err(|_| wrong(text))?),
        (Function::ToBool, Val::Text(text)) => match &**text {
            "1" | "t" | "true" | "TRUE" | "True" => Val::Bool(true),
            "0" | "f" | "false" | "FALSE" | "False" => Val::Bool(false),
            other => return Err(wrong(other)),
        },
        (Function::ToSpan, Val::Text(text)) => Val::Span(span(text).ok_or_else(|| wrong(text))?),
        (Function::ToTime, Val::Text(text)) => Val::Time(text.parse().map_err(|_| wrong(text))?),
        _ => return Err(Fault::no_such_overload()),
    })
}

fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null | Val::Optional(None) | Val::Bool(false) | Val::Int(0) | Val::Uint(0) => true,
        Val::Double(value) => *value == 0.0,
        Val::Text(_) | Val::Bytes(_) | Val::List(_) | Val::Array(_) | Val::Map(_) | Val::Object(_) => {
            value.size() == Ok(0)
        }
        _ => false,
    }
}

/// A duration as Go writes it, such as `1h30m` or `-1.5s`.
pub(super) fn span(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanoseconds = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?)?;
        let (unit, after) =
            after.split_at_checked(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()))?;
        let each = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanoseconds += number.parse::<f64>().ok()? * each;
        rest = after;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the range, which is checked")]
    let whole = (nanoseconds.abs() < 9.2e18).then_some(nanoseconds as i64)?;
    Some(SignedDuration::from_nanos(if negative { whole.saturating_neg() } else { whole }))
}
