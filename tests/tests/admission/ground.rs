//! The world that the tables need: requests and grants in every state, brought there through the product.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use zhengyun_crds::condition::is_true;
use zhengyun_crds::{
    Approval, ApprovalPolicy, CatalogItem, ConditionType, Department, GrantPhase, RequestPhase, ResourceGrant,
    ResourceRequest, marks,
};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{Town, phase_of};

use super::case::{create, merge};
use super::objects::{at, department, end_of, item, object, order, policy, request, with};
use super::who::{ADMIN, AUTHORITY, CLERK, Callers, HEAD, TENANT, Who};

/// Department that most lines are about.
pub(crate) const DEPARTMENT: &str = "emergency";
/// Its namespace on the hub.
pub(crate) const HERE: &str = "dept-emergency";
/// Namespace of a department that was deleted.
pub(crate) const RELEASED: &str = "dept-admission-deleted";
const SOON: Duration = Duration::from_secs(30);

/// What stands once everything is brought about. Requests are named after the state that they are in.
pub(crate) struct Ground {
    pub(crate) callers: Callers,
    /// Request `review`, under review at stage `department`.
    pub(crate) review: ResourceRequest,
    /// A live grant at hohhot: container space, block volume `disk`, Service `web`.
    pub(crate) live: ResourceGrant,
    /// A grant that is frozen; its order `held-end` is approved.
    pub(crate) held: ResourceGrant,
    /// A grant that came to its end.
    pub(crate) ended: ResourceGrant,
    /// Namespace of the live grant at hohhot.
    pub(crate) place: String,
    /// UID of the live grant, as the label has it.
    pub(crate) uid: String,
    /// Epoch of the fence at hohhot.
    pub(crate) epoch: i64,
    /// UID of the hub, as the fence has it.
    pub(crate) hub_uid: String,
}

impl Ground {
    pub(crate) async fn prepare(town: &Town) -> Result<Self> {
        let callers = Callers::of(town).await?;
        rules(town, &callers).await?;
        let (live, held, ended, ()) = tokio::try_join!(
            live(town, &callers),
            held(town, &callers),
            ended(town, &callers),
            open_requests(town, &callers)
        )?;
        ordered(town, &callers, &live).await?;
        let review = town.in_phase(DEPARTMENT, "review", RequestPhase::InReview).await?;
        let place = live.status.as_ref().and_then(|s| s.namespace.clone()).context("a live grant has a namespace")?;
        let uid = live.uid().context("a grant has a UID")?;
        let fence = at("ConfigMap", marks::SYSTEM_NAMESPACE, marks::FENCE_NAME);
        let fence = callers.must(Who::SiteRoot, super::case::read(&fence)).await?;
        let text = |pointer: &str| fence.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (hub_uid, epoch) = (text("/data/hubUID"), text("/data/epoch").parse().context("the epoch of the fence")?);
        let ground = Self { callers, review, live, held, ended, place, uid, epoch, hub_uid };
        tenants(&ground).await?;
        foreign(&ground).await?;
        Ok(ground)
    }

    /// An object of the grant as the driver writes it: with label and epoch.
    pub(crate) fn delivered(&self, kind: &str, name: &str, epoch: i64, content: &Value) -> Value {
        let object = object(kind, &self.place, name, content);
        let object = with(object, "/metadata/labels/zhengyun.io~1grant-uid", json!(self.uid));
        with(object, "/metadata/annotations/zhengyun.io~1epoch", json!(epoch.to_string()))
    }

    /// A decision as a person sends it with kubectl.
    pub(crate) fn approval(&self, name: &str, stage: &str, user: &str, groups: &[&str]) -> Value {
        approval(&self.review, name, stage, "Approve", user, groups)
    }
}

/// Shorter ways through the product: no stages for class Test, a hold that does not end for class Standard.
async fn rules(town: &Town, callers: &Callers) -> Result<()> {
    let without_stages = |object: Value| {
        let object = with(object, "/spec/stages", Value::Null);
        with(with(object, "/spec/autoApprove", json!({ "basis": "a test" })), "/spec/holdSeconds", json!(0))
    };
    let policies = [
        without_stages(policy("admission-test", "request.action == 'Create' && request.class == 'Test'")),
        without_stages(policy(
            "admission-end",
            "request.action == 'Revoke' && request.class == 'Test' && !request.byAuthority",
        )),
        with(
            policy(
                "admission-hold",
                "request.action == 'Revoke' && request.class == 'Standard' && !request.byAuthority",
            ),
            "/spec/holdSeconds",
            json!(3600),
        ),
    ];
    for policy in policies {
        callers.must(ADMIN, create(policy)).await?;
    }
    callers.must(ADMIN, create(item("admission-service"))).await?;
    callers.must(ADMIN, create(department("admission-deleted"))).await?;
    let hub = town.admin()?;
    let (policies, items): (Api<ApprovalPolicy>, Api<CatalogItem>) = (Api::all(hub.clone()), Api::all(hub.clone()));
    settled("policies and item Ready", SOON, || async {
        let mut waiting = Vec::new();
        for name in ["admission-test", "admission-end", "admission-hold"] {
            let status = policies.get(name).await?.status.unwrap_or_default();
            if !is_true(&status.conditions, ConditionType::Ready) {
                waiting.push(format!("{name}: {:?}", status.conditions));
            }
        }
        let status = items.get("admission-service").await?.status.unwrap_or_default();
        if !is_true(&status.conditions, ConditionType::Ready) {
            waiting.push(format!("item: {:?}", status.conditions));
        }
        Ok(if waiting.is_empty() { Ok(()) } else { Err(waiting.join("; ")) })
    })
    .await?;
    deleted_department(&Api::all(hub), callers).await
}

