//! The world as custom resources.

use anyhow::{Context as _, Result};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::fixtures::{UnitRow, divisions, systems, units};
use crate::lab::{people, project_root};

const API: &str = "zhengyun.io/v1alpha1";

fn object(value: Value) -> Result<DynamicObject> {
    serde_json::from_value(value).context("an object of the demo")
}

/// Divisions and departments with the roles of the invented people.
pub fn departments() -> Result<Vec<DynamicObject>> {
    divisions()?.iter().chain(&units()?).map(department).collect()
}

fn department(unit: &UnitRow) -> Result<DynamicObject> {
    let short = (unit.short_zh != unit.name_zh).then(|| unit.short_zh.clone());
    let mut zh = json!({ "full": unit.name_zh });
    if let (Some(short), Some(zh)) = (short, zh.as_object_mut()) {
        zh.insert("short".to_owned(), json!(short));
    }
    let mut spec = json!({
        "type": unit.type_, "level": unit.level,
        "displayNames": { "zh-CN": zh, "en": { "full": unit.name_en } }
    });
    if let Some(spec) = spec.as_object_mut() {
        if let Some(parent) = &unit.parent {
            spec.insert("parent".to_owned(), json!(parent));
        }
        if let Some(code) = &unit.code {
            spec.insert("divisionCode".to_owned(), json!(code));
        }
        let roles = roles(&unit.slug)?;
        if !roles.is_empty() {
            spec.insert("roles".to_owned(), Value::Array(roles));
        }
    }
    object(json!({ "apiVersion": API, "kind": "Department", "metadata": { "name": unit.slug }, "spec": spec }))
}

/// Clerks and heads by their department's group; local reviewers by their division's.
fn roles(slug: &str) -> Result<Vec<Value>> {
    let group = format!("dept:{slug}");
    let mut roles = Vec::new();
    for (prefix, role) in [("clerk-", "Clerk"), ("head-", "Head")] {
        let names: Vec<Value> = people()?
            .iter()
            .filter(|p| p.groups.contains(&group) && p.username.starts_with(prefix))
            .map(|p| json!({ "kind": "User", "name": p.username }))
            .collect();
        if !names.is_empty() {
            roles.push(json!({ "role": role, "subjects": names }));
        }
    }
    let local = format!("zhengyun:local-reviewers:{slug}");
    if people()?.iter().any(|p| p.groups.contains(&local)) {
        roles.push(
            json!({ "role": "LocalReviewer", "scope": "Subtree", "subjects": [{ "kind": "Group", "name": local }] }),
        );
    }
    Ok(roles)
}

/// The two sites of the demo, with invented capacities.
pub fn sites() -> Result<Vec<DynamicObject>> {
    [("hohhot", "呼和浩特节点（虚构）", "Hohhot site (invented)", "40.84", "111.75", "480"), ("ulanqab", "乌兰察布节点（虚构）", "Ulanqab site (invented)", "40.99", "113.13", "960")]
        .into_iter()
        .map(|(name, zh, en, north, east, cpu)| {
            object(json!({
                "apiVersion": API, "kind": "Site", "metadata": { "name": name },
                "spec": {
                    "displayNames": { "zh-CN": { "full": zh }, "en": { "full": en } },
                    "location": { "address": zh, "latitude": north, "longitude": east },
                    "failureDomains": { "building": format!("{name}-a"), "power": format!("{name}-grid"), "carrier": "invented" },
                    "architectures": ["amd64", "arm64"], "protectionLevel": 3,
                    "zones": ["GovernmentExtranet", "Internet"],
                    "capacity": { "cpu": cpu, "memory": "4Ti", "storage.block": "100Ti", "storage.object": "500Ti", "storage.backup": "100Ti" },
                    "delivery": { "direct": { "secretName": format!("site-{name}") } }
                }
            }))
        })
        .collect()
}

/// Quotas at three levels: region, league, department.
pub fn quotas() -> Result<Vec<DynamicObject>> {
    let line = |site: &str, cpu: &str, memory: &str, block: &str, bucket: &str| json!({ "site": site, "hard": { "cpu": cpu, "memory": memory, "storage.block": block, "storage.object": bucket, "storage.backup": block } });
    let quota = |name: &str, unlisted: &str, limits: Vec<Value>| {
        object(json!({
            "apiVersion": API, "kind": "DepartmentQuota", "metadata": { "name": name },
            "spec": { "limits": limits, "unlistedChildren": unlisted }
        }))
    };
    vec![
        quota(
            "neimenggu",
            "Refuse",
            vec![line("hohhot", "400", "3Ti", "80Ti", "400Ti"), line("ulanqab", "800", "3Ti", "80Ti", "400Ti")],
        ),
        quota("hohhot", "Share", vec![line("hohhot", "24", "96Gi", "4Ti", "8Ti")]),
        quota("ulanqab", "Share", vec![line("ulanqab", "24", "96Gi", "4Ti", "8Ti")]),
        quota(
            "emergency",
            "Refuse",
            vec![line("hohhot", "64", "256Gi", "10Ti", "20Ti"), line("ulanqab", "64", "256Gi", "10Ti", "20Ti")],
        ),
        quota(
            "finance",
            "Refuse",
            vec![line("hohhot", "64", "256Gi", "10Ti", "20Ti"), line("ulanqab", "64", "256Gi", "10Ti", "20Ti")],
        ),
    ]
    .into_iter()
    .collect()
}

/// Information systems, in the namespaces of their departments.
pub fn information_systems() -> Result<Vec<DynamicObject>> {
    let mut all: Vec<(String, String, String, i32)> =
        systems()?.into_iter().map(|s| (s.department, s.slug, s.name_zh, s.level)).collect();
    all.push((
        "hohhot-xinchengqu-education".to_owned(),
        "school-portal".to_owned(),
        "新城区教育服务平台".to_owned(),
        2,
    ));
    all.push(("ulanqab-emergency".to_owned(), "flood-watch".to_owned(), "防汛值守系统".to_owned(), 2));
    all.into_iter()
        .map(|(department, slug, name, level)| {
            object(json!({
                "apiVersion": API, "kind": "InformationSystem",
                "metadata": { "name": slug, "namespace": format!("dept-{department}") },
                "spec": {
                    "displayNames": { "zh-CN": { "full": name }, "en": { "full": slug } },
                    "protection": { "level": level }, "dataClass": if level >= 3 { "Important" } else { "General" },
                    "zone": "GovernmentExtranet"
                }
            }))
        })
        .collect()
}

/// Every document of the YAML files in a folder of the project, such as `catalog/items`.
pub fn kind_documents(folder: &str) -> Result<Vec<DynamicObject>> {
    let folder = project_root().join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| format!("read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    paths.sort();
    let mut objects = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for document in text.split("\n---") {
            let value: Value = serde_saphyr::from_str(document).with_context(|| format!("read {}", path.display()))?;
            if !value.is_null() {
                objects.push(object(value)?);
            }
        }
    }
    Ok(objects)
}
