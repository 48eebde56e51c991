//! The objects that the tables are about, as the product leaves them behind on real clusters.

use anyhow::Result;
use serde_json::{Value, json};
use zhengyun_crds::{ResourceGrant, ResourceRequest};

use super::objects::{end_of, object, order, request, with};

/// Department that most lines are about.
pub(crate) const DEPARTMENT: &str = "emergency";
/// Its namespace on the hub.
pub(crate) const HERE: &str = "dept-emergency";
/// Namespace of a department that was deleted.
pub(crate) const RELEASED: &str = "dept-admission-deleted";

const CLERK: &str = "clerk-emergency";

/// What the tables refer to.
pub(crate) struct Ground {
    pub(crate) review: ResourceRequest,
    pub(crate) live: ResourceGrant,
    pub(crate) held: ResourceGrant,
    pub(crate) ended: ResourceGrant,
    pub(crate) place: String,
    pub(crate) uid: String,
    pub(crate) epoch: i64,
    pub(crate) hub_uid: String,
}

impl Ground {
    pub(crate) fn stand() -> Result<Self> {
        let live = grant("live-1", "InService");
        // Its spec and its identity are what the tables need.
        let review = requests().into_iter().find(|r| r["metadata"]["name"] == "review").unwrap_or_default();
        Ok(Self {
            review: serde_json::from_value(with(review, "/status", Value::Null))?,
            place: "zy-emergency-live-1".to_owned(),
            uid: live["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            live: serde_json::from_value(live)?,
            held: serde_json::from_value(grant("held-1", "Revoking"))?,
            ended: serde_json::from_value(grant("ended-1", "Revoked"))?,
            epoch: 7,
            hub_uid: "11111111-1111-1111-1111-111111111111".to_owned(),
        })
    }

    /// An object of the grant as the driver writes it: with label and epoch.
    pub(crate) fn delivered(&self, kind: &str, name: &str, epoch: i64, content: &Value) -> Value {
        let object = object(kind, &self.place, name, content);
        let object = with(object, "/metadata/labels/zhengyun.io~1grant-uid", json!(self.uid));
        with(object, "/metadata/annotations/zhengyun.io~1epoch", json!(epoch.to_string()))
    }

    /// A decision as a person sends it with kubectl.
    pub(crate) fn approval(&self, name: &str, stage: &str, user: &str, groups: &[&str]) -> Value {
        let spec = json!({
            "request": "review", "requestUID": self.review.metadata.uid, "orderDigest": digest(), "stage": stage,
            "verdict": "Approve", "reason": "admission", "approver": { "username": user, "groups": groups }
        });
        object("Approval", HERE, name, &json!({ "spec": spec }))
    }
}

fn digest() -> String {
    format!("sha256:{}", "0123456789abcdef".repeat(4))
}

/// What the server gives every object.
pub(crate) fn stored(object: Value, uid: &str) -> Value {
    let object = with(object, "/metadata/uid", json!(format!("{uid}-0000-0000-0000-000000000000")));
    with(with(object, "/metadata/resourceVersion", json!("5")), "/metadata/generation", json!(1))
}

/// Requests in every state, named after it.
pub(crate) fn requests() -> Vec<Value> {
    let charge = json!({ "site": "hohhot", "sequence": 3, "reserved": {}, "granted": {} });
    let review = json!({ "orderDigest": digest(), "round": 1, "policy": { "name": "p", "uid": "u", "generation": 1 }, "charge": {} });
    let of = |name: &str, author: &str, order: Value, phase: &str, submission: u64| {
        let body = with(request(HERE, name, author, order), "/spec/submission", json!(submission));
        let body = with(body, "/spec/withdrawn", json!(phase == "Withdrawn"));
        let body = with(body, "/metadata/finalizers", json!(["zhengyun.io/charge"]));
        let status =
            json!({ "phase": phase, "observedGeneration": 1, "editors": [author], "charge": charge, "review": review });
        stored(with(body, "/status", status), &format!("{name:0<8}"))
    };
    let standard = || order("Standard");
    let ordered = || {
        let by = json!({ "reason": "unused", "legalBasis": "a test, article 1" });
        with(end_of("live-1", "Test"), "/authorityOrder", by)
    };
    let end = |grant: &str| end_of(grant, "Standard");
    vec![
        of("draft", CLERK, standard(), "Draft", 0),
        of("review", CLERK, standard(), "InReview", 1),
        of("returned", CLERK, standard(), "ReturnedForCorrection", 1),
        of("rejected", CLERK, standard(), "Rejected", 1),
        of("withdrawn", CLERK, standard(), "Withdrawn", 1),
        of("live", CLERK, standard(), "Applied", 1),
        of("held", CLERK, standard(), "Applied", 1),
        of("ended", CLERK, standard(), "Applied", 1),
        of("held-end", CLERK, end("held-1"), "Approved", 1),
        of("ended-end", CLERK, end("ended-1"), "Applied", 1),
        of("ordered-draft", "authority-chief", ordered(), "Draft", 0),
        of("ordered", "authority-chief", ordered(), "InReview", 1),
    ]
}

/// A grant in a phase.
pub(crate) fn grant(name: &str, phase: &str) -> Value {
    let spec = json!({
        "department": DEPARTMENT, "system": "smart-emergency", "site": "hohhot", "revision": 1, "class": "Standard",
        "request": { "name": name, "uid": "u" }, "charge": { "cpu": "4" }, "bundle": {}
    });
    let status = json!({
        "phase": phase, "namespace": format!("zy-emergency-{name}"),
        "charge": { "site": "hohhot", "sequence": 4, "reserved": {}, "granted": { "cpu": "4" } }
    });
    let body = object("ResourceGrant", HERE, name, &json!({ "spec": spec, "status": status }));
    stored(with(body, "/metadata/finalizers", json!(["zhengyun.io/charge"])), &format!("{name:1<8}"))
}

/// A decision that was taken.
pub(crate) fn decision(name: &str, request: &str, verdict: &str) -> Value {
    let spec = json!({
        "request": request, "requestUID": format!("{request:0<8}-0000-0000-0000-000000000000"), "orderDigest": digest(),
        "stage": "department", "verdict": verdict, "reason": "admission",
        "approver": { "username": "head-emergency", "groups": ["dept:emergency", "system:authenticated"] }
    });
    stored(object("Approval", HERE, name, &json!({ "spec": spec })), &format!("{name:2<8.8}"))
}

/// A pod that the frame of a grant admits.
pub(crate) fn pod(namespace: &str, name: &str) -> Value {
    let containers = json!([{ "name": "main", "image": "example.invalid/nothing:1" }]);
    object("Pod", namespace, name, &json!({ "spec": { "containers": containers } }))
}
