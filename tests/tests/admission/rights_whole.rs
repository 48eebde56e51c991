//! Everything that a credential may do, from the API server's own list: what is not expected here is one right too many.

use anyhow::Result;
use serde_json::{Value, json};

use super::case::Call;
use super::ground::{Ground, HERE};
use super::who::{
    ADMIN, API_ACCOUNT, AUTHORITY, CAPACITY, CLERK, HEAD, LOCAL, OPERATOR, OTHER_TENANT, PROVIDER, SECURITY, STRANGER,
    TECHNICAL, TENANT, Who,
};
use zhengyun_crds::marks::SYSTEM_NAMESPACE;

/// Writes that everybody has: questions about oneself.
const EVERYBODY: &str = "create authentication.k8s.io/selfsubjectreviews
    create authorization.k8s.io/selfsubjectaccessreviews,selfsubjectrulesreviews";

const ASKS: &str = "create authentication.k8s.io/tokenreviews
    create authorization.k8s.io/subjectaccessreviews";

const CLERKS: &str = "create,update,patch,delete zhengyun.io/informationsystems,resourcerequests
    create,update,patch,delete zhengyun.io/recoveryplans,systembackups,systemrestores,recoverydrills
    create,update,patch,delete zhengyun.io/systemmigrations";

const HEADS: &str = "create zhengyun.io/approvals
    decide zhengyun.io/resourcerequests/department
    patch zhengyun.io/systemmigrations
    sign zhengyun.io/systemmigrations/department";

const PROVIDERS: &str = "patch zhengyun.io/systemmigrations
    sign zhengyun.io/systemmigrations/provider";

const AUTHORITYS: &str = "create zhengyun.io/approvals,resourcerequests
    patch zhengyun.io/resourcerequests
    decide zhengyun.io/resourcerequests/authority
    patch zhengyun.io/systemmigrations,machinerooms
    sign zhengyun.io/systemmigrations/authority,machinerooms/verification";

const ADMINS: &str =
    "create,update,patch,delete zhengyun.io/departments,departmentquotas,sites,catalogitems,approvalpolicies
    create,update,patch,delete zhengyun.io/backupstores,machinerooms,migrationwaves
    update,patch,accept zhengyun.io/ledgers
    create,update,patch,delete /secrets";

const OPERATORS: &str =
    "update,patch zhengyun.io/departments/status,departmentquotas/status,sites/status,catalogitems/status
    update,patch zhengyun.io/approvalpolicies/status,ledgers/status,informationsystems/status
    update,patch zhengyun.io/resourcerequests/status,approvals/status,resourcegrants/status
    update,patch zhengyun.io/backupstores/status,recoveryplans/status,systembackups/status
    update,patch zhengyun.io/systemrestores/status,recoverydrills/status
    update,patch zhengyun.io/machinerooms/status,migrationwaves/status,systemmigrations/status
    create,patch zhengyun.io/resourcegrants,ledgers
    create,delete zhengyun.io/systembackups
    create zhengyun.io/recoverydrills
    patch zhengyun.io/departments,departmentquotas,sites,resourcerequests
    patch zhengyun.io/recoveryplans,systembackups,systemrestores,recoverydrills,systemmigrations
    create,patch /secrets
    create,patch /namespaces
    create,patch,delete rbac.authorization.k8s.io/rolebindings
    bind rbac.authorization.k8s.io/clusterroles
    create authorization.k8s.io/subjectaccessreviews
    create,patch events.k8s.io/events
    create,update,patch coordination.k8s.io/leases";

const DRIVERS: &str = "create,patch,delete /namespaces,resourcequotas,limitranges,persistentvolumeclaims,services
    create,patch,delete networking.k8s.io/networkpolicies
    create,patch,delete rbac.authorization.k8s.io/rolebindings
    bind rbac.authorization.k8s.io/clusterroles
    patch,delete /pods
    create /pods/eviction
    create,patch,delete postgresql.cnpg.io/clusters
    create,patch,delete objectstorage.k8s.io/bucketclaims
    create,patch,delete kubevirt.io/virtualmachines
    create,update,patch /configmaps";

const TENANTS: &str = "create,update,patch,delete /configmaps,secrets,serviceaccounts,services,pods
    create /pods/exec,pods/attach,pods/portforward,pods/eviction
    create,update,patch,delete apps/deployments,statefulsets
    update,patch apps/deployments/scale,statefulsets/scale
    create,update,patch,delete batch/jobs,cronjobs
    create,update,patch,delete autoscaling/horizontalpodautoscalers
    create,update,patch,delete policy/poddisruptionbudgets
    create,update,patch,delete objectstorage.k8s.io/bucketaccesses";

