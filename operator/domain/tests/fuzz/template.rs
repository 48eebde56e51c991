//! Templates over values that try to become structure: what is rendered is told in advance by a model of three rules.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use zhengyun_domain::expression::Bindings;
use zhengyun_domain::template::{Template, TemplateCause, TemplateError, TemplateLimits};

use crate::run::fuzz;
use crate::values::{data, loaded_text, scalar};

/// Parameters that templates here use, `p0` and so on.
const PARAMETERS: usize = 4;

/// A part of a text in a template.
#[derive(Clone, Debug)]
enum Piece {
    /// Text without a dollar sign.
    Fixed(String),
    /// `$${`, which stands for `${`.
    Escaped,
    /// A dollar sign that means nothing.
    Dollar,
    /// A parameter, written as one of several expressions that all yield it.
    Parameter(usize, usize),
}

/// A template as it was meant.
#[derive(Clone, Debug)]
enum Tree {
    Text(Vec<Piece>),
    Scalar(Value),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        3 => loaded_text().prop_map(|text| Piece::Fixed(text.replace('$', ""))),
        1 => Just(Piece::Escaped),
        1 => Just(Piece::Dollar),
        4 => (0..PARAMETERS, 0_usize..6).prop_map(|(which, how)| Piece::Parameter(which, how)),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    // A piece that is empty is none: with it, an expression that is a whole text would look like a part of one.
    let text = proptest::collection::vec(piece(), 0..4).prop_map(|mut pieces| {
        pieces.retain(|piece| !matches!(piece, Piece::Fixed(text) if text.is_empty()));
        Tree::Text(pieces)
    });
    let leaf = prop_oneof![
        3 => text,
        3 => (0..PARAMETERS, 0_usize..6).prop_map(|(which, how)| Tree::Text(vec![Piece::Parameter(which, how)])),
        1 => scalar().prop_filter_map("a text is a text", |value| (!value.is_string()).then_some(Tree::Scalar(value))),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = loaded_text().prop_map(|key| key.replace('{', ""));
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Tree::List),
            // Sorted, as the maps of serde_json are: the first fault is then the same for the model and the product.
            proptest::collection::btree_map(key, inner, 0..5).prop_map(|map| Tree::Map(map.into_iter().collect())),
        ]
    })
}

fn parameters() -> impl Strategy<Value = Value> {
    let value = prop_oneof![2 => data(), 1 => scalar(), 2 => loaded_text().prop_map(Value::from)];
    proptest::collection::vec(value, PARAMETERS)
        .prop_map(|values| values.into_iter().enumerate().map(|(at, value)| (format!("p{at}"), value)).collect())
}

fn expression(which: usize, how: usize) -> String {
    match how {
        0 => format!("parameters.p{which}"),
        1 => format!(" parameters['p{which}']\n"),
        2 => format!("true ? parameters.p{which} : '}}'"),
        3 => format!("[parameters.p{which}][0]"),
        4 => format!("{{'${{}}': parameters.p{which}}}['${{}}'] // }} and \"\n"),
        _ => format!("\"\"\"}}\"\"\" == r'\\' ? null : parameters[\"p\" + string({which})]"),
    }
}

/// The template as its author writes it.
fn written(tree: &Tree) -> Value {
    match tree {
        Tree::Scalar(value) => value.clone(),
        Tree::List(elements) => elements.iter().map(written).collect(),
        Tree::Map(entries) => Value::Object(entries.iter().map(|(key, entry)| (key.clone(), written(entry))).collect()),
        Tree::Text(pieces) => {
            let text: String = (pieces.iter())
                .map(|piece| match piece {
                    Piece::Fixed(text) => text.clone(),
                    Piece::Escaped => "$${".to_owned(),
                    Piece::Dollar => "$ ".to_owned(),
                    Piece::Parameter(which, how) => format!("${{{}}}", expression(*which, *how)),
                })
                .collect();
            Value::String(text)
        }
    }
}

