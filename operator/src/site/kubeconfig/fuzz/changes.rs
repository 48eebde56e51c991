//! What is done to a kubeconfig: values replaced, fields renamed, moved and doubled.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::good::{CANARY, FORBIDDEN_TO_CLUSTERS, FORBIDDEN_TO_USERS, jwt, pem};

/// A value that means something where it stands.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let secret = select(vec![
        CANARY.to_owned(),
        jwt(),
        pem("PRIVATE KEY"),
        format!("http://u:{CANARY}@proxy:3128"),
        format!("/{CANARY}"),
    ]);
    let text = select(vec![
        "",
        "c",
        "k",
        "u",
        "/etc/shadow",
        "true",
        "yes",
        "http://10.0.0.1",
        "https://10.0.0.1",
        "unix:///run/x",
        "\n",
        "*x",
    ]);
    let leaf = prop_oneof![
        3 => secret.prop_map(Value::from),
        2 => text.prop_map(Value::from),
        1 => "\\PC{0,20}".prop_map(Value::from),
        1 => select(vec![json!(null), json!(true), json!(false), json!(0), json!(1), json!(-1.5), json!([]), json!({})]),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let field = select(vec![
            "name", "command", "args", "env", "config", "server", "user", "cluster", "exec", "token", "a b",
        ]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(field.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// One thing that is done to a kubeconfig.
#[derive(Clone, Debug)]
pub(super) enum Mutation {
    Set(Value),
    Remove,
    Rename(String),
    MoveTo(Index),
    Double,
    Wrap,
}

pub(super) fn mutation() -> impl Strategy<Value = Mutation> {
    let names: Vec<&str> =
        [FORBIDDEN_TO_USERS, FORBIDDEN_TO_CLUSTERS, &["token", "server", "user", "name", "users", "<<", "", "é"]]
            .concat();
    prop_oneof![
        4 => value().prop_map(Mutation::Set),
        2 => Just(Mutation::Remove),
        3 => select(names).prop_map(|name| Mutation::Rename(name.to_owned())),
        3 => any::<Index>().prop_map(Mutation::MoveTo),
        1 => Just(Mutation::Double),
        1 => Just(Mutation::Wrap),
    ]
}

/// Every place below the root.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let mut below = |token: &str, inner: &Value| {
        let pointer = format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"));
        found.push(pointer.clone());
        places(inner, &pointer, found);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| below(name, inner)),
        Value::Array(elements) => elements.iter().enumerate().for_each(|(at, inner)| below(&at.to_string(), inner)),
        _ => {}
    }
}

/// Takes a value out of its place.
fn take(config: &mut Value, pointer: &str) -> Value {
    let (parent, token) = pointer.rsplit_once('/').unwrap();
    let token = token.replace("~1", "/").replace("~0", "~");
    match config.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(&token).unwrap_or_default(),
        Some(Value::Array(elements)) => elements.remove(token.parse().unwrap()),
        _ => Value::Null,
    }
}

fn put(config: &mut Value, pointer: &str, name: &str, value: Value) {
    match config.pointer_mut(pointer) {
        Some(Value::Object(fields)) => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Array(elements)) => elements.push(value),
        Some(other) => *other = value,
        None => {}
    }
}

pub(super) fn mutate(config: &mut Value, at: Index, mutation: Mutation) {
    let mut found = Vec::new();
    places(config, "", &mut found);
    if found.is_empty() {
        return;
    }
    let pointer = found[at.index(found.len())].clone();
    let (parent, token) = pointer.rsplit_once('/').unwrap();
    match mutation {
        Mutation::Set(value) => *config.pointer_mut(&pointer).unwrap() = value,
        Mutation::Remove => drop(take(config, &pointer)),
        Mutation::Rename(name) => {
            let value = take(config, &pointer);
            put(config, parent, &name, value);
        }
        Mutation::MoveTo(to) => {
            let value = take(config, &pointer);
            put(config, &found[to.index(found.len())], token, value);
        }
        Mutation::Double => {
            let value = config.pointer(&pointer).unwrap().clone();
            put(config, parent, &format!("{token}2"), value);
        }
        Mutation::Wrap => {
            let value = take(config, &pointer);
            put(config, parent, token, json!([value]));
        }
    }
}
