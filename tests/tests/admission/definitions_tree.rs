//! The rules of the definitions: departments, quotas, sites, written by the cloud administrator.

use serde_json::{Value, json};

use super::case::{Case, create, fields, merge, no, replace, yes};
use super::objects::{at, department, long, quota, site, with};
use super::who::ADMIN;

/// Texts that are amounts.
const AMOUNTS: &[&str] = &["0", "4", "0.5", "500m", "10Gi", "1e3", "100Ei", "+4"];
/// Texts that are none, or less than nothing.
const NO_AMOUNTS: &[&str] = &[
    "-1",
    "-500m",
    "-0.1Gi",
    "four",
    "4 cores",
    "1,5",
    "0x10",
    "NaN",
    "Infinity",
    "1Gi2",
    " 4",
    "4\n",
    "٤",
    "Unlimited",
];
/// What a refused amount is told.
const AMOUNT: &str = "must be a Kubernetes quantity that is not negative, such as 4, 500m or 10Gi";

pub(crate) fn departments() -> Vec<Case> {
    let base = department("admission");
    let person = |kind: &str, name: &str| json!([{ "role": "Clerk", "subjects": [{ "kind": kind, "name": name }] }]);
    let many = |count: usize| Value::Array(vec![json!({ "kind": "User", "name": "a" }); count]);
    let mut cases = fields(
        ADMIN,
        &base,
        &[
            ("/metadata/name", json!(long(58)), None),
            ("/metadata/name", json!(long(59)), Some("at most 58 characters")),
            ("/metadata/name", json!("a.b"), Some("must be a DNS label")),
            ("/metadata/name", json!("A"), Some("metadata.name: Invalid value")),
            ("/spec/parent", json!("hohhot"), None),
            ("/spec/parent", Value::Null, Some("spec.parent is required, except for the region itself")),
            ("/spec/parent", json!("admission"), Some("must name another department")),
            ("/spec/parent", json!(""), Some("spec.parent in body should be at least 1 chars")),
            ("/spec/parent", json!(long(59)), Some("spec.parent: Too long")),
            ("/spec/type", json!("Company"), Some("spec.type: Unsupported value")),
            ("/spec/type", Value::Null, Some("spec.type: Required value")),
            ("/spec/type", json!("Enterprise"), None),
            ("/spec/level", json!("County"), Some("spec.level: Unsupported value")),
            ("/spec/level", Value::Null, Some("spec.level: Required value")),
            ("/spec/level", json!("Township"), None),
            ("/spec/displayNames", Value::Null, Some("spec.displayNames: Required value")),
            ("/spec/displayNames/en", Value::Null, Some("spec.displayNames.en: Required value")),
            ("/spec/displayNames/zh-CN/full", json!(""), Some("should be at least 1 chars")),
            ("/spec/displayNames/zh-CN/full", json!("政".repeat(128)), None),
            ("/spec/displayNames/zh-CN/full", json!("政".repeat(129)), Some("spec.displayNames.zh-CN.full: Too long")),
            ("/spec/displayNames/zh-CN/short", json!(long(65)), Some("spec.displayNames.zh-CN.short: Too long")),
            ("/spec/displayNames/mn-Mong", json!({ "full": "ᠣᠨᠴᠠᠭᠠᠢ" }), None),
            ("/spec/divisionCode", json!("150100"), None),
            ("/spec/divisionCode", json!("15010"), Some("spec.divisionCode in body should match")),
            ("/spec/divisionCode", json!("1501000000000"), Some("spec.divisionCode: Too long")),
            ("/spec/divisionCode", json!("15010x"), Some("spec.divisionCode in body should match")),
            ("/spec/creditCode", json!("11150000MB1957883A"), None),
            ("/spec/creditCode", json!("11150000MB1957883"), Some("spec.creditCode in body should match")),
            ("/spec/creditCode", json!("11150000MB195788IO"), Some("spec.creditCode in body should match")),
            ("/spec/roles", person("User", "somebody"), None),
            ("/spec/roles", person("ServiceAccount", "somebody"), Some("subjects[0].kind: Unsupported value")),
            ("/spec/roles", person("Group", "system:authenticated"), Some("are Kubernetes' own")),
            ("/spec/roles", person("User", "system:anonymous"), Some("are Kubernetes' own")),
            ("/spec/roles", person("User", ""), Some("should be at least 1 chars")),
            (
                "/spec/roles",
                json!([{ "role": "Owner", "subjects": many(1) }]),
                Some("roles[0].role: Unsupported value"),
            ),
            ("/spec/roles", json!([{ "role": "Head", "subjects": [] }]), Some("should have at least 1 items")),
            ("/spec/roles", json!([{ "role": "Head", "subjects": many(64) }]), None),
            ("/spec/roles", json!([{ "role": "Head", "subjects": many(65) }]), Some("subjects: Too many")),
            (
                "/spec/roles",
                json!([{ "role": "Head", "scope": "Everywhere", "subjects": many(1) }]),
                Some("scope: Unsupported value"),
            ),
            (
                "/spec/roles",
                Value::Array(vec![json!({ "role": "Head", "subjects": many(1) }); 33]),
                Some("spec.roles: Too many"),
            ),
        ],
    );
    let region = with(with(base.clone(), "/spec/type", json!("Division")), "/spec/level", json!("Region"));
    cases.push(no(ADMIN, "the region itself with a parent", create(region.clone()), "except for the region itself"));
    cases.push(yes(ADMIN, "the region itself", create(with(region, "/spec/parent", Value::Null))));
    let itself = json!({ "spec": { "parent": "emergency" } });
    let here = at("Department", "", "emergency");
    cases.push(no(ADMIN, "a department under itself", merge(&here, itself), "must name another department"));
    cases
}

