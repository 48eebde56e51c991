//! The rules of the definitions: catalogue items, approval policies, information systems.

use serde_json::{Map, Value, json};

use super::case::{Case, create, fields, merge, no, yes};
use super::ground::HERE;
use super::objects::{at, item, long, policy, system, with};
use super::who::{ADMIN, CLERK, Who};

fn many(count: usize, value: &str) -> Value {
    Value::Object((0..count).map(|n| (format!("r{n}"), json!(value))).collect::<Map<_, _>>())
}

fn times(count: usize, value: Value) -> Value {
    Value::Array(vec![value; count])
}

pub(crate) fn items() -> Vec<Case> {
    let kind = |group: &str, version: &str, kind: &str| json!([{ "group": group, "version": version, "kind": kind, "plural": "things" }]);
    let residue = |reference: &str| json!([{ "version": "v1", "kind": "PersistentVolume", "plural": "persistentvolumes", "reference": reference }]);
    fields(
        ADMIN,
        &item("admission"),
        &[
            ("/metadata/name", json!(long(40)), None),
            ("/metadata/name", json!(long(41)), Some("at most 40 characters")),
            ("/spec/parameters", Value::Null, Some("spec.parameters: Required value")),
            ("/spec/parameters", json!("object"), Some("must be of type object")),
            ("/spec/charges", Value::Null, Some("spec.charges: Required value")),
            ("/spec/charges", many(24, "quantity('1')"), None),
            ("/spec/charges", many(25, "quantity('1')"), Some("spec.charges: Too many")),
            ("/spec/charges", json!({ "cpu": 1 }), Some("must be of type string")),
            ("/spec/ceilings", many(33, "count"), Some("spec.ceilings: Too many")),
            ("/spec/template", times(17, json!({})), Some("spec.template: Too many")),
            ("/spec/template", json!(["text"]), Some("must be of type object")),
            ("/spec/allowedKinds", kind("", "v1", "Thing"), None),
            ("/spec/allowedKinds", kind("", "", "Thing"), Some("should be at least 1 chars")),
            ("/spec/allowedKinds", kind("", "v1", ""), Some("should be at least 1 chars")),
            ("/spec/allowedKinds", kind(&long(129), "v1", "Thing"), Some("group: Too long")),
            ("/spec/readiness", json!([{ "kind": "Thing", "expression": "" }]), Some("should be at least 1 chars")),
            ("/spec/readiness", json!([{ "kind": "Thing", "expression": long(1025) }]), Some("expression: Too long")),
            ("/spec/residue", residue("/spec/claimRef"), None),
            ("/spec/residue", residue("spec/claimRef"), Some("reference in body should match")),
            ("/spec/residue", residue("/spec/../status"), Some("reference in body should match")),
            ("/spec/network", json!([{ "port": 65535 }]), None),
            ("/spec/network", json!([{ "port": 0 }]), Some("should be greater than or equal to 1")),
            ("/spec/network", json!([{ "port": 65536 }]), Some("should be less than or equal to 65535")),
            ("/spec/network", json!([{}]), Some("port: Required value")),
            ("/spec/sites", times(65, json!("hohhot")), Some("spec.sites: Too many")),
            ("/spec/descriptionZh", json!("政".repeat(1025)), Some("spec.descriptionZh: Too long")),
        ],
    )
}

