//! What the scenes share: policies that need nobody, objects from JSON, and looks at the books.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::{ApprovalPolicy, ConditionType, Ledger, ResourceRequest, condition};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town, said};
use zhengyun_tests::world;

/// A custom resource of the product.
pub(crate) fn ours(kind: &str, name: &str, namespace: Option<&str>, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": kind, "metadata": { "name": name, "namespace": namespace }, "spec": spec
    }))
    .unwrap()
}

/// Requests of class Test need nobody, and are frozen for no time when they end.
pub(crate) async fn prepare(town: &Town) -> Result<()> {
    let policy = |name: &str, condition: &str| {
        ours(
            "ApprovalPolicy",
            name,
            None,
            &json!({
                "displayNames": { "zh-CN": { "full": "测试用免审批" }, "en": { "full": "Nobody needs to agree to a test" } },
                "match": condition, "priority": 900, "autoApprove": { "basis": "a test" }, "confirm": "Auto", "holdSeconds": 0
            }),
        )
    };
    let admin = town.client_of("cloud-admin")?;
    let policies = [
        policy("test-create", "request.action == 'Create' && request.class == 'Test'"),
        policy("test-revoke", "request.action == 'Revoke' && request.requestedBy == 'clerk-finance'"),
    ];
    world::apply(&admin, &policies).await?;
    let api: Api<ApprovalPolicy> = Api::all(admin);
    settled("the policies of the tests in force", SOON, || async {
        for name in ["test-create", "test-revoke"] {
            let status = api.get(name).await?.status.unwrap_or_default();
            if !condition::is_true(&status.conditions, ConditionType::Ready) {
                return Ok(Err(said(&status.conditions)));
            }
        }
        Ok(Ok(()))
    })
    .await
}

/// An order of finance for one line of the catalogue.
pub(crate) fn order(item: &str, name: &str, parameters: &Value) -> Value {
    json!({
        "action": "Create", "system": "finance-e-invoice", "site": "hohhot", "class": "Test", "justification": "a test",
        "items": [{ "item": item, "name": name, "parameters": parameters }]
    })
}

/// A container space of this many cores.
pub(crate) fn space(cpu: &str) -> Value {
    order("container-space", "space", &json!({ "cpu": cpu, "memory": "64Mi" }))
}

/// Changes one field of an order.
pub(crate) fn with(mut order: Value, pointer: &str, value: Value) -> Value {
    *order.pointer_mut(pointer).expect("the order has that field") = value;
    order
}

/// Waits for a condition of an object of ours to have a reason, and returns its message.
pub(crate) async fn says(town: &Town, object: &DynamicObject, reason: &str) -> Result<String> {
    let name = object.name_any();
    let kind = object.types.as_ref().map(|t| t.kind.clone()).unwrap_or_default();
    let api = zhengyun_tests::world::api_of(&town.admin()?, object).await?;
    settled(&format!("{kind} {name} says {reason}"), SOON, || async {
        let live = api.get(&name).await?;
        let conditions = live.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let found = conditions.iter().find(|c| c.get("reason").and_then(Value::as_str) == Some(reason));
        let message = found.and_then(|c| c.get("message")).and_then(Value::as_str).map(str::to_owned);
        Ok(message.ok_or_else(|| format!("{conditions:?}")))
    })
    .await
}

/// Every fragment stands in a message.
pub(crate) fn contains(what: &str, message: &str, fragments: &[&str]) -> Result<()> {
    let missing: Vec<&&str> = fragments.iter().filter(|f| !message.contains(**f)).collect();
    ensure!(missing.is_empty(), "{what}: the message lacks {missing:?}: {message}");
    Ok(())
}

/// The bad input of the scenes before left nothing in the books and nothing at the sites.
pub(crate) async fn nothing_is_charged_or_left(town: &Arc<Town>) -> Result<()> {
    let ledgers: Api<Ledger> = Api::all(town.admin()?);
    for ledger in ledgers.list(&ListParams::default()).await? {
        let totals = ledger.status.clone().unwrap_or_default().totals;
        ensure!(totals.granted.is_empty() && totals.reserved.is_empty(), "{}: {totals:?}", ledger.name_any());
    }
    for site in ["hohhot", "ulanqab"] {
        let namespaces: Api<Namespace> = Api::all(town.site_admin(site)?);
        let left = namespaces.list(&ListParams::default().labels("zhengyun.io/grant")).await?.items;
        ensure!(left.is_empty(), "left at {site}: {:?}", left.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
    }
    Ok(())
}

/// Ends a grant of finance, and waits until zero is proven.
pub(crate) async fn revoke(town: &Town, grant: &str) -> Result<()> {
    let path = format!("/api/v1/departments/finance/grants/{grant}/revocation");
    town.door("clerk-finance")?.post(&path, &json!({ "justification": "the test is over" })).await?;
    town.grant_when("finance", grant, "revoked", |g| {
        zhengyun_tests::town::phase_of(g) == zhengyun_crds::GrantPhase::Revoked
    })
    .await
    .map(drop)
}

/// Submits an order of finance and waits for the grant in service; returns its name.
pub(crate) async fn serve(town: &Town, name: &str, order: &Value) -> Result<String> {
    town.submit("clerk-finance", "finance", name, order).await?;
    let request = town.in_phase("finance", name, zhengyun_crds::RequestPhase::Applied).await?;
    let grant = request.status.and_then(|s| s.grant).unwrap_or_default();
    town.grant_when("finance", &grant, "in service", |g| {
        zhengyun_tests::town::phase_of(g) == zhengyun_crds::GrantPhase::InService
    })
    .await?;
    Ok(grant)
}

/// Deletes a request that is a draft, and waits until it is gone.
pub(crate) async fn forget(town: &Town, department: &str, name: &str) -> Result<()> {
    let api: Api<ResourceRequest> = town.requests(department)?;
    api.delete(name, &kube::api::DeleteParams::default()).await?;
    settled(&format!("request {name} gone"), SOON, || async {
        Ok(api.get_opt(name).await?.map_or(Ok(()), |r| Err(said(&r.status.unwrap_or_default().conditions))))
    })
    .await
}

/// The books as somebody else than the operator computes them.
pub(crate) async fn audited(town: &Town) -> Result<()> {
    zhengyun_tests::audit::balanced(&town.kubeconfig_of("cloud-admin")).await
}
