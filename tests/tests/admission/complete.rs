//! Whether the tables are complete: every rule of every shipped policy and definition was heard to refuse somebody.

use anyhow::Result;
use serde_json::Value;
use zhengyun_tests::lab::{install, project_root};

/// Rules that nothing can reach while the others stand.
const UNREACHABLE: &[(&str, &str)] = &[
    // The guard of the fence lets no such epoch be written.
    ("zhengyun-site-fence", "data.epoch of ConfigMap zhengyun-system/zhengyun-fence is not a number"),
    // The schema of metadata.name has the same bound, and speaks first.
    ("approvalpolicies.zhengyun.io", "metadata.name must be at most 63 characters"),
    ("approvals.zhengyun.io", "metadata.name must be at most 63 characters"),
    ("resourcegrants.zhengyun.io", "metadata.name must be at most 63 characters"),
];

/// What nobody heard, of everything that the manifests say to those they refuse.
pub(crate) fn unheard(refusals: &[String]) -> Result<(usize, Vec<String>)> {
    let mut rules = Vec::new();
    for cluster in ["hub", "site"] {
        for policy in install::read_file(&project_root().join("deploy").join(cluster).join("policies.yaml"))? {
            let name = policy.metadata.name.clone().unwrap_or_default();
            for rule in policy.data.pointer("/spec/validations").and_then(Value::as_array).into_iter().flatten() {
                rules.extend(said(rule).into_iter().map(|text| (name.clone(), text)));
            }
        }
    }
    for definition in install::read_folder(&project_root().join("crds/yaml"))? {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let mut texts = Vec::new();
        messages(&definition.data, &mut texts);
        texts.sort();
        texts.dedup();
        rules.extend(texts.into_iter().map(|text| (name.clone(), text)));
    }
    let unheard = rules
        .iter()
        .filter(|(_, text)| !refusals.iter().any(|refusal| refusal.contains(text)))
        .filter(|(name, text)| !UNREACHABLE.iter().any(|(of, begins)| name == of && text.starts_with(begins)))
        .map(|(name, text)| format!("{name}: no line makes it say {text:?}"))
        .collect();
    Ok((rules.len(), unheard))
}

/// What a rule of a policy says: its message, or every text in the expression that makes it.
fn said(rule: &Value) -> Vec<String> {
    let text = |key: &str| rule.get(key).and_then(Value::as_str);
    match text("messageExpression") {
        Some(expression) => expression.split('"').skip(1).step_by(2).map(str::to_owned).collect(),
        None => text("message").into_iter().map(str::to_owned).collect(),
    }
}

/// The messages of every rule in a schema, however deep.
fn messages(node: &Value, texts: &mut Vec<String>) {
    match node {
        Value::Object(map) => {
            for rule in map.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                texts.extend(rule.get("message").and_then(Value::as_str).map(str::to_owned));
            }
            map.values().for_each(|inner| messages(inner, texts));
        }
        Value::Array(list) => list.iter().for_each(|inner| messages(inner, texts)),
        _ => {}
    }
}
