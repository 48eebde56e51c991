//! Expressions give exact, repeatable results, and can neither run away nor take the process down.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_domain::expression::{Bindings, Ceilings, Charges, CostLimits, Expression, ExpressionError};

const VARIABLES: &[&str] = &["parameters", "count"];

fn compile(source: &str) -> Result<Expression, ExpressionError> {
    Expression::compile(source, VARIABLES, &CostLimits::default())
}

fn run(source: &str, parameters: &Value) -> Result<Value, ExpressionError> {
    let bindings = Bindings::new().with("parameters", parameters)?.with("count", &json!(3))?;
    compile(source)?.evaluate_json(&bindings)
}

#[rstest]
#[case("1 + 2", json!(3))]
#[case("parameters.size", json!("10Gi"))]
#[case("parameters.list[1]", json!(2))]
#[case("has(parameters.missing) ? 1 : 2", json!(2))]
#[case("parameters.list.map(x, x * 2)", json!([2, 4, 6]))]
#[case("parameters.list.filter(x, x > 1)", json!([2, 3]))]
#[case("parameters.list.exists(x, x == 3) && parameters.list.all(x, x > 0)", json!(true))]
#[case("parameters.list.exists_one(x, x > 2)", json!(true))]
#[case("'a' in {'a': 1} && 2 in [1, 2]", json!(true))]
#[case("'pg-' + string(count) + '-' + parameters.size", json!("pg-3-10Gi"))]
#[case("type(count) == int && parameters.size.startsWith('10')", json!(true))]
#[case("{'a': [1, {'b': null}]}", json!({"a": [1, {"b": null}]}))]
#[case("18446744073709551615u", json!(u64::MAX))]
#[case("1.5 * 2.0", json!(3.0))]
#[case("quantity(parameters.size) * 3", json!("30Gi"))]
#[case("3 * quantity(parameters.size)", json!("30Gi"))]
#[case("quantity('500m') + quantity(1) - quantity('0.25')", json!("1250m"))]
#[case("quantity('1Gi') == quantity('1024Mi')", json!(true))]
#[case("quantity('1Gi').add(quantity('1Gi')).isGreaterThan(quantity('1Gi'))", json!(true))]
#[case("quantity('1').sub(quantity('2')).compareTo(quantity('-1'))", json!(0))]
#[case("quantity('1').isLessThan(quantity('2'))", json!(true))]
#[case("max(quantity('1Gi'), quantity('1G'))", json!("1Gi"))]
#[case("min(quantity('1Gi'), quantity('1G'))", json!("1G"))]
#[case("[max(1, 2), min(1, 2)]", json!([2, 1]))]
#[case("int(quantity('4000m'))", json!(4))]
#[case("string(quantity('2048Mi')) + ' of memory'", json!("2Gi of memory"))]
#[case("isQuantity('1Gi') && !isQuantity('many')", json!(true))]
#[case("{'memory': quantity('1Gi') * 2}", json!({"memory": "2Gi"}))]
#[case("{'b': 1, 'a': 2, 'd': 3, 'c': 4}.map(k, k)", json!(["a", "b", "c", "d"]))]
#[case("parameters.list.map(x, parameters.list.map(y, x * y))", json!([[1, 2, 3], [2, 4, 6], [3, 6, 9]]))]
#[case("true || parameters.missing", json!(true))]
fn yields(#[case] source: &str, #[case] expected: Value) {
    let parameters = json!({"size": "10Gi", "list": [1, 2, 3], "deep": {"er": 1}});
    assert_eq!(run(source, &parameters).unwrap(), expected);
}