pub(crate) fn policies() -> Vec<Case> {
    let base = policy("admission", "request.action == 'Create'");
    let stages = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Value>();
    let numbered = |count: usize| (0..count).map(|n| json!({ "name": format!("s{n}") })).collect::<Value>();
    let mut cases = fields(
        ADMIN,
        &base,
        &[
            ("/metadata/name", json!(long(63)), None),
            ("/metadata/name", json!(long(64)), Some("metadata.name")),
            ("/spec/match", json!(""), Some("should be at least 1 chars")),
            ("/spec/match", json!(long(1025)), Some("spec.match: Too long")),
            ("/spec/match", Value::Null, Some("spec.match: Required value")),
            ("/spec/priority", json!(0), None),
            ("/spec/priority", json!(-1), Some("should be greater than or equal to 0")),
            ("/spec/priority", json!(10001), Some("should be less than or equal to 10000")),
            ("/spec/stages", json!([]), Some("either stages or autoApprove")),
            ("/spec/stages", stages(&["technical", "authority"]), None),
            ("/spec/stages", stages(&["technical", "technical"]), Some("Duplicate value")),
            ("/spec/stages", stages(&["Technical"]), Some("name in body should match")),
            ("/spec/stages", stages(&["technical/authority"]), Some("name in body should match")),
            ("/spec/stages", stages(&["*"]), Some("name in body should match")),
            ("/spec/stages", stages(&[&long(41)]), Some("name: Too long")),
            ("/spec/stages", numbered(12), None),
            ("/spec/stages", numbered(13), Some("spec.stages: Too many")),
            ("/spec/stages/0/quorum", json!(9), None),
            ("/spec/stages/0/quorum", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/stages/0/quorum", json!(10), Some("should be less than or equal to 9")),
            ("/spec/stages/0/quorum", json!(1.5), Some("must be of type integer")),
            ("/spec/stages/0/deadlineWorkingDays", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/stages/0/deadlineWorkingDays", json!(251), Some("should be less than or equal to 250")),
            ("/spec/stages/0/onTimeout", json!("Expire"), None),
            ("/spec/stages/0/onTimeout", json!("Approve"), Some("onTimeout: Unsupported value")),
            ("/spec/stages/0/when", json!(""), Some("should be at least 1 chars")),
            ("/spec/autoApprove", json!({ "basis": "a rule" }), Some("either stages or autoApprove")),
            ("/spec/confirm", json!("Nobody"), Some("spec.confirm: Unsupported value")),
            ("/spec/requiredMaterials", times(9, json!("申请公函")), Some("spec.requiredMaterials: Too many")),
            ("/spec/correctionDays", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/correctionDays", json!(366), Some("should be less than or equal to 365")),
            ("/spec/holdSeconds", json!(0), None),
            ("/spec/holdSeconds", json!(-1), Some("should be greater than or equal to 0")),
            ("/spec/holdSeconds", json!(31_536_001), Some("should be less than or equal to 31536000")),
        ],
    );
    let without = with(base, "/spec/stages", Value::Null);
    let basis = |text: &str| with(without.clone(), "/spec/autoApprove", json!({ "basis": text }));
    cases.push(yes(ADMIN, "a policy without stages on its basis", create(basis("a rule"))));
    cases.push(no(ADMIN, "a policy without stages or basis", create(without.clone()), "either stages or autoApprove"));
    cases.push(no(ADMIN, "a policy on an empty basis", create(basis("")), "should be at least 1 chars"));
    cases
}

pub(crate) fn systems() -> Vec<Case> {
    let mut cases = fields(
        CLERK,
        &system(HERE, "admission"),
        &[
            ("/metadata/name", json!(long(58)), None),
            ("/metadata/name", json!(long(59)), Some("at most 58 characters")),
            ("/spec/classified", json!(false), None),
            ("/spec/classified", json!(true), Some("handles state secrets (涉密) may not be registered on this cloud")),
            ("/spec/classified", json!("yes"), Some("must be of type boolean")),
            ("/spec/protection", Value::Null, Some("spec.protection: Required value")),
            ("/spec/protection/level", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/protection/level", json!(1), None),
            ("/spec/protection/level", json!(5), None),
            ("/spec/protection/level", json!(6), Some("should be less than or equal to 5")),
            ("/spec/protection/filingNumber", json!(long(65)), Some("filingNumber: Too long")),
            ("/spec/protection/assessmentExpires", json!("2027-06-30"), None),
            ("/spec/protection/assessmentExpires", json!("2027/06/30"), Some("should match")),
            ("/spec/dataClass", json!("Core"), None),
            ("/spec/dataClass", json!("Secret"), Some("spec.dataClass: Unsupported value")),
            ("/spec/zone", json!("Intranet"), Some("spec.zone: Unsupported value")),
            ("/spec/architecture", json!("x86"), Some("spec.architecture: Unsupported value")),
            ("/spec/owner", json!(long(129)), Some("spec.owner: Too long")),
            ("/spec/displayNames", Value::Null, Some("spec.displayNames: Required value")),
        ],
    );
    let smart = at("InformationSystem", HERE, "smart-emergency");
    let patch = json!({ "spec": { "classified": true } });
    cases.push(no(CLERK, "a system that becomes classified", merge(&smart, patch.clone()), "handles state secrets"));
    cases.push(no(Who::Root, "the same by an administrator", merge(&smart, patch), "handles state secrets"));
    cases
}
