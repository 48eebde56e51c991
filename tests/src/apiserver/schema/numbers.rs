//! Bounds of numbers.

use serde_json::{Number, Value};

use super::causes::Cause;
use super::check::add;
use super::formats::Format;
use super::node::{Bound, Kind, Node};

pub(super) fn check(node: &Node, number: &Number, path: &str, causes: &mut Vec<Cause>) {
    range(node, number, path, causes);
    let Some(value) = number.as_f64() else { return };
    let invalid = |detail: String| {
        Cause::invalid(path, &Value::Number(number.clone()), &format!("{path} in body should be {detail}"))
    };
    if let Some(factor) = node.multiple_of {
        let times = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
        if times.fract() != 0.0 {
            add(causes, invalid(format!("a multiple of {factor}")));
        }
    }
    let told = |Bound { value, exclusive }: &Bound, than: &str| {
        if *exclusive { format!("{than} than {value}") } else { format!("{than} than or equal to {value}") }
    };
    if let Some(bound) = node.maximum.as_ref()
        && (value > bound.value || (bound.exclusive && value >= bound.value))
    {
        add(causes, invalid(told(bound, "less")));
    }
    if let Some(bound) = node.minimum.as_ref()
        && (value < bound.value || (bound.exclusive && value <= bound.value))
    {
        add(causes, invalid(told(bound, "greater")));
    }
}

/// Whether the number fits its type; said about no field.
fn range(node: &Node, number: &Number, path: &str, causes: &mut Vec<Cause>) {
    let whole = number.as_i64().or_else(|| {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range")]
        number.as_f64().filter(|v| v.fract() == 0.0 && v.abs() < 9.2e18).map(|v| v as i64)
    });
    let fits = match (node.kind, node.format) {
        (Kind::Integer, Some(Format::Int32)) => whole.is_some_and(|v| i32::try_from(v).is_ok()),
        (Kind::Integer, _) => whole.is_some(),
        (Kind::Number, Some(Format::Float)) => number.as_f64().is_some_and(|v| v.abs() <= f64::from(f32::MAX)),
        _ => true,
    };
    if !fits {
        let format = node.format.map_or("(default format)".to_owned(), |f| format!("with format {}", f.name()));
        let text = format!("Checked value must be of type {} {format} in {path}", node.kind);
        add(causes, Cause::invalid("", &Value::from(""), &text));
    }
}