#[rstest]
#[case("1 +", "not a CEL expression: line 1")]
#[case("", "not a CEL expression")]
#[case("parameter.size", "the variable \"parameter\" does not exist here: use one of parameters, count")]
#[case("[1].map(x, y)", "the variable \"y\" does not exist here")]
#[case("[1].map(x, x)[0] + x", "the variable \"x\" does not exist here")]
#[case("parameters.size.matches('a+')", "matches is not available in expressions: use startsWith")]
#[case("now()", "the function now is not available")]
#[case("optional.of(1)", "the function of is not available")]
#[case("parameters.?size", "not a CEL expression")]
#[case("Point{x: 1}", "a struct literal is not available")]
#[case("@meter", "not a CEL expression")]
fn refuses_to_compile(#[case] source: &str, #[case] expected: &str) {
    let error = compile(source).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[rstest]
#[case("parameters.missing", "there is no field \"missing\"")]
#[case("parameters.list[7]", "the list has no element 7")]
#[case("1 / 0", "division by zero")]
#[case("9223372036854775807 + 1", "too large for a whole number")]
#[case("quantity('many')", "quantity: \"many\" is not a quantity")]
#[case("quantity('0.5m')", "finer than one thousandth")]
#[case("quantity('7Ei') * 2", "7Ei * 2 is beyond")]
#[case("quantity(1.5)", "no matching overload for 'quantity' applied to '(double)'")]
#[case("quantity('1') * 1.5", "no matching overload for '_*_' applied to '(quantity, double)'")]
#[case("quantity('1') + 1", "no matching overload for '_+_' applied to '(quantity, int)'")]
#[case("parameters + 1", "add does not work on a map and an int")]
#[case("int(quantity('1500m'))", "1500m is not a whole number of units")]
#[case("{'a': 1, 'a': 2}", "a map has the same key twice")]
#[case("count.map(x, x)", "iterable is needed, not int")]
fn fails_without_showing_values(#[case] source: &str, #[case] expected: &str) {
    let error = run(source, &json!({"list": [1], "secret": "hunter2"})).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_result_that_is_no_data_is_refused() {
    let error = run("type(1)", &json!({})).unwrap_err();
    assert!(matches!(error, ExpressionError::WrongType { .. }), "{error}");
    let error = run("b'abc'", &json!({})).unwrap_err();
    assert!(matches!(error, ExpressionError::WrongType { .. }), "{error}");
    let bindings = Bindings::new().with("parameters", &json!({})).unwrap().with("count", &json!(1)).unwrap();
    assert!(compile("1").unwrap().evaluate_bool(&bindings).is_err());
    assert_eq!(
        compile("1.5").unwrap().evaluate_quantity(&bindings).unwrap_err().to_string(),
        "the expression yields a floating-point number, but an exact amount, such as quantity(\"10Gi\"), a whole number or its text is needed"
    );
}

/// Each of these does work out of all proportion to its length; unbounded, most take minutes, or all memory.
#[rstest]
#[case::nested_loops("parameters.list.all(a, parameters.list.all(b, parameters.list.all(c, a + b + c >= 0)))")]
#[case::nested_loops_that_yield("parameters.list.map(a, parameters.list.map(b, parameters.list.map(c, a)))")]
#[case::swallowed_by_or(
    "parameters.list.exists(a, parameters.list.exists(b, parameters.list.exists(c, a < 0)) || true)"
)]
#[case::swallowed_by_outer_or("parameters.list.all(a, parameters.list.all(b, parameters.list.all(c, true))) || true")]
#[case::doubling_text(
    "[parameters.text].map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x)"
)]
#[case::doubling_lists(
    "[[1]].map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x).map(x, x+x)"
)]
#[case::nesting_lists(
    "parameters.list.map(x, [parameters.list, parameters.list, parameters.list]).map(x, [x, x, x, x, x, x, x, x])"
)]
#[case::copies_of_something_large("parameters.list.map(x, parameters)")]
#[case::comparing_something_large("parameters.list.all(x, parameters == parameters)")]
#[case::searching_something_large("parameters.list.all(x, parameters.text.contains(parameters.text))")]
#[case::finding_in_a_list(
    "parameters.list.all(x, x in parameters.list && x in parameters.list && -1 in parameters.list || true)"
)]
#[case::hashing_a_large_key("parameters.list.all(x, {'a': 1}[parameters.text] == 1 || true)")]
fn a_runaway_is_stopped(#[case] source: &str) {
    let list: Vec<u32> = (0..5000).collect();
    let parameters = json!({"list": list, "text": "x".repeat(500_000)});
    let started = Instant::now();
    let error = run(source, &parameters).unwrap_err();
    assert!(matches!(error, ExpressionError::TooCostly { .. }), "{error}");
    // Generous, for an unoptimised build on a busy machine; it takes a fraction of a second.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_loop_over_something_large_is_affordable_once() {
    let list: Vec<u32> = (0..5000).collect();
    let parameters = json!({"list": list});
    assert_eq!(run("size(parameters.list.filter(x, x % 2 == 0))", &parameters).unwrap(), json!(2500));
}

