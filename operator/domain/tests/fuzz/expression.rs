//! Expressions that nobody reviewed: always an answer, the same one, within what was allowed.

use proptest::prelude::*;
use serde_json::Value;
use zhengyun_domain::expression::{Ceilings, Charges, CostLimits, Expression, ExpressionError};
use zhengyun_domain::quantity::Quantity;

use crate::bounds::observe;
use crate::grammar::{PARAMETERS, expression, size};
use crate::run::fuzz;
use crate::values::{data, loaded_text};

#[test]
fn an_expression_ends_within_its_bounds() {
    let values = (expression(), size());
    fuzz("expression::an_expression_ends_within_its_bounds", 1_000, &values, |(source, size)| {
        let told = observe(&source, &PARAMETERS[size], &CostLimits::default());
        prop_assert!(told.is_ok(), "{source}: {}", told.unwrap_err());
        Ok(())
    });
}

/// Loops in loops, texts and lists that double, copies of what is large: each frame multiplies the work of what it holds.
const MULTIPLIERS: &[&str] = &[
    "parameters.list.all(v#, @)",
    "parameters.list.exists(v#, !(@))",
    "parameters.list.map(v#, @)",
    "parameters.list.filter(v#, size([@]) == 1)",
    "parameters.map.all(v#, [@] == [@])",
    "[@].map(v#, v# + v#)[0]",
    "[[@]].map(v#, v# + v#)[0]",
    "[@, @, @]",
    "{'a': @, 'b': @}",
    "[@] == [@]",
    "@ in [@]",
    "(@ == @) || true",
    "[@].map(v#, [v#, v#, v#])",
    "[@].all(v#, v# == v#)",
    "[@].map(v#, parameters.list.map(w#, v#))",
    "[[@][0]][0]",
    "{'a': @}.a",
    "(true ? @ : @)",
    "string(@) + string(@)",
    "[@].map(v#, parameters.list.all(w#, v# == parameters))[0]",
    "[@].map(v#, parameters.list.all(w#, [v#].size() == w#))",
    "[@].map(v#, parameters.map.map(w#, {w#: v#}))",
];
const CORES: &[&str] = &[
    "1",
    "parameters",
    "parameters.list",
    "parameters.text",
    "parameters.map",
    "'ab'",
    "[1]",
    "true",
    "count",
    "#wide",
];
/// Elements of the core whose work is its own size and not that of its data.
const WIDE: usize = 150;

#[test]
fn a_bomb_is_defused() {
    let frames = proptest::collection::vec(proptest::sample::select(MULTIPLIERS), 1..9);
    let values = (proptest::sample::select(CORES), frames, size());
    fuzz("expression::a_bomb_is_defused", 100, &values, |(core, frames, size)| {
        let core = core.replace("#wide", &format!("[{}1][count]", "1, ".repeat(WIDE)));
        let source = frames
            .iter()
            .enumerate()
            .fold(core, |source, (at, frame)| frame.replace('#', &at.to_string()).replace('@', &source));
        let told = observe(&source, &PARAMETERS[size], &CostLimits::default());
        prop_assert!(told.is_ok(), "{source}: {}", told.unwrap_err());
        Ok(())
    });
}

/// What can be opened and closed again and again.
const BRACKETS: &[(&str, &str)] = &[
    ("(", ")"),
    ("[", "]"),
    ("{'a': ", "}"),
    ("{", ": 1}"),
    ("!", ""),
    ("-", ""),
    ("- ", ""),
    ("size(", ")"),
    ("max(1, ", ")"),
    ("[1].map(x, ", ")"),
    ("[1].all(x, ", ")"),
    ("has(", ".a)"),
    ("true ? ", " : 1"),
    ("true ? 1 : ", ""),
    ("1 + ", ""),
    ("", " + 1"),
    ("", ".a"),
    ("", "[0]"),
    ("", ".size()"),
    ("", ".map(x, x)"),
    ("1 in ", ""),
    ("true && ", ""),
    ("", " || true"),
    ("[1, ", ""),
    ("(", ""),
    ("", ")"),
    ("'", ""),
    ("\"\"\"", ""),
    ("//", ""),
    ("`", ""),
    ("@", ""),
    (".", ""),
    ("1.", ""),
    ("{'", ""),
    ("\\", ""),
];

#[test]
fn nesting_never_exhausts_the_stack() {
    let run =
        (proptest::sample::select(BRACKETS), prop_oneof![3 => 1_usize..8, 1 => 8_usize..64, 1 => 64_usize..1_200]);
    let values =
        (proptest::sample::select(vec!["1", "parameters", "x", "", "[1]"]), proptest::collection::vec(run, 1..12));
    fuzz("expression::nesting_never_exhausts_the_stack", 500, &values, |(core, runs)| {
        let mut source = core.to_owned();
        for ((open, close), times) in runs {
            source = format!("{}{source}{}", open.repeat(times), close.repeat(times));
        }
        let told = observe(&source, &PARAMETERS[1], &CostLimits::default());
        prop_assert!(told.is_ok(), "{source}: {}", told.unwrap_err());
        Ok(())
    });
}

