//! Putting the world in place: tree, quotas, sites, catalogue, policies, systems.

use std::time::{Duration, Instant};

use anyhow::Result;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use zhengyun_crds::condition::is_true;
use zhengyun_crds::{CatalogItem, ConditionType, Department, DepartmentQuota, Site};

use crate::lab::wait::settled;
use crate::world;

/// Applies the world as the cloud administrator, with `kubectl apply`'s own mechanism, and waits until all of it is Ready.
///
/// `admin` is the cloud administrator's client. Information systems belong to the departments, so `everywhere` writes them: a
/// client with all rights.
///
/// # Errors
/// What was refused, or did not become Ready.
pub async fn establish(admin: &Client, everywhere: &Client, out: &mut dyn FnMut(&str)) -> Result<()> {
    let begun = Instant::now();
    let departments = world::departments()?;
    out(&format!("cloud-admin registers {} divisions and departments", departments.len()));
    world::apply(admin, &departments).await?;
    let expected = departments.len();
    let api: Api<Department> = Api::all(admin.clone());
    settled("every department Ready", Duration::from_mins(1), || async {
        let all = api.list(&ListParams::default()).await?;
        let ready = all
            .iter()
            .filter(|d| d.status.as_ref().is_some_and(|s| is_true(&s.conditions, ConditionType::Ready)))
            .count();
        Ok(if ready >= expected { Ok(()) } else { Err(format!("{ready} of {expected} are Ready")) })
    })
    .await?;
    out(&format!(
        "  the tree stands: 1 region, 12 leagues, 103 banners, {} units ({:.1} s)",
        expected - 116,
        begun.elapsed().as_secs_f64()
    ));

    out("cloud-admin registers two sites (capacities invented), catalogue and approval policies");
    world::apply(admin, &world::sites()?).await?;
    world::apply(admin, &world::kind_documents("catalog/items")?).await?;
    world::apply(admin, &world::kind_documents("catalog/policies")?).await?;
    world::apply(admin, &[demo_revocation()?]).await?;
    let sites: Api<Site> = Api::all(admin.clone());
    let items: Api<CatalogItem> = Api::all(admin.clone());
    settled("sites and catalogue Ready", Duration::from_mins(1), || async {
        let sites = sites.list(&ListParams::default()).await?;
        let items = items.list(&ListParams::default()).await?;
        let mut waiting: Vec<String> = Vec::new();
        for site in &sites {
            let status = site.status.clone().unwrap_or_default();
            if !is_true(&status.conditions, ConditionType::Ready) {
                waiting.push(format!(
                    "site {}: {:?}",
                    site.name_any(),
                    zhengyun_crds::condition::find(&status.conditions, ConditionType::Ready).map(|c| &c.message)
                ));
            }
        }
        for item in &items {
            let status = item.status.clone().unwrap_or_default();
            if !is_true(&status.conditions, ConditionType::Ready) {
                waiting.push(format!(
                    "item {}: {:?}",
                    item.name_any(),
                    zhengyun_crds::condition::find(&status.conditions, ConditionType::Ready).map(|c| &c.message)
                ));
            }
        }
        Ok(if waiting.is_empty() { Ok(()) } else { Err(waiting.join("; ")) })
    })
    .await?;
    out("cloud-admin sets quotas at three levels: region, leagues, departments");
    world::apply(admin, &world::quotas()?).await?;
    let quotas: Api<DepartmentQuota> = Api::all(admin.clone());
    settled("quotas in force", Duration::from_secs(30), || async {
        let all = quotas.list(&ListParams::default()).await?;
        let waiting: Vec<String> = all
            .iter()
            .filter(|q| !q.status.as_ref().is_some_and(|s| is_true(&s.conditions, ConditionType::Accepted)))
            .map(|q| {
                format!(
                    "{}: {:?}",
                    q.name_any(),
                    q.status.as_ref().and_then(|s| s.conditions.first().map(|c| c.message.clone()))
                )
            })
            .collect();
        Ok(if waiting.is_empty() { Ok(()) } else { Err(waiting.join("; ")) })
    })
    .await?;
    world::apply(everywhere, &world::information_systems()?).await?;
    out(&format!("  the world stands ({:.1} s)", begun.elapsed().as_secs_f64()));
    Ok(())
}

/// The shipped policy holds a revocation frozen for seven days; the story cannot wait, and says so.
fn demo_revocation() -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "demo-revoke" },
        "spec": {
            "displayNames": { "zh-CN": { "full": "演示用回收流程（冻结 5 秒）" }, "en": { "full": "Revocation for the demo (5 seconds of hold instead of 7 days)" } },
            "match": "request.action == 'Revoke' && !request.byAuthority", "priority": 200,
            "stages": [{ "name": "department" }], "holdSeconds": 5
        }
    }))?)
}