pub(crate) fn quotas() -> Vec<Case> {
    let base = quota("admission");
    let hard = |pairs: Value| json!([{ "site": "hohhot", "hard": pairs }]);
    let many = |count: usize| (0..count).map(|n| (format!("r{n}"), json!("1"))).collect::<serde_json::Map<_, _>>();
    let sites = |count: usize| {
        (0..count).map(|n| json!({ "site": format!("s{n}"), "hard": { "cpu": "1" } })).collect::<Value>()
    };
    let mut cases = fields(
        ADMIN,
        &base,
        &[
            ("/metadata/name", json!(long(58)), None),
            ("/metadata/name", json!(long(59)), Some("at most 58 characters")),
            ("/spec/limits", hard(json!({ "cpu": "unlimited" })), None),
            ("/spec/limits", hard(json!({ "cpu": 4 })), Some("must be of type string")),
            ("/spec/limits", hard(json!({ "cpu": "" })), Some("should be at least 1 chars")),
            ("/spec/limits", hard(json!({ "cpu": "1".repeat(41) })), Some("Too long")),
            ("/spec/limits", hard(json!({ "CPU": "1" })), Some("resource names are lower-case letters")),
            ("/spec/limits", hard(json!({ "cpu_cores": "1" })), Some("resource names are lower-case letters")),
            ("/spec/limits", hard(json!({ "-cpu": "1" })), Some("resource names are lower-case letters")),
            ("/spec/limits", hard(json!({ "storage.block": "1" })), None),
            ("/spec/limits", hard(Value::Object([(long(64), json!("1"))].into_iter().collect())), Some("at most 63")),
            ("/spec/limits", hard(Value::Object(many(24))), None),
            ("/spec/limits", hard(Value::Object(many(25))), Some("Too many")),
            ("/spec/limits", sites(32), None),
            ("/spec/limits", sites(33), Some("spec.limits: Too many")),
            ("/spec/limits/0/site", json!(""), Some("should be at least 1 chars")),
            ("/spec/limits/0/site", json!(long(41)), Some("site: Too long")),
            ("/spec/limits/0/hard", Value::Null, Some("hard: Required value")),
            (
                "/spec/limits",
                json!([{ "site": "hohhot", "hard": {} }, { "site": "hohhot", "hard": {} }]),
                Some("Duplicate value"),
            ),
            ("/spec/unlistedChildren", json!("Maybe"), Some("spec.unlistedChildren: Unsupported value")),
            ("/spec/overcommitPercent", json!(100), None),
            ("/spec/overcommitPercent", json!(1000), None),
            ("/spec/overcommitPercent", json!(99), Some("should be greater than or equal to 100")),
            ("/spec/overcommitPercent", json!(1001), Some("should be less than or equal to 1000")),
            ("/spec/overcommitPercent", json!(150.5), Some("must be of type integer")),
            ("/spec/overcommitPercent", json!("150"), Some("must be of type integer")),
        ],
    );
    for amount in AMOUNTS {
        let what = format!("a limit of {amount:?}");
        cases.push(yes(ADMIN, what, create(with(base.clone(), "/spec/limits/0/hard/cpu", json!(amount)))));
    }
    for amount in NO_AMOUNTS {
        let what = format!("a limit of {amount:?}");
        cases.push(no(ADMIN, what, create(with(base.clone(), "/spec/limits/0/hard/cpu", json!(amount))), AMOUNT));
    }
    cases
}

