//! Freezing: network denied, pods ended and none admitted, data kept.

use futures::StreamExt;
use zhengyun_crds::grant::InventoryEntry;
use zhengyun_domain::delivery::Desired;

use super::apply::apply;
use super::delete::{Fate, delete_pod};
use super::namespace::{Found, find};
use crate::site::SiteError;
use crate::site::call::{Collection, Detail, text};
use crate::site::driver::Applied;
use crate::site::link::SiteLink;

/// Pods that are ended at a time.
const AT_A_TIME: usize = 8;

pub(super) async fn freeze(
    link: &SiteLink,
    desired: &[Desired],
    inventory: &[InventoryEntry],
    grant_uid: &str,
    namespace: &str,
) -> Result<Applied, SiteError> {
    // The quota without pods and the closed network first: what is ended is not made again.
    let applied = apply(link, desired, inventory, grant_uid, &[]).await?;
    let mut failures = Vec::new();
    if matches!(find(link, namespace, &applied.inventory, Some(grant_uid)).await?, Found::Ours(_)) {
        failures.extend(end_pods(link, namespace, grant_uid).await?);
    }
    failures.extend(applied.failures.iter().cloned());
    if failures.is_empty() {
        return Ok(applied);
    }
    Err(SiteError::Refused {
        site: link.name().to_owned(),
        what: format!("freezing {namespace}"),
        cause: failures.join("; "),
    })
}

/// Deletes every pod of the namespace, each as it was seen.
async fn end_pods(link: &SiteLink, namespace: &str, grant_uid: &str) -> Result<Vec<String>, SiteError> {
    let pods = Collection::of("", "v1", "Pod", "pods", namespace);
    let found = link.list(&pods, None, Detail::Metadata).await.map_err(|f| f.unexpected(link, "LIST Pod"))?;
    let one_by_one: Vec<_> = found
        .iter()
        .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
        .map(|pod| {
            let name = text(pod, "/metadata/name");
            let pods = &pods;
            async move { (name, delete_pod(link, pods, name, text(pod, "/metadata/uid"), grant_uid).await) }
        })
        .collect();
    let mut ended = futures::stream::iter(one_by_one).buffer_unordered(AT_A_TIME);
    let mut failures = Vec::new();
    while let Some((name, fate)) = ended.next().await {
        if let Fate::Refused(why) = fate? {
            failures.push(format!("Pod {name} still runs: {why}"));
        }
    }
    Ok(failures)
}
