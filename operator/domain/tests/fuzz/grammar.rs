//! Expressions by a grammar, and the data that they look at.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

/// What expressions are made of that contain none.
const LEAVES: &[&str] = &[
    "0",
    "1",
    "-1",
    "7u",
    "1.5",
    "-0.0",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615u",
    "1e308",
    "''",
    "'a'",
    "'是'",
    "\"\\u00e9\\n\"",
    "r'\\d'",
    "b'\\xff'",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[1, 2, 3]",
    "{'a': 1, 'b': [2]}",
    "{1: 2, 2u: 3, true: 4}",
    "count",
    "parameters",
    "parameters.list",
    "parameters.text",
    "parameters.map",
    "parameters.nested",
    "parameters.size",
    "parameters.none",
    "parameters.list[0]",
    "parameters.map['k1']",
    "quantity('10Gi')",
    "quantity(count)",
    "x",
    "y",
    "int",
    "list",
    "type(1)",
    "size",
    "'10Gi'",
    "'9E'",
];

/// What holds other expressions; `@` stands for each of them.
const FRAMES: &[&str] = &[
    "(@)",
    "!@",
    "-@",
    "[@]",
    "[@, @]",
    "{'a': @}",
    "{@: @}",
    "@ + @",
    "@ - @",
    "@ * @",
    "@ / @",
    "@ % @",
    "@ == @",
    "@ != @",
    "@ < @",
    "@ >= @",
    "@ && @",
    "@ || @",
    "@ in @",
    "@ ? @ : @",
    "@.a",
    "@.b.c",
    "has(@.a)",
    "@[@]",
    "@['a']",
    "size(@)",
    "@.size()",
    "string(@)",
    "int(@)",
    "uint(@)",
    "double(@)",
    "bool(@)",
    "bytes(@)",
    "type(@)",
    "dyn(@)",
    "quantity(@)",
    "isQuantity(@)",
    "@.add(@)",
    "@.sub(@)",
    "@.compareTo(@)",
    "@.isGreaterThan(@)",
    "@.isLessThan(@)",
    "max(@, @)",
    "min(@, @)",
    "@.contains(@)",
    "@.startsWith(@)",
    "@.endsWith(@)",
    "(@).all(x, @)",
    "(@).exists(x, @)",
    "(@).exists_one(x, @)",
    "(@).map(x, @)",
    "(@).map(x, @, @)",
    "(@).filter(x, @)",
    "(@).map(y, @)",
    "(@).all(y, @)",
    "(@).map(x, [x, x])",
    "(@).map(x, x + x)",
];

/// An expression of the language, or what looks like one: types and names fit as they come.
pub(crate) fn expression() -> impl Strategy<Value = String> {
    proptest::sample::select(LEAVES).prop_map(str::to_owned).prop_recursive(7, 40, 3, |inner| {
        (proptest::sample::select(FRAMES), proptest::collection::vec(inner, 3)).prop_map(|(frame, parts)| {
            let mut parts = parts.into_iter();
            frame.split('@').enumerate().fold(String::new(), |mut whole, (at, fixed)| {
                if at > 0 {
                    whole.push_str(&parts.next().unwrap_or_default());
                }
                whole.push_str(fixed);
                whole
            })
        })
    })
}

/// Parameters of a size: lists, a text and a map that grow with it.
fn parameters(size: usize) -> Value {
    let map: BTreeMap<String, Value> = (0..size.min(2_000)).map(|at| (format!("k{at}"), json!([at, "v"]))).collect();
    let list: Vec<usize> = (0..size).collect();
    let nested: Vec<Vec<usize>> = (0..size.min(60)).map(|at| (0..at).collect()).collect();
    json!({"size": "10Gi", "none": null, "list": list, "text": "ab是".repeat(size * 10), "map": map, "nested": nested,
        "a": {"b": {"c": [1]}}})
}

/// Made once: what is large takes longer to make than to evaluate.
pub(crate) static PARAMETERS: LazyLock<[Value; 4]> = LazyLock::new(|| [0, 3, 100, 2_000].map(parameters));

/// Which of them: the largest less often.
pub(crate) fn size() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(0_usize), 4 => Just(1), 3 => Just(2), 1 => Just(3)]
}
