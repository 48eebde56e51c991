//! Least rights: the rows of docs/security.md, asked of the API servers with everybody's own token.

use super::case::{Case, may, never};
use super::ground::HERE;
use super::who::{
    ADMIN, API_ACCOUNT, AUTHORITY, CAPACITY, CLERK, HEAD, LOCAL, OPERATOR, PROVIDER, SECURITY, STRANGER, TECHNICAL, Who,
};

const OTHER: &str = "dept-finance";
const SYSTEM: &str = "zhengyun-system";
const WRITES: [&str; 4] = ["create", "update", "patch", "delete"];
const RBAC: &str = "rbac.authorization.k8s.io";

/// Several verbs on one resource.
fn verbs(
    one: fn(Who, &str, &str, &str) -> Case,
    who: Who,
    verbs: &[&str],
    resource: &str,
    namespace: &str,
) -> Vec<Case> {
    verbs.iter().map(|verb| one(who, verb, resource, namespace)).collect()
}

pub(crate) fn operator() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in ["departments", "departmentquotas", "sites", "catalogitems", "approvalpolicies", "ledgers"] {
        let resource = format!("zhengyun.io/{kind}");
        cases.push(may(OPERATOR, "watch", &resource, ""));
        cases.push(may(OPERATOR, "patch", &format!("{resource}/status"), ""));
        cases.push(never(OPERATOR, "delete", &resource, ""));
        cases.push(never(OPERATOR, "update", &resource, ""));
    }
    cases.extend(verbs(never, OPERATOR, &["create", "update", "delete"], "zhengyun.io/resourcerequests", HERE));
    cases.extend(verbs(never, OPERATOR, &WRITES, "zhengyun.io/approvals", HERE));
    cases.extend(verbs(never, OPERATOR, &WRITES, "zhengyun.io/informationsystems", HERE));
    cases.extend(verbs(never, OPERATOR, &WRITES, "zhengyun.io/catalogitems", ""));
    cases.extend(verbs(never, OPERATOR, &["update", "delete", "deletecollection"], "zhengyun.io/resourcegrants", HERE));
    cases.extend(verbs(never, OPERATOR, &["accept", "delete", "deletecollection"], "zhengyun.io/ledgers", ""));
    cases.extend(verbs(never, OPERATOR, &["decide"], "zhengyun.io/resourcerequests/authority", HERE));
    cases.extend(verbs(may, OPERATOR, &["get", "list", "watch"], "/secrets", SYSTEM));
    cases.extend(verbs(never, OPERATOR, &["get", "list", "watch"], "/secrets", ""));
    cases.extend(verbs(may, OPERATOR, &["create", "patch"], "/secrets", SYSTEM));
    cases.extend(verbs(never, OPERATOR, &["update", "delete"], "/secrets", SYSTEM));
    cases.extend(verbs(never, OPERATOR, &WRITES, "/secrets", HERE));
    for (verb, resource) in [
        ("bind", "rbac.authorization.k8s.io/clusterroles#cluster-admin"),
        ("bind", "rbac.authorization.k8s.io/clusterroles#zhengyun-authority"),
        ("escalate", "rbac.authorization.k8s.io/clusterroles"),
        ("create", "rbac.authorization.k8s.io/clusterrolebindings"),
        ("create", "rbac.authorization.k8s.io/roles"),
        ("impersonate", "/users"),
        ("create", "/pods"),
        ("create", "/serviceaccounts/token"),
        ("delete", "/namespaces"),
        ("update", "admissionregistration.k8s.io/validatingadmissionpolicies"),
        ("patch", "admissionregistration.k8s.io/validatingadmissionpolicies"),
        ("delete", "admissionregistration.k8s.io/validatingadmissionpolicybindings"),
        ("patch", "apiextensions.k8s.io/customresourcedefinitions"),
    ] {
        cases.push(never(OPERATOR, verb, resource, ""));
    }
    cases.push(may(OPERATOR, "bind", "rbac.authorization.k8s.io/clusterroles#zhengyun-department-clerk", ""));
    cases.push(may(OPERATOR, "create", "authorization.k8s.io/subjectaccessreviews", ""));
    cases
}

