//! Templates render structure, and nothing that a value contains can change it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_domain::expression::Bindings;
use zhengyun_domain::template::{Template, TemplateError, TemplateLimits};

fn compile(template: &Value) -> Result<Template, TemplateError> {
    Template::compile(template, &["parameters", "name"], &TemplateLimits::default())
}

fn bindings(parameters: &Value) -> Bindings {
    Bindings::new().with("parameters", parameters).unwrap().with("name", &json!("pg")).unwrap()
}

fn render(template: &Value, parameters: &Value) -> Result<Value, TemplateError> {
    compile(template)?.render(&bindings(parameters))
}

#[test]
fn a_postgresql_cluster() {
    let template: Value = serde_saphyr::from_str(
        r#"
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  name: ${name}
  annotations:
    note: "asked for ${parameters.instances} instances of ${quantity(parameters.storage)}"
spec:
  instances: ${parameters.instances}
  imageName: "${has(parameters.version) ? 'postgresql:' + string(parameters.version) : null}"
  storage:
    size: ${quantity(parameters.storage)}
  resources:
    limits: "${{'cpu': quantity(parameters.cpu), 'memory': '2Gi'}}"
  bootstrap:
    initdb:
      owner: null
  tolerations: ["${parameters.spot ? {'key': 'spot', 'operator': 'Exists'} : null}", {key: fixed}]
  shell: "echo $${HOME} costs $5"
"#,
    )
    .unwrap();
    let parameters = json!({"instances": 3, "storage": "10240Mi", "cpu": "500m", "spot": false});
    assert_eq!(
        render(&template, &parameters).unwrap(),
        json!({
            "apiVersion": "postgresql.cnpg.io/v1",
            "kind": "Cluster",
            "metadata": {"name": "pg", "annotations": {"note": "asked for 3 instances of 10Gi"}},
            "spec": {
                "instances": 3,
                "storage": {"size": "10Gi"},
                "resources": {"limits": {"cpu": "500m", "memory": "2Gi"}},
                "bootstrap": {"initdb": {"owner": null}},
                "tolerations": [{"key": "fixed"}],
                "shell": "echo ${HOME} costs $5",
            }
        })
    );
}

#[rstest]
#[case("${1 + 1}", json!(2))]
#[case("${'a'}", json!("a"))]
#[case(" ${1}", json!(" 1"))]
#[case("${[1, 'x']}", json!([1, "x"]))]
#[case("${{'a': {'b': 1}}.a}", json!({"b": 1}))]
#[case("${'}'}", json!("}"))]
#[case("${\"}\" + '{'}", json!("}{"))]
#[case("${'''it's }''' + r'\\'}", json!("it's }\\"))]
#[case("${'\\'}'}", json!("'}"))]
#[case("${1 // the } of a comment\n + 1}", json!(2))]
#[case("a${'b'}c${'d'}", json!("abcd"))]
#[case("$${name}", json!("${name}"))]
#[case("$$${name}", json!("$${name}"))]
#[case("cost: $5 {}", json!("cost: $5 {}"))]
#[case("$", json!("$"))]
#[case("", json!(""))]
#[case("是${name}云", json!("是pg云"))]
#[case("${true}-${1u}", json!("true-1"))]
fn strings(#[case] text: &str, #[case] expected: Value) {
    assert_eq!(render(&json!({"field": text}), &json!({})).unwrap(), json!({"field": expected}));
}