/// A department that was, with records in its namespace: one that the operator released.
async fn deleted_department(departments: &Api<Department>, callers: &Callers) -> Result<()> {
    settled("the department that will be deleted Ready", SOON, || async {
        let status = departments.get("admission-deleted").await?.status.unwrap_or_default();
        let ready = is_true(&status.conditions, ConditionType::Ready);
        Ok(if ready { Ok(()) } else { Err(format!("{:?}", status.conditions)) })
    })
    .await?;
    let written = callers.must(Who::Root, create(request(RELEASED, "old", "lab-admin", order("Standard")))).await?;
    let groups = ["system:masters", "system:authenticated"];
    let decided = approval(&serde_json::from_value(written)?, "old", "department", "Approve", "lab-admin", &groups);
    let decided = with(decided, "/spec/orderDigest", json!(format!("sha256:{}", "0".repeat(64))));
    callers.must(Who::Root, create(decided)).await?;
    callers.must(ADMIN, super::case::delete(&at("Department", "", "admission-deleted"))).await?;
    settled("the department gone", SOON, || async {
        let found = departments.get_opt("admission-deleted").await?;
        Ok(found.map_or(Ok(()), |d| Err(format!("{:?}", d.status.map(|s| s.conditions)))))
    })
    .await
}

async fn submit(callers: &Callers, who: Who, author: &str, name: &str, order: Value) -> Result<()> {
    let body = with(request(HERE, name, author, order), "/spec/submission", json!(1));
    callers.must(who, create(body)).await.map(drop)
}

/// Submits an order of class Test, and waits for its grant in service.
async fn granted(town: &Town, callers: &Callers, name: &str, order: Value) -> Result<ResourceGrant> {
    submit(callers, CLERK, "clerk-emergency", name, order).await?;
    let applied = town.in_phase(DEPARTMENT, name, RequestPhase::Applied).await?;
    let grant = applied.status.and_then(|s| s.grant).context("an applied request names its grant")?;
    town.grant_when(DEPARTMENT, &grant, "in service", |g| phase_of(g) == GrantPhase::InService).await
}

async fn live(town: &Town, callers: &Callers) -> Result<ResourceGrant> {
    let mut order = order("Test");
    order["items"] = json!([
        { "item": "container-space", "name": "space", "parameters": { "cpu": "4", "memory": "8Gi" } },
        { "item": "block-volume", "name": "disk", "parameters": { "size": "1Gi" } },
        { "item": "admission-service", "name": "web" }
    ]);
    granted(town, callers, "live", order).await
}

async fn held(town: &Town, callers: &Callers) -> Result<ResourceGrant> {
    let grant = granted(town, callers, "held", order("Test")).await?.name_any();
    submit(callers, CLERK, "clerk-emergency", "held-end", end_of(&grant, "Standard")).await?;
    decide(town, callers, "held-end", "Approve").await?;
    town.in_phase(DEPARTMENT, "held-end", RequestPhase::Approved).await?;
    town.grant_when(DEPARTMENT, &grant, "revoking", |g| phase_of(g) == GrantPhase::Revoking).await
}

async fn ended(town: &Town, callers: &Callers) -> Result<ResourceGrant> {
    let grant = granted(town, callers, "ended", order("Test")).await?.name_any();
    submit(callers, CLERK, "clerk-emergency", "ended-end", end_of(&grant, "Test")).await?;
    town.in_phase(DEPARTMENT, "ended-end", RequestPhase::Applied).await?;
    town.grant_when(DEPARTMENT, &grant, "revoked", |g| phase_of(g) == GrantPhase::Revoked).await
}

