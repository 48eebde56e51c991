//! The rules of the definitions: grants and ledgers, and the status of what is charged, as the operator writes them.

use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::case::{Case, fields, no, status, yes};
use super::ground::{Ground, HERE};
use super::objects::{at, long, object};
use super::who::{OPERATOR, Who};

const SEQUENCE: &str = "status.charge.sequence never falls";
const BOOKS: &str = "status.epoch and status.sequence never fall";
const REVOKED: &str = "a revoked grant stays revoked";

pub(crate) fn grants() -> Vec<Case> {
    let spec = json!({
        "department": "emergency", "system": "smart-emergency", "site": "hohhot", "revision": 1, "class": "Standard",
        "request": { "name": "r", "uid": "u" }, "charge": { "cpu": "1" }, "bundle": {}
    });
    let base = object("ResourceGrant", HERE, "admission", &json!({ "spec": spec }));
    let kinds = json!({ "version": "v1", "kind": "Thing", "plural": "things" });
    fields(
        OPERATOR,
        &base,
        &[
            ("/metadata/name", json!(long(63)), None),
            ("/metadata/name", json!(long(64)), Some("metadata.name")),
            ("/spec/department", json!(""), Some("should be at least 1 chars")),
            ("/spec/site", json!(long(41)), Some("spec.site: Too long")),
            ("/spec/revision", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/revision", json!(1.5), Some("must be of type integer")),
            ("/spec/class", json!("Eternal"), Some("spec.class: Unsupported value")),
            ("/spec/request", json!({ "name": "r" }), Some("spec.request.uid: Required value")),
            ("/spec/charge", json!({ "cpu": "-1" }), Some("must be a Kubernetes quantity that is not negative")),
            ("/spec/charge", json!({ "cpu": "unlimited" }), Some("must be a Kubernetes quantity that is not negative")),
            ("/spec/charge", json!({ "cpu": "some" }), Some("must be a Kubernetes quantity that is not negative")),
            ("/spec/bundle", Value::Null, Some("spec.bundle: Required value")),
            ("/spec/bundle/objects", Value::Array(vec![json!({}); 257]), Some("spec.bundle.objects: Too many")),
            ("/spec/bundle/kinds", Value::Array(vec![kinds; 33]), Some("spec.bundle.kinds: Too many")),
            (
                "/spec/revocation",
                json!({ "request": { "name": "r", "uid": "u" }, "disposition": "Delete", "holdUntil": "soon" }),
                Some("holdUntil"),
            ),
        ],
    )
}

pub(crate) fn ledgers() -> Vec<Case> {
    let base = object("Ledger", "", "admission", &json!({ "spec": { "site": "admission" } }));
    let mut cases = fields(
        OPERATOR,
        &base,
        &[
            ("/metadata/name", json!(long(40)), None),
            ("/metadata/name", json!(long(41)), Some("must be the name of a site")),
            ("/spec/site", json!(""), Some("should be at least 1 chars")),
            ("/spec/site", Value::Null, Some("spec.site: Required value")),
        ],
    );
    let ledger = at("Ledger", "", "hohhot");
    // The operator's own token, and an administrator: the books fall for nobody.
    for who in [OPERATOR, Who::Root] {
        cases.extend([
            no(who, "the epoch of a ledger falls", status(&ledger, json!({ "epoch": 0 })), BOOKS),
            no(who, "the sequence of a ledger falls", status(&ledger, json!({ "sequence": 0 })), BOOKS),
            no(who, "the books are taken away", status(&ledger, Value::Null), BOOKS),
        ]);
    }
    cases.extend([
        yes(OPERATOR, "the epoch of a ledger rises", status(&ledger, json!({ "epoch": 1_000_000 }))),
        no(
            OPERATOR,
            "a total below zero",
            status(&ledger, json!({ "totals": { "granted": { "cpu": "-1" } } })),
            "must be a Kubernetes quantity that is not negative",
        ),
    ]);
    cases
}

/// Status that was written by the operator, written again.
pub(crate) fn charges(ground: &Ground) -> Vec<Case> {
    let review = at("ResourceRequest", HERE, "review");
    let live = at("ResourceGrant", HERE, &ground.live.name_any());
    let ended = at("ResourceGrant", HERE, &ground.ended.name_any());
    let condition = |type_: &str| json!({ "type": type_, "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let many = (0..25).map(|n| condition(&format!("T{n}"))).collect::<Value>();
    let mut cases = Vec::new();
    for at in [&review, &live, &ended] {
        let what = |what: &str| format!("{what} of {} {}", at.kind, at.name);
        cases.extend([
            no(OPERATOR, what("charge.sequence falls"), status(at, json!({ "charge": { "sequence": 0 } })), SEQUENCE),
            no(OPERATOR, what("the charge is taken away"), status(at, json!({ "charge": null })), SEQUENCE),
            no(OPERATOR, what("the status is taken away"), status(at, Value::Null), SEQUENCE),
            no(
                Who::Root,
                what("an administrator lowers charge.sequence"),
                status(at, json!({ "charge": { "sequence": 0 } })),
                SEQUENCE,
            ),
            yes(OPERATOR, what("charge.sequence rises"), status(at, json!({ "charge": { "sequence": 1_000_000 } }))),
        ]);
    }
    cases.extend([
        no(
            OPERATOR,
            "a phase that there is not",
            status(&review, json!({ "phase": "Lost" })),
            "status.phase: Unsupported value",
        ),
        no(
            OPERATOR,
            "a reservation below zero",
            status(&review, json!({ "charge": { "reserved": { "cpu": "-1" } } })),
            "must be a Kubernetes quantity that is not negative",
        ),
        no(
            OPERATOR,
            "one condition twice",
            status(&review, json!({ "conditions": [condition("Ready"), condition("Ready")] })),
            "Duplicate value",
        ),
        no(OPERATOR, "25 conditions", status(&review, json!({ "conditions": many })), "status.conditions: Too many"),
        no(OPERATOR, "a revoked grant in service", status(&ended, json!({ "phase": "InService" })), REVOKED),
        no(OPERATOR, "a revoked grant without a phase", status(&ended, json!({ "phase": null })), REVOKED),
        no(
            Who::Root,
            "a revoked grant revived by an administrator",
            status(&ended, json!({ "phase": "Provisioning" })),
            REVOKED,
        ),
        yes(OPERATOR, "a live grant goes on", status(&live, json!({ "phase": "Revoking" }))),
    ]);
    cases
}
