//! Policy `zhengyun-approvals`: who decides is the caller, with the caller's groups and the right for the stage.

use serde_json::{Value, json};

use super::case::{Case, create, delete, no, yes};
use super::ground::{Ground, HERE};
use super::objects::{at, with};
use super::who::{
    ADMIN, API_ACCOUNT, AUTHORITY, CAPACITY, CLERK, COLLECTOR, HEAD, LOCAL, OPERATOR, OTHER_HEAD, PROVIDER, SECURITY,
    STRANGER, TECHNICAL, Who,
};

const NAME: &str = "spec.approver.username must be the person who sends the approval";
const GROUPS: &str = "spec.approver.groups must be exactly the groups of the person who sends the approval";
const STAGE: &str = "it needs the verb decide on resourcerequests/";
const RBAC: &str = "cannot create resource \"approvals\"";
const EVERYBODY: &str = "system:authenticated";

pub(crate) fn approvals(ground: &Ground) -> Vec<Case> {
    let approve = |stage: &str, user: &str, groups: &[&str]| create(ground.approval("admission", stage, user, groups));
    let head = ["dept:emergency", EVERYBODY];
    let mut cases = vec![
        yes(HEAD, "its own stage, in its own name", approve("department", "head-emergency", &head)),
        yes(HEAD, "groups in another order", approve("department", "head-emergency", &[EVERYBODY, "dept:emergency"])),
        no(HEAD, "in the name of the other head", approve("department", "head-finance", &head), NAME),
        no(
            HEAD,
            "in the name of the operator",
            approve("department", "system:serviceaccount:zhengyun-system:zhengyun-operator", &head),
            NAME,
        ),
        no(HEAD, "without groups", approve("department", "head-emergency", &[]), GROUPS),
        no(HEAD, "with one group less", approve("department", "head-emergency", &[EVERYBODY]), GROUPS),
        no(
            HEAD,
            "with a group more",
            approve("department", "head-emergency", &["dept:emergency", EVERYBODY, "zhengyun:authority"]),
            GROUPS,
        ),
        no(HEAD, "with other groups", approve("department", "head-emergency", &["zhengyun:authority"]), GROUPS),
        no(HEAD, "a stage that nobody has", approve("ghost", "head-emergency", &head), STAGE),
        no(HEAD, "a real subresource", approve("status", "head-emergency", &head), STAGE),
        no(
            Who::Root,
            "in the head's name, by an administrator of the hub",
            approve("department", "head-emergency", &head),
            NAME,
        ),
        no(
            Who::Root,
            "with the head's groups, by an administrator of the hub",
            approve("department", "lab-admin", &head),
            GROUPS,
        ),
        // As docs/security.md says, system:masters can do anything: in their own name, and it shows.
        yes(
            Who::Root,
            "in their own name, by an administrator of the hub",
            approve("department", "lab-admin", &["system:masters", EVERYBODY]),
        ),
    ];
    for stage in ["local", "technical", "capacity", "security", "authority"] {
        cases.push(no(HEAD, format!("stage {stage}"), approve(stage, "head-emergency", &head), STAGE));
    }
    let reviewers = [
        (TECHNICAL, "technical", "reviewer-technical", "zhengyun:technical-reviewers"),
        (CAPACITY, "capacity", "reviewer-capacity", "zhengyun:capacity-reviewers"),
        (SECURITY, "security", "reviewer-security", "zhengyun:security-reviewers"),
        (AUTHORITY, "authority", "authority-chief", "zhengyun:authority"),
    ];
    for (who, own, user, group) in reviewers {
        let groups = [group, EVERYBODY];
        cases.push(yes(who, format!("stage {own}"), approve(own, user, &groups)));
        for (_, other, ..) in reviewers.iter().filter(|(_, other, ..)| *other != own) {
            cases.push(no(who, format!("stage {other}"), approve(other, user, &groups), STAGE));
        }
        cases.push(no(who, "stage department", approve("department", user, &groups), STAGE));
    }
    for (who, user) in [
        (CLERK, "clerk-emergency"),
        (OTHER_HEAD, "head-finance"),
        (LOCAL, "reviewer-hohhot"),
        (ADMIN, "cloud-admin"),
        (PROVIDER, "provider-ops"),
        (STRANGER, "stranger"),
        (API_ACCOUNT, "system:serviceaccount:zhengyun-system:zhengyun-api"),
        (OPERATOR, "system:serviceaccount:zhengyun-system:zhengyun-operator"),
    ] {
        cases.push(no(who, "any approval in dept-emergency", approve("department", user, &head), RBAC));
    }
    cases.extend(local(ground));
    cases.extend(owners(ground));
    cases
}

/// A reviewer of a league reaches its banners and no other league.
fn local(ground: &Ground) -> Vec<Case> {
    let groups = ["zhengyun:local-reviewers:hohhot", EVERYBODY];
    let approve = |department: &str, stage: &str| {
        let body = ground.approval("admission", stage, "reviewer-hohhot", &groups);
        create(with(body, "/metadata/namespace", json!(format!("dept-{department}"))))
    };
    vec![
        yes(LOCAL, "stage local of a bureau of the league", approve("hohhot-education", "local")),
        yes(LOCAL, "stage local of a bureau of a banner", approve("hohhot-xinchengqu-education", "local")),
        no(LOCAL, "stage department of that bureau", approve("hohhot-education", "department"), STAGE),
        no(LOCAL, "stage local of another league", approve("ulanqab-emergency", "local"), RBAC),
    ]
}

/// Only the request that was decided on may own an approval: an owner can have its record collected.
fn owners(ground: &Ground) -> Vec<Case> {
    let body = ground.approval("admission", "department", "head-emergency", &["dept:emergency", EVERYBODY]);
    let uid = body.pointer("/spec/requestUID").cloned().unwrap_or_default();
    let owned = |kind: &str, api: &str, name: &str, uid: &Value| {
        let owner = json!([{ "apiVersion": api, "kind": kind, "name": name, "uid": uid }]);
        create(with(body.clone(), "/metadata/ownerReferences", owner))
    };
    let other = json!("00000000-0000-0000-0000-000000000000");
    let fault = "metadata.ownerReferences may name nothing but the request that is decided on";
    let product = "zhengyun.io/v1alpha1";
    let decided = at("Approval", HERE, "returned-decided");
    vec![
        yes(HEAD, "owned by its request", owned("ResourceRequest", product, "review", &uid)),
        no(HEAD, "owned by another request", owned("ResourceRequest", product, "draft", &uid), fault),
        no(HEAD, "owned by a request of another UID", owned("ResourceRequest", product, "review", &other), fault),
        no(HEAD, "owned by a ConfigMap", owned("ConfigMap", "v1", "review", &uid), fault),
        no(HEAD, "owned by a kind of another group", owned("ResourceRequest", "example.org/v1", "review", &uid), fault),
        no(
            COLLECTOR,
            "collects an approval that names no owner",
            delete(&decided),
            "an Approval is the record of a decision",
        ),
    ]
}