/// Credentials, where they are asked, and every right beyond reading that they have there.
fn table(ground: &Ground) -> Vec<(Who, &str, String)> {
    let decides = |stage: &str| format!("create zhengyun.io/approvals\ndecide zhengyun.io/resourcerequests/{stage}");
    let (hub, place) = (SYSTEM_NAMESPACE, ground.place.as_str());
    let nothing = String::new;
    vec![
        (OPERATOR, hub, OPERATORS.to_owned()),
        (API_ACCOUNT, HERE, ASKS.to_owned()),
        (API_ACCOUNT, hub, ASKS.to_owned()),
        (ADMIN, hub, ADMINS.to_owned()),
        (AUTHORITY, HERE, AUTHORITYS.to_owned()),
        (TECHNICAL, HERE, decides("technical")),
        (CAPACITY, HERE, decides("capacity")),
        (SECURITY, HERE, decides("security")),
        (HEAD, HERE, HEADS.to_owned()),
        (HEAD, "dept-finance", nothing()),
        (CLERK, HERE, CLERKS.to_owned()),
        (CLERK, "dept-finance", nothing()),
        (CLERK, hub, nothing()),
        (LOCAL, "dept-hohhot-education", decides("local")),
        (LOCAL, HERE, nothing()),
        (PROVIDER, HERE, PROVIDERS.to_owned()),
        (STRANGER, HERE, nothing()),
        (Who::Driver, hub, DRIVERS.to_owned()),
        (TENANT, place, TENANTS.to_owned()),
        (TENANT, "default", nothing()),
        (TENANT, hub, nothing()),
        (OTHER_TENANT, place, nothing()),
    ]
}

/// `verb,verb group/resource,resource` a line, as `verb group/resource` each.
fn expected(lines: &str) -> Vec<String> {
    let mut rights: Vec<String> = EVERYBODY
        .lines()
        .chain(lines.lines())
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .flat_map(|line| {
            let (verbs, resources) = line.split_once(' ').expect("verbs and resources");
            let (group, resources) = resources.split_once('/').expect("a group and resources");
            verbs
                .split(',')
                .flat_map(move |verb| resources.split(',').map(move |resource| format!("{verb} {group}/{resource}")))
        })
        .collect();
    rights.sort();
    rights
}

/// Asks for everybody's rules, and says which rights are too many or missing.
pub(crate) async fn disagreements(ground: &Ground) -> Result<(usize, Vec<String>)> {
    let (mut found, table) = (Vec::new(), table(ground));
    for (who, namespace, rights) in &table {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": { "namespace": namespace }
        });
        let call = Call {
            method: http::Method::POST,
            path: "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews".to_owned(),
            content_type: "application/json",
            body: Some(review),
            about: format!("all rights in {namespace}"),
        };
        let answer = ground.callers.must(*who, call).await?;
        if answer.pointer("/status/incomplete") != Some(&Value::Bool(false)) {
            found.push(format!("{who} in {namespace}: the list of rights is incomplete"));
        }
        let expected = expected(rights);
        let writes = writes(&answer);
        if writes != expected {
            let list = |these: &[String], but: &[String]| {
                these.iter().filter(|right| !but.contains(right)).cloned().collect::<Vec<_>>().join(", ")
            };
            found.push(format!(
                "{who} in {namespace}: too many rights: [{}], missing: [{}]",
                list(&writes, &expected),
                list(&expected, &writes)
            ));
        }
    }
    Ok((table.len(), found))
}

/// Every right that is not reading, as `verb group/resource`.
fn writes(answer: &Value) -> Vec<String> {
    let words = |rule: &Value, key: &str| -> Vec<String> {
        let list = rule.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut writes = Vec::new();
    for rule in answer.pointer("/status/resourceRules").and_then(Value::as_array).into_iter().flatten() {
        for verb in words(rule, "verbs").iter().filter(|verb| !["get", "list", "watch"].contains(&verb.as_str())) {
            for group in words(rule, "apiGroups") {
                for resource in words(rule, "resources") {
                    writes.push(format!("{verb} {group}/{resource}"));
                }
            }
        }
    }
    writes.sort();
    writes.dedup();
    writes
}
