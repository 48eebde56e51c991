//! Departments with impossible places, quotas beyond what is there.

use std::sync::Arc;

use anyhow::{Result, ensure};
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::{Department, DepartmentQuota};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town};
use zhengyun_tests::world::apply;

use super::world::{contains, ours, says};

fn unit(parent: &str, level: &str) -> Value {
    json!({
        "type": "Institution", "level": level, "parent": parent,
        "displayNames": { "zh-CN": { "full": "测试单位" }, "en": { "full": "A test unit" } }
    })
}

fn quota(site: &str, cpu: &str) -> Value {
    json!({ "limits": [{ "site": site, "hard": { "cpu": cpu } }] })
}

pub(crate) async fn bad_places_and_quotas_are_refused(town: &Arc<Town>) -> Result<()> {
    let admin = town.client_of("cloud-admin")?;
    let cases = [
        (ours("Department", "bad-parent", None, &unit("nobody", "Region")), "ParentNotFound", vec!["nobody"]),
        (
            ours("Department", "bad-level", None, &unit("hohhot-education", "Region")),
            "LevelMismatch",
            vec!["spec.parent", "hohhot-education", "level or above"],
        ),
        // Two that name each other wait for ever unless somebody says so.
        (ours("Department", "circle-a", None, &unit("circle-b", "Region")), "CyclicTree", vec!["circle-a", "circle-b"]),
        (ours("Department", "circle-b", None, &unit("circle-a", "Region")), "CyclicTree", vec!["circle-a", "circle-b"]),
        (
            ours("DepartmentQuota", "nobody", None, &quota("hohhot", "1")),
            "DepartmentNotFound",
            vec!["metadata.name", "nobody"],
        ),
        (
            ours("DepartmentQuota", "culture-tourism", None, &quota("nowhere", "1")),
            "SiteNotFound",
            vec!["spec.limits[nowhere].site", "kubectl get sites"],
        ),
        (
            ours("DepartmentQuota", "hohhot-education", None, &quota("hohhot", "25")),
            "LimitAboveParent",
            vec!["25", "24", "hohhot"],
        ),
        // The region has 400: emergency and finance have 64 each, the league 24.
        (ours("DepartmentQuota", "education", None, &quota("hohhot", "300")), "ChildrenAboveParent", vec!["400"]),
    ];
    let objects: Vec<_> = cases.iter().map(|(object, ..)| object.clone()).collect();
    apply(&admin, &objects).await?;
    for (object, reason, fragments) in &cases {
        let message = says(town, object, reason).await?;
        contains(&object.name_any(), &message, fragments)?;
    }
    a_move_under_itself_is_refused(town).await?;
    let (departments, quotas): (Api<Department>, Api<DepartmentQuota>) = (Api::all(admin.clone()), Api::all(admin));
    for (object, ..) in &cases {
        match object.types.as_ref().map(|t| t.kind.as_str()) {
            Some("Department") => drop(departments.delete(&object.name_any(), &DeleteParams::default()).await?),
            _ => drop(quotas.delete(&object.name_any(), &DeleteParams::default()).await?),
        }
    }
    settled("what was refused goes without a trace", SOON, || async {
        for (object, ..) in &cases {
            let name = object.name_any();
            let kind = object.types.as_ref().map(|t| t.kind.clone()).unwrap_or_default();
            let there = match kind.as_str() {
                "Department" => departments.get_opt(&name).await?.is_some(),
                _ => quotas.get_opt(&name).await?.is_some(),
            };
            if there {
                return Ok(Err(format!("{kind} {name} is there")));
            }
        }
        Ok(Ok(()))
    })
    .await
}

/// A department of the standing tree that is to hang below its own child.
async fn a_move_under_itself_is_refused(town: &Town) -> Result<()> {
    let admin = town.client_of("cloud-admin")?;
    let child = ours("Department", "finance-child", None, &unit("finance", "Region"));
    apply(&admin, std::slice::from_ref(&child)).await?;
    says(town, &child, "AsIntended").await?;
    let departments: Api<Department> = Api::all(admin.clone());
    let finance = departments.get("finance").await?;
    let mut moved: kube::core::DynamicObject = serde_json::from_value(serde_json::to_value(&finance)?)?;
    moved.metadata = kube::core::ObjectMeta { name: Some("finance".to_owned()), ..Default::default() };
    moved.data.as_object_mut().unwrap().remove("status");
    moved.data["spec"]["parent"] = json!("finance-child");
    apply(&admin, &[moved.clone()]).await?;
    let message = says(town, &moved, "CyclicTree").await?;
    contains("finance below its child", &message, &["finance", "finance-child"])?;
    let in_force = departments.get("finance").await?.status.and_then(|s| s.parent);
    ensure!(in_force == finance.spec.parent, "the place in force stays as it was, but is {in_force:?}");
    moved.data["spec"]["parent"] = json!(finance.spec.parent);
    apply(&admin, &[moved.clone()]).await?;
    says(town, &moved, "AsIntended").await?;
    departments.delete("finance-child", &DeleteParams::default()).await?;
    settled("the child gone", SOON, || async {
        Ok(departments.get_opt("finance-child").await?.map_or(Ok(()), |d| Err(format!("{:?}", d.status))))
    })
    .await
}