/// Requests `draft`, `review`, `returned`, `rejected` and `withdrawn`.
async fn open_requests(town: &Town, callers: &Callers) -> Result<()> {
    let author = "clerk-emergency";
    callers.must(CLERK, create(request(HERE, "draft", author, order("Standard")))).await?;
    for name in ["review", "returned", "rejected", "withdrawn"] {
        submit(callers, CLERK, author, name, order("Standard")).await?;
    }
    decide(town, callers, "returned", "Return").await?;
    decide(town, callers, "rejected", "Reject").await?;
    town.in_phase(DEPARTMENT, "withdrawn", RequestPhase::InReview).await?;
    let back = json!({ "spec": { "withdrawn": true, "editedBy": author } });
    callers.must(CLERK, merge(&at("ResourceRequest", HERE, "withdrawn"), back)).await?;
    for (name, phase) in [
        ("draft", RequestPhase::Draft),
        ("returned", RequestPhase::ReturnedForCorrection),
        ("rejected", RequestPhase::Rejected),
        ("withdrawn", RequestPhase::Withdrawn),
    ] {
        town.in_phase(DEPARTMENT, name, phase).await?;
    }
    Ok(())
}

/// Orders of the authority itself: `ordered-draft`, and `ordered` under review at stage `authority`.
async fn ordered(town: &Town, callers: &Callers, live: &ResourceGrant) -> Result<()> {
    let by_authority = json!({ "reason": "unused", "legalBasis": "a test, article 1" });
    let order = with(end_of(&live.name_any(), "Test"), "/authorityOrder", by_authority);
    callers.must(AUTHORITY, create(request(HERE, "ordered-draft", "authority-chief", order.clone()))).await?;
    submit(callers, AUTHORITY, "authority-chief", "ordered", order).await?;
    town.in_phase(DEPARTMENT, "ordered-draft", RequestPhase::Draft).await?;
    town.in_phase(DEPARTMENT, "ordered", RequestPhase::InReview).await.map(drop)
}

/// The head decides on a request at stage `department`, with kubectl's means.
async fn decide(town: &Town, callers: &Callers, name: &str, verdict: &str) -> Result<()> {
    let seen = town.in_phase(DEPARTMENT, name, RequestPhase::InReview).await?;
    let groups = ["dept:emergency", "system:authenticated"];
    let body = approval(&seen, &format!("{name}-decided"), "department", verdict, "head-emergency", &groups);
    callers.must(HEAD, create(body)).await?;
    let approvals: Api<Approval> = Api::namespaced(town.admin()?, HERE);
    settled(&format!("the decision on {name} counts"), SOON, || async {
        let status = approvals.get(&format!("{name}-decided")).await?.status.unwrap_or_default();
        let counted = is_true(&status.conditions, ConditionType::Ready);
        Ok(if counted { Ok(()) } else { Err(format!("{:?}", status.conditions)) })
    })
    .await
}

/// A decision on a request as it stands.
pub(crate) fn approval(
    of: &ResourceRequest,
    name: &str,
    stage: &str,
    verdict: &str,
    user: &str,
    groups: &[&str],
) -> Value {
    let review = of.status.as_ref().and_then(|s| s.review.clone()).unwrap_or_default();
    let spec = json!({
        "request": of.name_any(), "requestUID": of.uid(), "orderDigest": review.order_digest, "stage": stage,
        "verdict": verdict, "reason": "admission", "approver": { "username": user, "groups": groups }
    });
    object("Approval", &of.namespace().unwrap_or_default(), name, &json!({ "spec": spec }))
}

/// What tenants put into the live grant: `own` (a Service, a ConfigMap with the namespace's labels) and a pod `runs`.
async fn tenants(ground: &Ground) -> Result<()> {
    let callers = &ground.callers;
    let service = json!({ "spec": { "ports": [{ "port": 80 }], "selector": { "app": "own" } } });
    callers.must(TENANT, create(object("Service", &ground.place, "own", &service))).await?;
    let labelled = object("ConfigMap", &ground.place, "labelled", &json!({ "data": { "a": "b" } }));
    let labelled = with(labelled, "/metadata/labels/zhengyun.io~1grant-uid", json!(ground.uid));
    callers.must(TENANT, create(labelled)).await?;
    // Labelled like what was delivered, but never stamped by an operator.
    let unstamped = object("Service", &ground.place, "unstamped", &service);
    let unstamped = with(unstamped, "/metadata/labels/zhengyun.io~1grant-uid", json!(ground.uid));
    callers.must(TENANT, create(unstamped)).await?;
    callers.must(TENANT, create(pod(&ground.place, "runs"))).await.map(drop)
}

/// A pod that the frame of a grant admits.
pub(crate) fn pod(namespace: &str, name: &str) -> Value {
    let spec = json!({
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "main", "image": "example.invalid/nothing:1",
            "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "cpu": "100m", "memory": "64Mi" } },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } }
        }]
    });
    object("Pod", namespace, name, &json!({ "spec": spec }))
}

/// Namespaces of somebody else that look like ours: `zy-foreign` at the site, `dept-foreign` on the hub.
async fn foreign(ground: &Ground) -> Result<()> {
    let callers = &ground.callers;
    callers.must(Who::SiteRoot, create(object("Namespace", "", "zy-foreign", &json!({})))).await?;
    callers.must(Who::Root, create(object("Namespace", "", "dept-foreign", &json!({})))).await.map(drop)
}
