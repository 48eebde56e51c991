//! The whole life of a department with one grant: made, served, revoked, gone. Whoever watches may be killed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::{Department, DepartmentQuota, GrantPhase, RequestPhase, ResourceGrant, ResourceRequest};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{Town, phase_of, said};
use zhengyun_tests::world;

/// Operators are killed and started again while a life goes on.
const PATIENCE: Duration = Duration::from_mins(4);

/// The flags of an operator of these tests. One name for all of one scene: its successor need not wait for the lease.
pub(crate) fn flags(identity: &str, crash_point: Option<&str>) -> Vec<String> {
    let mut flags = vec!["--identity".to_owned(), identity.to_owned(), "--lease-seconds".to_owned(), "4".to_owned()];
    if let Some(point) = crash_point {
        flags.extend(["--crash-after-write".to_owned(), point.to_owned()]);
    }
    flags
}

fn object(value: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(value)?)
}

/// The approval policies of these lives: one stage, no confirmation, a hold of one second.
pub(crate) async fn prepare(town: &Town) -> Result<()> {
    let policy = |name: &str, action: &str, hold: u32| {
        object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": name },
            "spec": {
                "displayNames": { "zh-CN": { "full": "故障测试用流程" }, "en": { "full": "For fault tests" } },
                "match": format!("request.action == '{action}' && department.name.startsWith('life-')"), "priority": 900,
                "stages": [{ "name": "department" }], "confirm": "Auto", "holdSeconds": hold
            }
        }))
    };
    world::apply(
        &town.client_of("cloud-admin")?,
        &[policy("life-create", "Create", 0)?, policy("life-revoke", "Revoke", 1)?],
    )
    .await
}

fn department(name: &str) -> Result<Vec<DynamicObject>> {
    Ok(vec![
        object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "Department", "metadata": { "name": name },
            "spec": {
                "type": "Institution", "level": "Region", "parent": "finance",
                "displayNames": { "zh-CN": { "full": format!("故障测试单位 {name}") }, "en": { "full": name } },
                "roles": [
                    { "role": "Clerk", "subjects": [{ "kind": "User", "name": "clerk-finance" }] },
                    { "role": "Head", "subjects": [{ "kind": "User", "name": "head-finance" }] }
                ]
            }
        }))?,
        object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "DepartmentQuota", "metadata": { "name": name },
            "spec": { "limits": [{ "site": "hohhot", "hard": {
                "cpu": "1", "memory": "2Gi", "storage.block": "40Gi", "storage.object": "1Gi" } }] }
        }))?,
    ])
}

/// What a life orders: something of every item of the catalogue.
pub(crate) fn order(system: &str) -> Value {
    json!({
        "action": "Create", "system": system, "site": "hohhot", "justification": "fault test", "class": "Test",
        "items": [
            { "item": "container-space", "name": "space", "parameters": { "cpu": "250m", "memory": "256Mi" } },
            { "item": "postgresql", "name": "db", "parameters": { "instances": 1, "cpu": "250m", "memory": "512Mi", "storage": "1Gi" } },
            { "item": "object-bucket", "name": "files", "parameters": { "capacity": "1Gi" } },
            { "item": "block-volume", "name": "disk", "parameters": { "size": "1Gi" } }
        ]
    })
}

/// Brings a department of this name to a grant in service, and returns the grant's name.
pub(crate) async fn serve(town: &Arc<Town>, name: &str) -> Result<String> {
    let admin = town.client_of("cloud-admin")?;
    // The two wait for each other whatever the order.
    patiently(&format!("department {name} registered"), || async { world::apply(&admin, &department(name)?).await })
        .await?;
    let namespace = format!("dept-{name}");
    let system = object(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "InformationSystem",
        "metadata": { "name": "system", "namespace": namespace },
        "spec": {
            "displayNames": { "zh-CN": { "full": "测试系统" }, "en": { "full": "system" } },
            "protection": { "level": 2 }, "dataClass": "General", "zone": "GovernmentExtranet"
        }
    }))?;
    let clerk = town.client_of("clerk-finance")?;
    patiently(&format!("the clerk of {name} has a place to work"), || async {
        world::apply(&clerk, std::slice::from_ref(&system)).await
    })
    .await?;
    let door = town.door("clerk-finance")?;
    patiently(&format!("request of {name} created"), || async {
        door.create(name, "order", &order("system")).await.map(drop)
    })
    .await?;
    // Refused while quota, system or item are not in force yet; a department would submit again as well.
    settled(&format!("request of {name} under review"), PATIENCE, || async {
        let request = town.request(name, "order").await?;
        let status = request.status.unwrap_or_default();
        let seen = format!("{:?}: {}", status.phase, said(&status.conditions));
        if status.phase.is_some_and(|p| p != RequestPhase::Draft) {
            return Ok(Ok(()));
        }
        if status.submission == request.spec.submission || request.spec.submission == 0 {
            door.submit(name, "order").await?;
        }
        Ok(Err(seen))
    })
    .await?;
    decide(town, name, "order").await?;
    settled(&format!("grant of {name} in service"), PATIENCE, || async {
        let status = town.request(name, "order").await?.status.unwrap_or_default();
        let Some(grant) = status.grant else { return Ok(Err(said(&status.conditions))) };
        let held = town.grant(name, &grant).await?;
        let seen = format!("{:?}: {}", phase_of(&held), said(&held.status.clone().unwrap_or_default().conditions));
        Ok(if phase_of(&held) == GrantPhase::InService { Ok(grant) } else { Err(seen) })
    })
    .await
}