fn below(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// What must come out: nothing for an entry that is left out, or the place where a value has no place in a text.
fn rendered(tree: &Tree, parameters: &Value, pointer: &str) -> Result<Option<Value>, String> {
    let value_of = |which: &usize| &parameters[format!("p{which}")];
    Ok(Some(match tree {
        Tree::Scalar(value) => value.clone(),
        Tree::Text(pieces) => {
            if let [Piece::Parameter(which, _)] = pieces.as_slice() {
                let value = value_of(which).clone();
                return Ok((!value.is_null()).then_some(value));
            }
            let mut text = String::new();
            for piece in pieces {
                match piece {
                    Piece::Fixed(fixed) => text.push_str(fixed),
                    Piece::Escaped => text.push_str("${"),
                    Piece::Dollar => text.push_str("$ "),
                    Piece::Parameter(which, _) => match value_of(which) {
                        Value::String(inner) => text.push_str(inner),
                        Value::Bool(inner) => text.push_str(&inner.to_string()),
                        Value::Number(inner) if !inner.is_f64() => text.push_str(&inner.to_string()),
                        _ => return Err(pointer.to_owned()),
                    },
                }
            }
            Value::String(text)
        }
        Tree::List(elements) => {
            let mut list = Vec::new();
            for (at, element) in elements.iter().enumerate() {
                list.extend(rendered(element, parameters, &below(pointer, &at.to_string()))?);
            }
            Value::Array(list)
        }
        Tree::Map(entries) => {
            let mut map = Map::new();
            for (key, entry) in entries {
                if let Some(value) = rendered(entry, parameters, &below(pointer, key))? {
                    map.insert(key.clone(), value);
                }
            }
            Value::Object(map)
        }
    }))
}

fn compile(template: &Value, limits: &TemplateLimits) -> Result<Template, TemplateError> {
    Template::compile(template, &["parameters", "name"], limits)
}

fn bindings(parameters: &Value) -> Bindings {
    Bindings::new().with("parameters", parameters).unwrap().with("name", &json!("pg")).unwrap()
}

fn length(value: &Value) -> usize {
    serde_json::to_vec(value).unwrap().len()
}

/// Whatever the parameters contain, it stands where the template puts it and changes nothing else.
#[test]
fn what_is_rendered_is_what_was_meant() {
    let values = (tree(), parameters());
    fuzz("template::what_is_rendered_is_what_was_meant", 2_000, &values, |(tree, parameters)| {
        let template = compile(&written(&tree), &TemplateLimits::default()).unwrap();
        let first = template.render(&bindings(&parameters));
        match (rendered(&tree, &parameters, ""), &first) {
            (Ok(Some(expected)), Ok(value)) => prop_assert_eq!(value, &expected),
            (Ok(None), Err(TemplateError { cause: TemplateCause::Nothing, .. })) => {}
            (Err(pointer), Err(TemplateError { pointer: told, cause: TemplateCause::Expression { .. } })) => {
                prop_assert_eq!(told, &pointer);
            }
            (expected, got) => prop_assert!(false, "expected {expected:?}, got {got:?}"),
        }
        prop_assert_eq!(template.render(&bindings(&parameters)), first, "again the same");
        Ok(())
    });
}

/// What is rendered is never larger than allowed, and is refused for its size only when it is about as large.
#[test]
fn what_is_rendered_is_bounded() {
    let wide = prop_oneof![
        Just(json!("${parameters.p0.map(x, [])}")),
        Just(json!("${parameters.p0.map(x, {})}")),
        Just(json!("${parameters.p0.map(x, x)}")),
        Just(json!({"a": ["${parameters.p0.map(x, 9223372036854775807)}", "${parameters.p1}"]})),
        Just(json!({"a": "${parameters.p0.map(x, {'k': parameters.p1})}", "b": "x${parameters.p1}y"})),
        tree().prop_map(|tree| written(&tree)),
    ];
    let list = (0_usize..300).prop_map(|n| Value::from(vec![Value::Null; n]));
    let text = ("[\\x00-\\x1f\"\\\\a是]{0,8}", 0_usize..100).prop_map(|(text, times)| Value::from(text.repeat(times)));
    let values = (wide, prop_oneof![list.clone(), list, data().boxed()], text, scalar(), 0_usize..4_000);
    fuzz("template::what_is_rendered_is_bounded", 1_000, &values, |(template, p0, p1, p2, max)| {
        let limits = TemplateLimits { rendered_bytes: max, ..TemplateLimits::default() };
        let parameters = json!({"p0": p0, "p1": p1, "p2": p2, "p3": null});
        let bounded = compile(&template, &limits).unwrap().render(&bindings(&parameters));
        let roomy = TemplateLimits { rendered_bytes: usize::MAX, ..limits };
        let whole = compile(&template, &roomy).unwrap().render(&bindings(&parameters));
        match (bounded, whole) {
            (Ok(value), whole) => {
                prop_assert!(length(&value) <= max, "{} bytes of at most {max}", length(&value));
                prop_assert_eq!(Ok(value), whole);
            }
            (Err(TemplateError { cause: TemplateCause::TooLarge { what, .. }, .. }), Ok(whole)) => {
                prop_assert_eq!(what, "bytes rendered");
                // Commas and names of what is left out count, too.
                prop_assert!(length(&whole) + length(&template) > max, "{} bytes of at most {max}", length(&whole));
            }
            // Whatever else is wrong is found before or after the bound, as it comes.
            (Err(_), _) => {}
        }
        Ok(())
    });
}

/// A fault that is planted in a good template.
#[derive(Clone, Debug)]
enum Fault {
    Unclosed(String),
    Code(&'static str),
    Inside(&'static str),
    Key,
}

/// The places of all scalars and texts, and of all maps.
fn places(value: &Value, pointer: &str, leaves: &mut Vec<String>, maps: &mut Vec<String>) {
    match value {
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                places(element, &below(pointer, &at.to_string()), leaves, maps);
            }
        }
        Value::Object(entries) => {
            maps.push(pointer.to_owned());
            for (key, entry) in entries {
                places(entry, &below(pointer, key), leaves, maps);
            }
        }
        _ => leaves.push(pointer.to_owned()),
    }
}

#[test]
fn a_fault_is_told_with_its_place() {
    let fault = prop_oneof![
        loaded_text().prop_map(|text| Fault::Unclosed(text.replace(['$', '}', '"', '\'', '/'], ""))),
        proptest::sample::select(vec![
            "nothing",
            "1 +",
            "",
            "1 / 0",
            "parameters.gone",
            "matches('a', 'a')",
            "type(1)"
        ])
        .prop_map(Fault::Code),
        proptest::sample::select(vec!["[1]", "null", "1.5", "{'a': 1}", "9223372036854775807 + 1"])
            .prop_map(Fault::Inside),
        Just(Fault::Key),
    ];
    let values = (tree(), proptest::collection::vec("[a-z$ ]{0,6}", PARAMETERS), fault, any::<Index>());
    fuzz("template::a_fault_is_told_with_its_place", 2_000, &values, |(tree, texts, fault, at)| {
        let parameters: Value =
            texts.into_iter().enumerate().map(|(at, text)| (format!("p{at}"), json!(text))).collect();
        let mut template = json!({"good": written(&tree), "list": [1]});
        let (mut leaves, mut maps) = (Vec::new(), Vec::new());
        places(&template, "", &mut leaves, &mut maps);
        let planted = if matches!(fault, Fault::Key) {
            let map = maps[at.index(maps.len())].clone();
            template.pointer_mut(&map).unwrap().as_object_mut().unwrap().insert("x-${name}".to_owned(), json!(1));
            below(&map, "x-${name}")
        } else {
            let leaf = leaves[at.index(leaves.len())].clone();
            *template.pointer_mut(&leaf).unwrap() = Value::String(match &fault {
                Fault::Unclosed(text) => format!("a${{{text}"),
                Fault::Code(code) => format!("${{{code}}}"),
                Fault::Inside(code) => format!("a ${{{code}}}"),
                Fault::Key => unreachable!(),
            });
            leaf
        };
        let error = compile(&template, &TemplateLimits::default())
            .and_then(|template| template.render(&bindings(&parameters)))
            .unwrap_err();
        prop_assert_eq!(&error.pointer, &planted, "{}", error);
        prop_assert!(error.to_string().starts_with(&format!("template {planted}: ")), "{error}");
        Ok(())
    });
}

/// Texts of the very letters that a template looks at: an answer, the same every time, at the place of the text.
#[test]
fn no_text_confuses_the_scanner() {
    let letter = proptest::sample::select(vec![
        "$", "${", "$${", "{", "}", "\"", "'", "'''", "\"\"\"", "r", "R", "b", "/", "//", "\\", "\n", "a", "1", "name",
        "+", "是",
    ]);
    let text = proptest::collection::vec(letter, 0..24).prop_map(|letters| letters.concat());
    fuzz("template::no_text_confuses_the_scanner", 5_000, &text, |text| {
        let run = || {
            compile(&json!({"a": [text]}), &TemplateLimits::default())
                .and_then(|template| template.render(&bindings(&json!({}))))
        };
        let outcome = run();
        prop_assert_eq!(&run(), &outcome);
        match outcome {
            Err(error) => prop_assert_eq!(&error.pointer, "/a/0", "{}", error),
            Ok(value) => prop_assert!(value["a"].as_array().unwrap().len() <= 1, "{value}"),
        }
        Ok(())
    });
}
