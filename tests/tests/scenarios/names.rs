//! A name that is used again, and names that are alike once they are cut.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;
use zhengyun_crds::RequestPhase;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::Town;
use zhengyun_tests::town::{SOON, said};

use super::world::{forget, order, revoke, serve, space, with};

pub(crate) async fn a_name_used_again_is_another_thing(town: &Arc<Town>) -> Result<()> {
    draft_again(town).await?;
    grant_again(town).await?;
    alike(town).await
}

/// A draft under review is withdrawn and deleted; another of its name starts from nothing.
async fn draft_again(town: &Town) -> Result<()> {
    let name = "again";
    let order = with(space("5"), "/class", json!("Standard"));
    town.submit("clerk-finance", "finance", name, &order).await?;
    let first = town.in_phase("finance", name, RequestPhase::InReview).await?;
    town.door("clerk-finance")?
        .post(&format!("/api/v1/departments/finance/requests/{name}/withdrawal"), &json!({}))
        .await?;
    town.in_phase("finance", name, RequestPhase::Withdrawn).await?;
    forget(town, "finance", name).await?;
    town.submit("clerk-finance", "finance", name, &with(order, "/items/0/parameters/cpu", json!("7"))).await?;
    let second = town.in_phase("finance", name, RequestPhase::InReview).await?;
    ensure!(first.uid() != second.uid(), "another object");
    let status = second.status.unwrap_or_default();
    ensure!(
        status.decisions.is_empty() && status.editors == ["clerk-finance"],
        "nothing of the first is in the second"
    );
    let reserved = status.charge.map(|c| c.reserved).unwrap_or_default();
    ensure!(reserved.get("cpu").is_some_and(|q| q.as_str() == "7"), "{reserved:?}");
    town.door("clerk-finance")?
        .post(&format!("/api/v1/departments/finance/requests/{name}/withdrawal"), &json!({}))
        .await?;
    town.in_phase("finance", name, RequestPhase::Withdrawn).await?;
    forget(town, "finance", name).await
}

/// A grant has ended and its records were deleted; a request of the same name gets a grant and a namespace of its own.
async fn grant_again(town: &Town) -> Result<()> {
    let name = "reused";
    let first = serve(town, name, &space("1")).await?;
    let former = town.grant("finance", &first).await?.status.and_then(|s| s.namespace).context("a namespace")?;
    let live = town.requests("finance")?.delete(name, &DeleteParams::default()).await;
    ensure!(live.is_err(), "the request of a live grant is not deleted");
    revoke(town, &first).await?;
    town.grants("finance")?.delete(&first, &DeleteParams::default()).await?;
    settled("the record of the ended grant is deleted", SOON, || async {
        Ok(town
            .grants("finance")?
            .get_opt(&first)
            .await?
            .map_or(Ok(()), |g| Err(said(&g.status.unwrap_or_default().conditions))))
    })
    .await?;
    // The order ended with its grant: the record may go as well.
    settled("the ended request may be deleted", SOON, || async {
        Ok(town.requests("finance")?.delete(name, &DeleteParams::default()).await.map(drop).map_err(|e| e.to_string()))
    })
    .await?;
    settled("the ended request gone", SOON, || async {
        Ok(town.requests("finance")?.get_opt(name).await?.map_or(Ok(()), |_| Err("there".to_owned())))
    })
    .await?;
    let second = serve(town, name, &space("1")).await?;
    let present = town.grant("finance", &second).await?.status.and_then(|s| s.namespace).context("a namespace")?;
    ensure!(first != second && former != present, "{first} at {former}, {second} at {present}");
    revoke(town, &second).await
}

/// The longest request names, which differ only where the names at the site are cut.
async fn alike(town: &Town) -> Result<()> {
    let long = "a-very-long-name-of-a-request-that-is-cut-somewhere-on";
    let mut places = Vec::new();
    for end in ["-x", "-y"] {
        let name = format!("{long}{end}");
        let grant = serve(town, &name, &order("object-bucket", "files", &json!({ "capacity": "1Gi" }))).await?;
        let namespace = town.grant("finance", &grant).await?.status.and_then(|s| s.namespace).context("a namespace")?;
        ensure!(namespace.len() <= 63 && grant.len() <= 63, "{grant} {namespace}");
        places.push((grant, namespace));
    }
    let [(grant_x, at_x), (grant_y, at_y)] = places.as_slice() else { unreachable!("two were served") };
    ensure!(grant_x != grant_y && at_x != at_y, "{places:?}");
    revoke(town, grant_x).await?;
    let other = town.grant("finance", grant_y).await?;
    ensure!(
        zhengyun_tests::town::phase_of(&other) == zhengyun_crds::GrantPhase::InService,
        "the other one is untouched"
    );
    revoke(town, grant_y).await
}