pub(crate) fn api() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [
        "departments",
        "departmentquotas",
        "sites",
        "catalogitems",
        "approvalpolicies",
        "ledgers",
        "informationsystems",
        "resourcerequests",
        "approvals",
        "resourcegrants",
        "backupstores",
        "recoveryplans",
        "systembackups",
        "systemrestores",
        "recoverydrills",
        "machinerooms",
        "migrationwaves",
        "systemmigrations",
    ] {
        let resource = format!("zhengyun.io/{kind}");
        cases.push(may(API_ACCOUNT, "watch", &resource, ""));
        cases.extend(verbs(never, API_ACCOUNT, &WRITES, &resource, HERE));
        cases.push(never(API_ACCOUNT, "patch", &format!("{resource}/status"), HERE));
    }
    for stage in ["department", "local", "technical", "capacity", "security", "authority"] {
        cases.push(never(API_ACCOUNT, "decide", &format!("zhengyun.io/resourcerequests/{stage}"), HERE));
    }
    cases.extend([
        may(API_ACCOUNT, "create", "authentication.k8s.io/tokenreviews", ""),
        may(API_ACCOUNT, "create", "authorization.k8s.io/subjectaccessreviews", ""),
        never(API_ACCOUNT, "impersonate", "/users", ""),
        never(API_ACCOUNT, "impersonate", "/groups", ""),
        never(API_ACCOUNT, "get", "/secrets", SYSTEM),
        never(API_ACCOUNT, "create", "/serviceaccounts/token", SYSTEM),
        never(API_ACCOUNT, "create", "/namespaces", ""),
        never(API_ACCOUNT, "create", &format!("{RBAC}/rolebindings"), HERE),
    ]);
    cases
}

pub(crate) fn department() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in ["resourcerequests", "informationsystems"] {
        let resource = format!("zhengyun.io/{kind}");
        cases.extend(verbs(
            may,
            CLERK,
            &["get", "list", "watch", "create", "update", "patch", "delete"],
            &resource,
            HERE,
        ));
        cases.extend(verbs(never, CLERK, &["get", "list", "create", "update", "patch", "delete"], &resource, OTHER));
        cases.push(never(CLERK, "deletecollection", &resource, HERE));
        cases.extend(verbs(never, HEAD, &WRITES, &resource, HERE));
        cases.push(may(HEAD, "get", &resource, HERE));
        cases.push(never(HEAD, "get", &resource, OTHER));
    }
    for stage in ["department", "local", "technical", "capacity", "security", "authority"] {
        let resource = format!("zhengyun.io/resourcerequests/{stage}");
        cases.push(never(CLERK, "decide", &resource, HERE));
        let of_head = if stage == "department" { may } else { never };
        cases.push(of_head(HEAD, "decide", &resource, HERE));
        cases.push(never(HEAD, "decide", &resource, OTHER));
        let of_local = if stage == "local" { may } else { never };
        cases.push(of_local(LOCAL, "decide", &resource, "dept-hohhot-xinchengqu-education"));
    }
    for who in [CLERK, HEAD] {
        cases.push(never(who, "patch", "zhengyun.io/resourcerequests/status", HERE));
        cases.extend(verbs(never, who, &WRITES, "zhengyun.io/resourcegrants", HERE));
        cases.extend(verbs(never, who, &["update", "patch", "delete"], "zhengyun.io/approvals", HERE));
        cases.extend(verbs(never, who, &["get", "list"], "zhengyun.io/departmentquotas", ""));
        cases.push(may(who, "get", "zhengyun.io/departmentquotas", HERE));
        cases.extend(verbs(never, who, &WRITES, "zhengyun.io/departmentquotas", ""));
        cases.extend(verbs(never, who, &["create", "patch"], &format!("{RBAC}/rolebindings"), HERE));
        cases.extend(verbs(never, who, &["get", "list"], "/secrets", HERE));
        cases.extend(verbs(never, who, &["create"], "/pods", HERE));
    }
    cases.push(never(CLERK, "create", "zhengyun.io/approvals", HERE));
    cases.push(never(LOCAL, "get", "zhengyun.io/resourcerequests", "dept-ulanqab-emergency"));
    cases.push(never(LOCAL, "get", "zhengyun.io/resourcerequests", HERE));
    cases.push(may(LOCAL, "get", "zhengyun.io/resourcerequests", "dept-hohhot-education"));
    cases.extend(verbs(never, LOCAL, &WRITES, "zhengyun.io/resourcerequests", "dept-hohhot-education"));
    cases
}