#[rstest]
#[case(format!("{}1", "1 + ".repeat(600)), "too complex")]
#[case(format!("{}1{}", "(".repeat(200), ")".repeat(200)), "")]
#[case(format!("{}1{}", "[".repeat(200), "]".repeat(200)), "")]
#[case(format!("parameters{}", ".a".repeat(2000)), "too complex")]
#[case(format!("parameters{}", "[0]".repeat(1300)), "")]
#[case("x".repeat(4097), "the expression has 4097 bytes, at most 4096 are allowed")]
#[case(format!("{}1{}", "true ? ".repeat(300), " : 2".repeat(300)), "")]
#[case(format!("[{}1]", "1,".repeat(1500)), "too complex")]
#[case(format!("{}1{}", "[1].map(x, ".repeat(60), ")".repeat(60)), "")]
#[case("{".repeat(4000), "")]
#[case("(((((((((((((((((((((((((((".repeat(100), "")]
#[case("\"".repeat(4001), "")]
fn large_and_deep_sources_are_refused(#[case] source: String, #[case] expected: &str) {
    // The stack of a tokio worker, and of a test thread.
    let handle = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let started = Instant::now();
        (compile(&source).unwrap_err().to_string(), started.elapsed())
    });
    let (error, elapsed) = handle.unwrap().join().unwrap();
    assert!(error.contains(expected), "{error}");
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
}

/// The deepest expressions that are accepted fit a stack half as large as that of a tokio worker, in a debug build.
#[rstest]
#[case(|depth: usize| format!("{}1", "1 + ".repeat(depth)))]
#[case(|depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth)))]
#[case(|depth: usize| format!("{}1{}", "[1].map(x, ".repeat(depth), ")".repeat(depth)))]
#[case(|depth: usize| format!("{}1{}", "size([".repeat(depth), "])".repeat(depth)))]
#[case(|depth: usize| format!("{}1{}", "max(1, ".repeat(depth), ")".repeat(depth)))]
#[case(|depth: usize| format!("{}1{}", "{'a': ".repeat(depth), "}".repeat(depth)))]
fn deep_sources_that_are_accepted_fit_the_stack(#[case] write: fn(usize) -> String) {
    let handle = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        let accepted: Vec<usize> = (1..60)
            .filter(|depth| {
                let Ok(expression) = compile(&write(*depth)) else { return false };
                let bindings = Bindings::new().with("parameters", &json!({})).unwrap();
                let _ = expression.evaluate(&bindings);
                true
            })
            .collect();
        accepted.last().copied()
    });
    let deepest = handle.unwrap().join().unwrap().unwrap();
    println!("deepest accepted: {deepest}");
    assert!(deepest >= 10, "{deepest}");
}

#[test]
fn data_nested_too_deep_is_refused() {
    let mut data = json!(1);
    for _ in 0..100 {
        data = json!([data]);
    }
    let error = Bindings::new().with("parameters", &data).unwrap_err().to_string();
    assert_eq!(error, "the data in \"parameters\" is nested deeper than 64 levels");
}

