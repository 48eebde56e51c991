//! The dialect, expression by expression. What real API servers make of the product's own rules is in
//! `tests/tests/apiserver_schema.rs`.

use serde_json::{Value, json};

use super::evaluate::Variables;
use super::{Access, Fault, Outcome, Program, Question, Val};

struct World<'a> {
    object: &'a Value,
    null: &'a Value,
}

impl<'a> Variables<'a> for World<'a> {
    fn get(&self, index: usize) -> Outcome<'a> {
        match index {
            0 => Ok(Val::plain(self.object)),
            1 => Ok(Val::plain(self.null)),
            _ => Ok(Question::begin()),
        }
    }

    fn authorize(&self, access: &Access) -> Result<bool, Fault> {
        Ok(access.verb == "decide" && access.group == "g" && access.subresource == "s" && access.name == "n")
    }
}

fn evaluate(expression: &str) -> Result<Value, String> {
    let object = json!({
        "name": "a", "count": 3, "half": 0.5, "no": null, "list": [1, 2, 3], "map": { "k": "v", "n": null },
        "labels": { "zhengyun.io/grant-uid": "u" }, "people": [{ "name": "x", "age": 3 }, { "name": "y" }]
    });
    let variables = ["object", "none", "authorizer"].map(str::to_owned);
    let program = Program::compile(expression, &variables).map_err(|error| format!("{error:#}"))?;
    let world = World { object: &object, null: &Value::Null };
    program.evaluate(&world).map_err(|fault| fault.text().to_owned()).map(|value| shown(&value))
}

fn shown(value: &Val<'_>) -> Value {
    match value {
        Val::Null => Value::Null,
        Val::Bool(value) => json!(value),
        Val::Int(value) => json!(value),
        Val::Double(value) => json!(value),
        Val::Text(text) => json!(&**text),
        Val::List(_) | Val::Array(_) => value.each().unwrap().into_iter().map(|v| shown(&v.unwrap())).collect(),
        Val::Type(name) => json!(name),
        other => json!(format!("{other:?}")),
    }
}

fn yields(table: &[(&str, Value)]) {
    for (expression, expected) in table {
        assert_eq!(evaluate(expression).as_ref(), Ok(expected), "{expression}");
    }
}

fn fails(table: &[(&str, &str)]) {
    for (expression, part) in table {
        let told = evaluate(expression).expect_err(expression);
        assert!(told.contains(part), "{expression}: {told}");
    }
}