/// Ends a grant, and waits until zero is proven and released.
pub(crate) async fn end(town: &Arc<Town>, name: &str, grant: &str) -> Result<()> {
    let door = town.door("clerk-finance")?;
    let path = format!("/api/v1/departments/{name}/grants/{grant}/revocation");
    let answer = door.post(&path, &json!({ "justification": "the end" })).await?;
    let revoke = answer.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    decide(town, name, &revoke).await?;
    settled(&format!("grant of {name} revoked"), PATIENCE, || async {
        let held = town.grant(name, grant).await?;
        let status = held.status.clone().unwrap_or_default();
        let seen = format!("{:?} {:?}: {}", status.phase, status.step, said(&status.conditions));
        Ok(if phase_of(&held) == GrantPhase::Revoked { Ok(()) } else { Err(seen) })
    })
    .await?;
    settled(&format!("both requests of {name} carried out"), PATIENCE, || async {
        for request in ["order", &revoke] {
            let status = town.request(name, request).await?.status.unwrap_or_default();
            if status.phase != Some(RequestPhase::Applied) || !status.grant_ended {
                return Ok(Err(format!("{request}: {:?}, {}", status.phase, said(&status.conditions))));
            }
        }
        Ok(Ok(()))
    })
    .await
}

async fn decide(town: &Arc<Town>, name: &str, request: &str) -> Result<()> {
    settled(&format!("request {request} of {name} decided"), PATIENCE, || async {
        let status = town.request(name, request).await?.status.unwrap_or_default();
        match (status.phase, &status.stage) {
            (Some(RequestPhase::InReview), Some(_)) if status.decisions.is_empty() => {}
            (Some(RequestPhase::Approved | RequestPhase::Applied), _) => return Ok(Ok(())),
            (phase, _) => return Ok(Err(format!("{phase:?}: {}", said(&status.conditions)))),
        }
        // A second approval of the same person would not count; the operator may be dead between the two looks.
        if approvals(town, name, request).await? == 0 {
            town.door("head-finance")?.decide(name, request, "Approve", "agreed").await?;
        }
        Ok(Err("an approval waits to be counted".to_owned()))
    })
    .await
}

async fn approvals(town: &Town, name: &str, request: &str) -> Result<usize> {
    let api: Api<zhengyun_crds::Approval> = Api::namespaced(town.admin()?, &format!("dept-{name}"));
    Ok(api.list(&ListParams::default()).await?.items.iter().filter(|a| a.spec.request == request).count())
}

/// What must be true of a life that has ended, whatever happened on the way.
pub(crate) async fn ended_well(town: &Town, name: &str) -> Result<()> {
    let grants: Vec<ResourceGrant> = town.grants(name)?.list(&ListParams::default()).await?.items;
    ensure!(grants.len() == 1, "one request makes one grant, but {name} has {}", grants.len());
    for grant in &grants {
        let charge = grant.status.as_ref().and_then(|s| s.charge.clone()).unwrap_or_default();
        ensure!(charge.granted.is_empty() && charge.reserved.is_empty(), "{name} is revoked and holds {charge:?}");
    }
    let requests: Vec<ResourceRequest> = town.requests(name)?.list(&ListParams::default()).await?.items;
    ensure!(requests.len() == 2, "{name} wrote two requests, but has {}", requests.len());
    for request in &requests {
        let status = request.status.clone().unwrap_or_default();
        ensure!(status.phase == Some(RequestPhase::Applied), "{} is {:?}", request.name_any(), status.phase);
        ensure!(status.decisions.len() == 1, "{} was decided {} times", request.name_any(), status.decisions.len());
    }
    Ok(())
}

/// Nothing stands at a site that carries the mark of a grant.
pub(crate) async fn nothing_at(town: &Town, site: &str) -> Result<()> {
    let api: Api<Namespace> = Api::all(town.site_admin(site)?);
    let left = api.list_metadata(&ListParams::default().labels("zhengyun.io/grant")).await?;
    let names: Vec<String> = left.items.iter().map(ResourceExt::name_any).collect();
    ensure!(names.is_empty(), "left behind at {site}: {names:?}");
    Ok(())
}

/// Takes a department out of the tree, with its system and its quota.
pub(crate) async fn dissolve(town: &Arc<Town>, name: &str) -> Result<()> {
    let admin = town.client_of("cloud-admin")?;
    let (departments, quotas): (Api<Department>, Api<DepartmentQuota>) = (Api::all(admin.clone()), Api::all(admin));
    quotas.delete(name, &DeleteParams::default()).await?;
    departments.delete(name, &DeleteParams::default()).await?;
    settled(&format!("department {name} gone"), PATIENCE, || async {
        let left = (departments.get_opt(name).await?, quotas.get_opt(name).await?);
        let seen = left.0.as_ref().map(|d| said(&d.status.clone().unwrap_or_default().conditions));
        Ok(if left.0.is_none() && left.1.is_none() { Ok(()) } else { Err(format!("{seen:?}")) })
    })
    .await
}

async fn patiently<F: Future<Output = Result<()>>>(what: &str, attempt: impl Fn() -> F) -> Result<()> {
    settled(what, PATIENCE, || async {
        attempt().await?;
        Ok(Ok(()))
    })
    .await
}