fn sources(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(resource, source)| ((*resource).to_owned(), (*source).to_owned())).collect()
}

#[test]
fn charges_are_exact() {
    let charges = Charges::compile(
        &sources(&[
            ("cpu", "quantity(parameters.cpu) * parameters.instances * count"),
            ("storage.block", "quantity(parameters.storage) * parameters.instances * count"),
            ("vm.count", "parameters.instances * count"),
            ("ip.public", "parameters.public ? 1 : 0"),
        ]),
        &CostLimits::default(),
    )
    .unwrap();
    let parameters = json!({"cpu": "100m", "storage": "10Gi", "instances": 3, "public": false});
    let amounts = charges.evaluate(&parameters, 7).unwrap();
    assert_eq!(amounts.to_string(), "cpu 2100m, storage.block 210Gi, vm.count 21");
}

#[rstest]
#[case("1.5", "the amount of cpu, `1.5`: the expression yields a floating-point number")]
#[case("parameters.half", "the amount of cpu, `parameters.half`: the expression yields a floating-point number")]
#[case("quantity('1') - quantity('2')", "yields -1, but nothing can be charged less than zero")]
#[case("-1", "yields -1, but nothing can be charged less than zero")]
#[case("quantity('9E') * count", "the amount of cpu, `quantity('9E') * count`: *: 9E * 3 is beyond")]
#[case("'many'", "\"many\" is not a quantity")]
#[case("true", "the expression yields true or false, but an exact amount")]
#[case("parameters.gone", "there is no field \"gone\"")]
fn a_bad_charge_names_itself(#[case] source: &str, #[case] expected: &str) {
    let charges = Charges::compile(&sources(&[("cpu", source)]), &CostLimits::default()).unwrap();
    let error = charges.evaluate(&json!({"half": 0.5}), 3).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_bad_definition_names_the_charge() {
    let compile = |resource, source| Charges::compile(&sources(&[(resource, source)]), &CostLimits::default());
    let error = compile("CPU", "1").unwrap_err().to_string();
    assert!(error.starts_with("the amount of CPU, `1`: \"CPU\" cannot name a resource"), "{error}");
    let error = compile("cpu", "request.size").unwrap_err().to_string();
    assert!(error.contains("the variable \"request\" does not exist here: use one of parameters, count"), "{error}");
}

#[test]
fn ceilings_take_the_keys_of_a_resource_quota() {
    let ceilings = Ceilings::compile(
        &sources(&[("count/clusters.postgresql.cnpg.io", "count"), ("requests.storage", "quantity('1Gi') * count")]),
        &CostLimits::default(),
    )
    .unwrap();
    let values = ceilings.evaluate(&json!({}), 2).unwrap();
    let values: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(values, ["count/clusters.postgresql.cnpg.io=2", "requests.storage=2Gi"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_source_takes_the_process_down(source in "\\PC{0,60}") {
        if let Ok(expression) = compile(&source) {
            let bindings = Bindings::new().with("parameters", &json!({"a": 1})).unwrap();
            let _ = expression.evaluate(&bindings);
        }
    }

    #[test]
    fn no_celish_source_takes_the_process_down(
        tokens in proptest::collection::vec(prop_oneof![
            Just("parameters"), Just("count"), Just("."), Just("["), Just("]"), Just("("), Just(")"), Just("{"), Just("}"),
            Just("'a'"), Just("1"), Just("+"), Just("-"), Just("*"), Just("?"), Just(":"), Just("&&"), Just("!"), Just(","),
            Just("map"), Just("has"), Just("size"), Just("quantity"), Just(" in "), Just("=="), Just("x"), Just("b'\\xff'"),
        ], 0..24)
    ) {
        let source = tokens.concat();
        let outcome = compile(&source).and_then(|expression| {
            expression.evaluate(&Bindings::new().with("parameters", &json!({"a": [1]}))?)
        });
        prop_assert_ne!(outcome.err(), Some(ExpressionError::Crashed));
    }
}
