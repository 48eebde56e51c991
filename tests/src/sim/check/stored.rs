//! I1 of the bytes of backups: what stands in a bucket is charged to its department, and whoever writes there holds its ceiling.

use std::collections::BTreeMap;

use super::super::recovery::BUCKETS;
use super::super::run::Standing;
use super::amount::thousandths;
use super::books::held;
use super::{View, on_hub, text};
use crate::apiserver::{Key, Verb};

const RESOURCE: &str = "storage.backup";

/// Bytes that stand in a bucket, by department: what the snapshots hold, counted here.
fn stored(standing: &Standing, bucket: &str) -> BTreeMap<String, i128> {
    let nowhere = Key { group: String::new(), plural: String::new(), namespace: String::new(), name: String::new() };
    let mut all: BTreeMap<String, i128> = BTreeMap::new();
    let objects = standing.range((bucket.to_owned(), nowhere)..).take_while(|((cluster, _), _)| cluster == bucket);
    for ((_, key), object) in objects {
        let Some((department, _)) = key.name.split_once(".snapshot.") else { continue };
        let items: BTreeMap<String, String> = serde_json::from_str(text(object, "/data/items")).unwrap_or_default();
        let bytes: usize = items.values().map(String::len).sum();
        let sum = all.entry(department.to_owned()).or_default();
        *sum = sum.saturating_add(i128::try_from(bytes).unwrap_or(i128::MAX));
    }
    all
}

/// Site of the store that a bucket belongs to.
fn site_of(standing: &Standing, bucket: &str) -> Option<String> {
    let mut stores = on_hub(standing, "backupstores");
    let (_, store) = stores.find(|(_, store)| text(store, "/spec/backend/s3/bucket") == bucket)?;
    Some(text(store, "/spec/site").to_owned())
}

/// Thousandths of a byte that each plan of a department holds at a site.
fn held_by_plans(standing: &Standing, site: &str, department: &str) -> BTreeMap<String, i128> {
    let space = format!("dept-{department}");
    let plans = on_hub(standing, "recoveryplans").filter(|(key, _)| key.namespace == space);
    let uids: Vec<&str> = plans.map(|(_, plan)| text(plan, "/metadata/uid")).collect();
    let of_plans = held(standing, site).into_iter().filter(|(uid, _)| uids.contains(&uid.as_str()));
    of_plans
        .map(|(uid, held)| {
            let of = |sums: &super::Sums| sums.get(RESOURCE).copied().unwrap_or_default();
            (uid, of(&held.reserved).saturating_add(of(&held.granted)))
        })
        .collect()
}

pub(super) fn what_stands_is_charged(view: &View<'_>) -> Vec<String> {
    let written = BUCKETS.contains(&view.commit.cluster.as_str()) && view.commit.key.name.contains(".snapshot.");
    if !written && !["ledgers", "recoveryplans"].into_iter().any(|plural| view.is_hub(plural)) {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    for bucket in BUCKETS {
        let Some(site) = site_of(view.after, bucket) else { continue };
        for (department, bytes) in stored(view.after, bucket) {
            let charged = held_by_plans(view.after, &site, &department).values().sum::<i128>();
            if bytes.saturating_mul(1000) > charged {
                wrong.push(format!(
                    "{bytes} bytes of {department} stand in {bucket}, charged are {charged} thousandths"
                ));
            }
        }
    }
    wrong
}

pub(super) fn runs_hold_their_ceiling(view: &View<'_>) -> Vec<String> {
    let (bucket, key) = (view.commit.cluster.as_str(), &view.commit.key);
    if !BUCKETS.contains(&bucket) || view.commit.verb == Verb::Delete || view.commit.agent == "admin" {
        return Vec::new();
    }
    let Some((department, _)) = key.name.split_once(".snapshot.") else { return Vec::new() };
    let run = text(&view.commit.after, "/data/run");
    let backup = on_hub(view.after, "systembackups").find(|(_, backup)| text(backup, "/metadata/uid") == run);
    let plan_uid = backup.map(|(_, backup)| text(backup, "/spec/planUID")).unwrap_or_default();
    let Some((_, plan)) = on_hub(view.after, "recoveryplans").find(|(_, plan)| text(plan, "/metadata/uid") == plan_uid)
    else {
        return vec![format!("run {run} writes for no plan")];
    };
    let ceiling = thousandths(text(plan, "/spec/ceiling")).unwrap_or_default();
    let site = site_of(view.after, bucket).unwrap_or_default();
    let holds = held_by_plans(view.after, &site, department).get(plan_uid).copied().unwrap_or_default();
    if holds >= ceiling {
        return Vec::new();
    }
    vec![format!("run {run} writes, and its plan holds {holds} of {ceiling} thousandths at {site}")]
}
