//! Texts and data that try to be more than they are.

use proptest::prelude::*;
use serde_json::Value;

/// What means something to YAML, JSON, CEL, templates, Kubernetes or a terminal.
const LOADED: &[&str] = &[
    "${",
    "}",
    "$${",
    "$",
    "{",
    "\"",
    "'",
    "'''",
    "\\",
    "\n",
    "\r\n",
    "\t",
    ": ",
    "- ",
    " #",
    "---\n",
    "...",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "|",
    ">",
    "[",
    "]",
    ",",
    "//",
    "parameters",
    "name",
    "count",
    ".",
    "{{",
    "}}",
    "null",
    "true",
    "~",
    "0x10",
    "1e3",
    "\u{0}",
    "\u{1b}[31m",
    "\u{2028}",
    "\u{feff}",
    "\u{202e}",
    "是",
    "ᠮ",
    "🐎",
];

/// A text of anything printable, or of pieces that mean something elsewhere.
pub(crate) fn loaded_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,24}",
        proptest::collection::vec(proptest::sample::select(LOADED), 0..10).prop_map(|pieces| pieces.concat()),
    ]
}

/// A number as JSON holds it, with the ends of its kinds.
pub(crate) fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-20_i64..20).prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        proptest::sample::select(vec![0.0, -0.0, 0.1, 1e300, 5e-324, 1.0, 9_007_199_254_740_993.0])
            .prop_map(Value::from),
    ]
}

/// Any scalar.
pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => number(),
        4 => loaded_text().prop_map(Value::from),
    ]
}

/// Any data, a few levels deep.
pub(crate) fn data() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(loaded_text(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