/// Whatever the limits are, they hold.
#[test]
fn limits_are_kept_whatever_they_are() {
    let limits = (0_usize..400, 0_usize..200, 0_usize..30, 0_u64..3_000)
        .prop_map(|(source_bytes, nodes, depth, steps)| CostLimits { source_bytes, nodes, depth, steps });
    fuzz("expression::limits_are_kept_whatever_they_are", 1_000, &(expression(), limits), |(source, limits)| {
        let told = observe(&source, &PARAMETERS[2], &limits);
        let told = told.map_err(|broken| TestCaseError::fail(format!("{source}: {broken}")))?;
        match told {
            Err(ExpressionError::TooLong { length, max }) => {
                prop_assert!((length, max) == (source.len(), limits.source_bytes) && length > max);
            }
            _ => prop_assert!(source.len() <= limits.source_bytes),
        }
        Ok(())
    });
}

/// Texts that are CEL by accident only, and data of any shape.
#[test]
fn no_text_and_no_data_break_the_engine() {
    let token = proptest::sample::select(vec![
        "parameters",
        "count",
        ".",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "'a'",
        "\"",
        "'",
        "1",
        "0x1F",
        "1e9",
        "+",
        "-",
        "*",
        "/",
        "%",
        "?",
        ":",
        "&&",
        "||",
        "!",
        ",",
        "map",
        "all",
        "exists_one",
        "has",
        "size",
        "quantity",
        " in ",
        "==",
        "<",
        "x",
        "b'",
        "r\"",
        "\\u",
        "\\xff",
        "//",
        "\n",
        " ",
        "true",
        "null",
        "in",
        "as",
        "package",
        "@",
        "`",
        "$",
        "#",
        "_",
        "__result__",
        "@result",
        "@meter",
    ]);
    let text = prop_oneof![
        1 => loaded_text(),
        3 => proptest::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat()),
        1 => expression(),
    ];
    let data = proptest::collection::btree_map(
        proptest::sample::select(vec!["list", "text", "map", "nested", "size", "a"]).prop_map(str::to_owned),
        data(),
        0..6,
    )
    .prop_map(|fields| Value::Object(fields.into_iter().collect()));
    fuzz("expression::no_text_and_no_data_break_the_engine", 2_000, &(text, data), |(source, data)| {
        let told = observe(&source, &data, &CostLimits::default());
        prop_assert!(told.is_ok(), "{source:?}: {}", told.unwrap_err());
        Ok(())
    });
}

/// A regular expression is never compiled, however it is spelt: `matches` is not offered.
#[test]
fn no_regular_expression_is_run() {
    let pattern = prop_oneof!["[a-z(|)*+?{},0-9\\[\\]^$.]{0,60}", "(\\(a\\+\\)\\+){1,12}"];
    let call = proptest::sample::select(vec![
        "parameters.text.matches('@')",
        "matches(parameters.text, '@')",
        "parameters.list.exists(x, 'a'.matches('@'))",
        "[1].map(x, has(parameters.a) && 'a'.matches(r'@'))",
        "true || 'a'.matches('@')",
    ]);
    fuzz("expression::no_regular_expression_is_run", 500, &(pattern, call), |(pattern, call)| {
        let source = call.replace('@', &pattern);
        let refused = Expression::compile(&source, &["parameters", "count"], &CostLimits::default()).unwrap_err();
        prop_assert!(matches!(refused, ExpressionError::Unavailable { .. }), "{source}: {refused}");
        Ok(())
    });
}

/// What is charged is exact and never below zero, and so are the ceilings that it pays for.
#[test]
fn a_charge_is_exact_or_refused() {
    let amount = prop_oneof![
        4 => proptest::sample::select(vec![
            "quantity(parameters.size) * count", "count", "-count", "quantity('1') - quantity('2')", "1.5", "'10Gi'", "parameters.size",
            "count * 9223372036854775807", "quantity('9E') * count", "parameters.list[0]", "max(count, 0)", "0", "'-1m'", "7u",
        ]).prop_map(str::to_owned),
        2 => expression(),
    ];
    let name = proptest::sample::select(vec!["cpu", "memory", "storage.block", "CPU", "", "ip.public", "-"])
        .prop_map(str::to_owned);
    let values = (proptest::collection::btree_map(name, amount, 0..5), -3_i64..1_000_000, 0_usize..3);
    fuzz("expression::a_charge_is_exact_or_refused", 1_000, &values, |(sources, count, size)| {
        let limits = CostLimits::default();
        let charge =
            || Charges::compile(&sources, &limits).and_then(|charges| charges.evaluate(&PARAMETERS[size], count));
        let ceiling =
            || Ceilings::compile(&sources, &limits).and_then(|ceilings| ceilings.evaluate(&PARAMETERS[size], count));
        let (charged, paid_for) = (charge(), ceiling());
        prop_assert_eq!(&charge(), &charged);
        prop_assert_eq!(&ceiling(), &paid_for);
        for error in charged.as_ref().err().into_iter().chain(paid_for.as_ref().err()) {
            prop_assert!(sources.contains_key(&error.resource) || error.resource == "every resource", "{error}");
        }
        if let Ok(charged) = charged {
            prop_assert_eq!(charged.first_negative(), None);
            let paid_for = paid_for.unwrap();
            prop_assert!(paid_for.values().all(|amount| *amount >= Quantity::ZERO));
            for (resource, amount) in charged.iter() {
                prop_assert_eq!(paid_for.get(resource.as_str()), Some(amount));
            }
        }
        Ok(())
    });
}