pub(crate) fn sites() -> Vec<Case> {
    let base = site("admission");
    let roots = |folder: &str, subpath: &str| {
        let root = json!({ "name": "scans", "department": "finance", "folder": folder, "subpath": subpath });
        json!({ "fileRoots": [root] })
    };
    let server = |host: &str, port: i32, template: &str| json!({ "host": host, "port": port, "template": template, "secretName": "drill-server" });
    let mut cases = fields(
        ADMIN,
        &base,
        &[
            ("/metadata/name", json!(long(40)), None),
            ("/metadata/name", json!(long(41)), Some("at most 40 characters")),
            ("/metadata/name", json!("a.b"), Some("must be a DNS label")),
            ("/spec/drillServer", server("drills.example", 5432, "with_postgis"), None),
            ("/spec/drillServer", server("/var/run/postgresql", 5432, "template0"), Some("host in body should match")),
            ("/spec/drillServer", server("drills.example", 65536, "template0"), Some("less than or equal to 65535")),
            ("/spec/drillServer", server("drills.example", 5432, "a\"; --"), Some("template in body should match")),
            ("/spec/externalSources", roots("exports", ""), None),
            ("/spec/externalSources", roots("exports", "finance/scans"), None),
            ("/spec/externalSources", roots("/srv/exports", ""), Some("folder in body should match")),
            ("/spec/externalSources", roots("exports", "../emergency"), Some("subpath must lie below the folder")),
            ("/spec/externalSources", roots("exports", "/etc"), Some("subpath must lie below the folder")),
            ("/spec/architectures", json!([]), Some("should have at least 1 items")),
            ("/spec/architectures", json!(["riscv64"]), Some("architectures[0]: Unsupported value")),
            ("/spec/architectures", json!(["loong64"]), None),
            ("/spec/protectionLevel", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/protectionLevel", json!(1), None),
            ("/spec/protectionLevel", json!(4), None),
            ("/spec/protectionLevel", json!(5), Some("should be less than or equal to 4")),
            ("/spec/zones", json!([]), Some("should have at least 1 items")),
            ("/spec/zones", json!(["Intranet"]), Some("zones[0]: Unsupported value")),
            ("/spec/capacity", Value::Null, Some("spec.capacity: Required value")),
            ("/spec/capacity", json!({ "cpu": "unlimited" }), Some(AMOUNT)),
            ("/spec/capacity", json!({ "Cpu": "1" }), Some("resource names are lower-case letters")),
            ("/spec/location/address", Value::Null, Some("spec.location.address: Required value")),
            ("/spec/location/latitude", json!("40.84"), None),
            ("/spec/location/latitude", json!("40.84N"), Some("spec.location.latitude in body should match")),
            ("/spec/location/longitude", json!("-111.75"), None),
            ("/spec/location/longitude", json!("1111"), Some("spec.location.longitude in body should match")),
            ("/spec/failureDomains/power", json!(long(65)), Some("spec.failureDomains.power: Too long")),
            ("/spec/delivery", Value::Null, Some("spec.delivery: Required value")),
            ("/spec/delivery", json!({}), Some("spec.delivery")),
            ("/spec/delivery/direct/secretName", json!(""), Some("should be at least 1 chars")),
            ("/spec/delivery/direct/secretName", json!(long(64)), Some("secretName: Too long")),
            ("/spec/expectedIdentity", json!(long(129)), Some("spec.expectedIdentity: Too long")),
        ],
    );
    for amount in AMOUNTS {
        let what = format!("a capacity of {amount:?}");
        cases.push(yes(ADMIN, what, create(with(base.clone(), "/spec/capacity/cpu", json!(amount)))));
    }
    for amount in NO_AMOUNTS {
        let what = format!("a capacity of {amount:?}");
        cases.push(no(ADMIN, what, create(with(base.clone(), "/spec/capacity/cpu", json!(amount))), AMOUNT));
    }
    // A PUT that says nothing new is a write like any other.
    cases.push(no(ADMIN, "a Site replaced without a resourceVersion", replace(site("hohhot")), "resourceVersion"));
    cases
}