#[rstest]
#[case(json!({"a": [{"b": "${name"}]}), "template /a/0/b: \"${\" without its \"}\"")]
#[case(json!({"a": "${'}"}), "template /a: \"${\" without its \"}\"")]
#[case(json!({"${name}": 1}), "template /${name}: the key \"${name}\" contains \"${\"")]
#[case(json!({"a/b": "${nothing}"}), "template /a~1b: in ${nothing}: the variable \"nothing\" does not exist here")]
#[case(json!({"a": "${}"}), "template /a: in ${}: not a CEL expression")]
#[case(json!({"a": "x-${[1]}"}), "in ${[1]}: the expression yields a list, but a text")]
#[case(json!({"a": "x-${{}}"}), "in ${{}}: the expression yields a map, but a text")]
#[case(json!({"a": "x-${null}"}), "in ${null}: the expression yields null, but a text")]
#[case(json!({"a": "x-${1.5}"}), "in ${1.5}: the expression yields a floating-point number, but a text")]
#[case(json!({"a": "${parameters.gone}"}), "template /a: in ${parameters.gone}: there is no field \"gone\"")]
#[case(json!("${null}"), "template /: the whole template yields null")]
fn faults_name_the_place_and_the_expression(#[case] template: Value, #[case] expected: &str) {
    let error = render(&template, &json!({})).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn expressions_are_listed_with_their_places() {
    let template = compile(&json!({"a": ["${name}", {"b": "x${1}${2}"}], "c": 1})).unwrap();
    let listed: Vec<(&str, &str)> = template.expressions().iter().map(|(at, e)| (*at, e.source())).collect();
    assert_eq!(listed, [("/a/0", "name"), ("/a/1/b", "1"), ("/a/1/b", "2")]);
}

#[test]
fn structure_and_output_are_bounded() {
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!({"a": deep});
    }
    assert!(compile(&deep).unwrap_err().to_string().contains("more than 32 levels of nesting"));
    let wide: Vec<u32> = (0..5000).collect();
    assert!(compile(&json!(wide)).unwrap_err().to_string().contains("more than 4000 values"));
    let many: Vec<&str> = std::iter::repeat_n("${1}", 501).collect();
    assert!(compile(&json!(many)).unwrap_err().to_string().contains("more than 500 expressions"));
    let large = json!({"text": "x".repeat(300_000)});
    let twice = json!(["${parameters.text}", "${parameters.text}"]);
    let error = render(&twice, &large).unwrap_err().to_string();
    assert_eq!(error, "template /1: more than 524288 bytes rendered");
}

/// Brackets, digits, escapes and quotes are stored and sent as well: the letters alone of each of these would be allowed.
#[rstest]
#[case("${parameters.list.map(x, [])}")]
#[case("${parameters.numbers}")]
#[case("${parameters.escaped}")]
#[case("${parameters.quoted}")]
fn what_is_bounded_is_the_json(#[case] template: &str) {
    let limits = TemplateLimits { rendered_bytes: 4_000, ..TemplateLimits::default() };
    let parameters = json!({"list": vec![0; 1_400], "numbers": vec![i64::MAX; 400], "escaped": "\u{1}".repeat(700),
        "quoted": vec!["a"; 1_001]});
    let compiled = Template::compile(&json!(template), &["parameters"], &limits).unwrap();
    let error = compiled.render(&bindings(&parameters)).unwrap_err().to_string();
    assert_eq!(error, "template /: more than 4000 bytes rendered");
}

#[test]
fn all_expressions_together_have_one_budget() {
    let list: Vec<u32> = (0..4000).collect();
    let costly = "${size(parameters.list.filter(x, x % 2 == 0))}";
    assert!(render(&json!([costly]), &json!({"list": list})).is_ok());
    let error = render(&json!([costly, costly, costly, costly, costly, costly]), &json!({"list": list})).unwrap_err();
    assert!(error.to_string().contains("runs too long"), "{error}");
}

proptest! {
    /// Whatever a text contains, it stands at its place as a text, and nothing else changes.
    #[test]
    fn a_text_never_becomes_structure(text in "\\PC{0,40}|(\\$|\\{|\\}|\"|'|\n|:|-|#|name|[$]\\{){0,12}") {
        let template = json!({"whole": "${parameters.text}", "inside": "<${parameters.text}>", "after": 1});
        let rendered = render(&template, &json!({"text": text})).unwrap();
        prop_assert_eq!(rendered, json!({"whole": text.clone(), "inside": format!("<{text}>"), "after": 1}));
    }

    #[test]
    fn rendering_again_gives_the_same(keys in proptest::collection::btree_map("[a-z]{1,6}", 0_i64..9, 0..12)) {
        let parameters = json!({"map": keys});
        let template = json!({"keys": "${parameters.map.map(k, k)}", "map": "${parameters.map}"});
        let compiled = compile(&template).unwrap();
        let first = compiled.render(&bindings(&parameters)).unwrap().to_string();
        for _ in 0..5 {
            prop_assert_eq!(&compiled.render(&bindings(&parameters)).unwrap().to_string(), &first);
        }
    }

    #[test]
    fn a_template_without_expressions_renders_to_itself(text in "[^$]{0,30}", number: i64, flag: bool) {
        let template = json!({"a": [text, number, flag, null], "b": {"c": {}}});
        prop_assert_eq!(render(&template, &json!({})).unwrap(), template);
    }

    #[test]
    fn no_string_makes_it_panic(text in "(\\$|\\{|\\}|\"|'|r|/|\\\\|\n|a|1){0,20}") {
        let _ = render(&json!({"a": text}), &json!({}));
    }
}