pub(crate) fn platform() -> Vec<Case> {
    let mut cases = Vec::new();
    let stages = [(TECHNICAL, "technical"), (CAPACITY, "capacity"), (SECURITY, "security"), (AUTHORITY, "authority")];
    for (who, own) in stages {
        cases.extend(verbs(may, who, &["get", "list", "watch"], "zhengyun.io/resourcerequests", ""));
        cases.push(may(who, "get", "zhengyun.io/departmentquotas", ""));
        cases.push(may(who, "create", "zhengyun.io/approvals", HERE));
        for stage in ["department", "local", "technical", "capacity", "security", "authority"] {
            let one = if stage == own { may } else { never };
            cases.push(one(who, "decide", &format!("zhengyun.io/resourcerequests/{stage}"), OTHER));
        }
        cases.extend(verbs(never, who, &["update", "delete"], "zhengyun.io/resourcerequests", HERE));
        cases.extend(verbs(never, who, &["update", "patch", "delete"], "zhengyun.io/approvals", HERE));
        cases.extend(verbs(never, who, &WRITES, "zhengyun.io/resourcegrants", HERE));
        cases.extend(verbs(never, who, &WRITES, "zhengyun.io/departmentquotas", ""));
        cases.push(never(who, "patch", "zhengyun.io/ledgers", ""));
        cases.push(never(who, "get", "/secrets", SYSTEM));
    }
    cases.extend(verbs(may, AUTHORITY, &["create", "patch"], "zhengyun.io/resourcerequests", HERE));
    for who in [TECHNICAL, CAPACITY, SECURITY] {
        cases.extend(verbs(never, who, &["create", "patch"], "zhengyun.io/resourcerequests", HERE));
    }
    for kind in ["departments", "departmentquotas", "sites", "catalogitems", "approvalpolicies"] {
        cases.extend(verbs(may, ADMIN, &WRITES, &format!("zhengyun.io/{kind}"), ""));
        cases.push(never(ADMIN, "patch", &format!("zhengyun.io/{kind}/status"), ""));
        cases.extend(verbs(never, PROVIDER, &WRITES, &format!("zhengyun.io/{kind}"), ""));
    }
    for kind in ["resourcerequests", "approvals", "resourcegrants", "informationsystems"] {
        cases.extend(verbs(never, ADMIN, &WRITES, &format!("zhengyun.io/{kind}"), HERE));
        cases.extend(verbs(never, PROVIDER, &WRITES, &format!("zhengyun.io/{kind}"), HERE));
        cases.push(may(PROVIDER, "list", &format!("zhengyun.io/{kind}"), ""));
    }
    cases.extend(verbs(may, ADMIN, &["accept", "patch"], "zhengyun.io/ledgers", ""));
    cases.extend(verbs(never, ADMIN, &["create", "delete"], "zhengyun.io/ledgers", ""));
    cases.extend(verbs(may, ADMIN, &["create", "update", "patch", "delete"], "/secrets", SYSTEM));
    cases.extend(verbs(never, ADMIN, &["get", "list", "watch"], "/secrets", SYSTEM));
    cases.extend(verbs(never, ADMIN, &["create", "update", "delete"], "/namespaces", ""));
    cases.extend(verbs(never, ADMIN, &["create", "patch"], &format!("{RBAC}/rolebindings"), HERE));
    cases.push(never(ADMIN, "decide", "zhengyun.io/resourcerequests/authority", HERE));
    cases.push(never(PROVIDER, "decide", "zhengyun.io/resourcerequests/technical", HERE));
    cases.push(never(PROVIDER, "accept", "zhengyun.io/ledgers", ""));
    for kind in ["departments", "sites", "catalogitems", "approvalpolicies"] {
        cases.push(may(STRANGER, "list", &format!("zhengyun.io/{kind}"), ""));
        cases.extend(verbs(never, STRANGER, &WRITES, &format!("zhengyun.io/{kind}"), ""));
    }
    for kind in ["departmentquotas", "ledgers", "resourcerequests", "approvals", "resourcegrants", "informationsystems"]
    {
        cases.extend(verbs(never, STRANGER, &["get", "list", "create", "patch"], &format!("zhengyun.io/{kind}"), HERE));
    }
    cases
}