#[test]
fn operators() {
    yields(&[
        ("1 + 2 * 3 - 4 / 2 % 2", json!(7)),
        ("-object.count", json!(-3)),
        ("'a' + 'b' == \"ab\"", json!(true)),
        ("[1] + [2] == [1, 2]", json!(true)),
        ("1 == 1.0 && 1 < 1.5 && 2 >= 2", json!(true)),
        ("1 == '1'", json!(false)),
        ("null == object.no", json!(true)),
        ("object.map == {'k': 'v', 'n': null}", json!(true)),
        ("{'a': 1} == {'a': 1, 'b': 2}", json!(false)),
        ("true ? 'yes' : 'no'", json!("yes")),
        ("2 in object.list && !(4 in object.list) && 'k' in object.map", json!(true)),
        ("'b' < 'c' && false < true", json!(true)),
        ("duration('1h30m') == duration('90m')", json!(true)),
        ("timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('24h')", json!(true)),
        ("type(1) == int && type('') == string && type(object.list) == list", json!(true)),
    ]);
    fails(&[
        ("1 + 'a'", "no such overload"),
        ("1 < 'a'", "no such overload"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("'a' && true", "no such overload"),
        ("{'a': 1, 'a': 2}", "repeated key"),
    ]);
}

#[test]
fn errors_are_absorbed_by_the_operand_that_decides() {
    yields(&[
        ("object.missing == 1 || true", json!(true)),
        ("true || object.missing == 1", json!(true)),
        ("object.missing == 1 && false", json!(false)),
        ("[1, 2].exists(x, object.missing == x || x == 2)", json!(true)),
        ("[1, 2].all(x, object.missing == x && x == 2)", json!(false)),
    ]);
    fails(&[
        ("object.missing == 1 || false", "no such key: missing"),
        ("object.missing == 1 && true", "no such key: missing"),
        ("[1, 2].exists(x, object.missing == x)", "no such key: missing"),
    ]);
}

#[test]
fn fields_and_elements() {
    yields(&[
        ("has(object.name) && !has(object.missing) && has(object.no)", json!(true)),
        ("has(none.anything)", json!(false)),
        ("object.map['k'] + object['name']", json!("va")),
        ("object.list[2]", json!(3)),
        ("object.labels['zhengyun.io/grant-uid']", json!("u")),
    ]);
    fails(&[
        ("object.missing", "no such key: missing"),
        ("none.anything", "no such key: anything"),
        ("has(object.missing.deeper)", "no such key: missing"),
        ("object.list[3]", "index out of bounds: 3"),
        ("object.map['x']", "no such key: x"),
        ("object.list['x']", "unsupported index type 'string' in list"),
        ("has(object.list.x)", "unsupported index type 'string' in list"),
    ]);
}

#[test]
fn optionals() {
    yields(&[
        ("object.?missing.orValue('d')", json!("d")),
        ("object.?name.orValue('d')", json!("a")),
        ("none.?status.?phase.orValue('')", json!("")),
        ("object.?missing.deeper.deepest.hasValue()", json!(false)),
        ("object.?map.k.orValue('')", json!("v")),
        ("object.?labels['zhengyun.io/grant-uid'].orValue('')", json!("u")),
        ("object.?missing['x'].orValue('none')", json!("none")),
        ("object.labels[?'other'].orValue('?')", json!("?")),
        ("none[?'other'].orValue('?')", json!("?")),
        ("object.list[?7].hasValue()", json!(false)),
        ("object.?missing == optional.none()", json!(true)),
        ("object.?name == optional.of('a')", json!(true)),
        ("object.?name.value()", json!("a")),
        ("object.?missing.or(object.?name).value()", json!("a")),
        ("object.?name.optMap(n, n + 'x').orValue('')", json!("ax")),
        ("object.?missing.optMap(n, n + 'x').orValue('none')", json!("none")),
        ("optional.ofNonZeroValue('').hasValue()", json!(false)),
        ("[?object.?missing, 1].size()", json!(1)),
        ("has({?'a': object.?missing}.a)", json!(false)),
    ]);
    fails(&[("object.?missing.value()", "optional.none() dereference"), ("object.orValue(1)", "no such overload")]);
}

#[test]
fn macros() {
    yields(&[
        ("object.list.all(x, x > 0) && !object.list.all(x, x > 1)", json!(true)),
        ("object.list.exists(x, x == 3)", json!(true)),
        ("object.list.exists_one(x, x > 2)", json!(true)),
        ("object.list.filter(x, x != 2)", json!([1, 3])),
        ("object.list.map(x, x * 2)", json!([2, 4, 6])),
        ("object.list.map(x, x > 1, x * 2)", json!([4, 6])),
        ("object.map.all(k, k in ['k', 'n'])", json!(true)),
        ("object.people.filter(p, has(p.age)).map(p, p.name)", json!(["x"])),
        ("object.list.all(x, object.list.filter(y, y == x).size() == 1)", json!(true)),
        ("[].all(x, false)", json!(true)),
        ("object.people.map(object, object.name)", json!(["x", "y"])),
    ]);
    fails(&[("object.name.all(x, true)", "got 'types.String', expected iterable type")]);
}

#[test]
fn functions() {
    yields(&[
        ("size('政云') + '政云'.size() + size(object.list) + object.map.size()", json!(9)),
        ("'system:x'.startsWith('system:') && 'abc'.endsWith('c') && 'abc'.contains('b')", json!(true)),
        ("'x system:'.startsWith('system:') || 'ab'.endsWith('a')", json!(false)),
        ("'abc'.matches('^[a-c]+$') && !matches('x', '[a-c]')", json!(true)),
        ("'Ab'.lowerAscii() + 'Ab'.upperAscii() + ' x '.trim()", json!("abABx")),
        ("'a,b'.split(',')", json!(["a", "b"])),
        ("['a', 'b'].join('-') + 'aXb'.replace('X', '+')", json!("a-ba+b")),
        ("'hello'.substring(1, 3) + 'hello'.substring(3) + string('hello'.indexOf('l'))", json!("ello2")),
        ("int('42') + int(3.9) + int(uint(1))", json!(46)),
        ("string(1) + string(true)", json!("1true")),
        ("bool('true') && double('1.5') == 1.5", json!(true)),
        ("sign(quantity('-1')) + quantity('1').sign()", json!(0)),
        ("quantity('1Gi').compareTo(quantity('1G'))", json!(1)),
        ("quantity('1').isLessThan(quantity('2')) && isQuantity('1k') && !isQuantity('x')", json!(true)),
        ("quantity('1000m') == quantity('1')", json!(true)),
    ]);
    fails(&[
        ("int('x')", "type conversion error"),
        ("quantity('x')", "quantities must match"),
        ("size(1)", "no such overload: size"),
        ("'abc'.substring(4)", "invalid substring range"),
    ]);
}

#[test]
fn the_authorizer() {
    let question = "authorizer.group('g').resource('r').subresource('s').namespace('ns').name('n')";
    yields(&[
        (&format!("{question}.check('decide').allowed()"), json!(true)),
        (&format!("{question}.check('delete').allowed()"), json!(false)),
        (&format!("{question}.check('delete').denied()"), json!(true)),
    ]);
    fails(&[
        ("authorizer.resource('r')", "no such overload"),
        ("authorizer.group('g').check('decide').allowed()", "no such overload"),
    ]);
}

#[test]
fn what_does_not_compile_is_told_when_it_is_loaded() {
    fails(&[
        ("object.", "is no expression"),
        ("unknown.name", "undeclared reference to 'unknown'"),
        ("[1].all(x, y)", "undeclared reference to 'y'"),
        ("object.name.frobnicate()", "the function frobnicate with 0 arguments is not modelled"),
        ("sets.contains([1], [1])", "the function sets.contains"),
        ("'a'.matches('[')", "the pattern"),
        ("'a'.matches(object.name)", "computed"),
        ("has(object)", "invalid argument to has()"),
        ("Thing{a: 1}", "not modelled"),
    ]);
}
