//! From the last approval to the last object at the site, and from the order to revoke to zero.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;
use zhengyun_crds::{GrantPhase, RequestPhase, marks};

use super::{Figure, Gate, quantile};
use crate::lab::wait::settled;
use crate::town::{Town, phase_of};
use crate::world;

const DEPARTMENT: &str = "finance";
const PATIENCE: Duration = Duration::from_mins(2);

/// When the last object of each grant was first seen at the site, and how many.
type Seen = Arc<Mutex<BTreeMap<String, (usize, Instant)>>>;

pub(super) async fn measure(town: &Town, in_flight: usize, say: &mut dyn FnMut(&str)) -> Result<Vec<Figure>> {
    prepare(town).await?;
    let seen = Seen::default();
    let _watching = watch(&town.site_admin("hohhot")?, &seen);
    say(&format!("{in_flight} requests wait for their last approval"));
    let names: Vec<String> = (0..in_flight).map(|number| format!("delivery-{number:03}")).collect();
    for name in &names {
        let order = json!({
            "action": "Create", "system": "finance-e-invoice", "site": "hohhot", "class": "Temporary", "justification": "figures",
            "leaseEnd": "2035-01-01", "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "100m", "memory": "64Mi" } }]
        });
        town.submit("clerk-finance", DEPARTMENT, name, &order).await?;
    }
    for name in &names {
        town.in_phase(DEPARTMENT, name, RequestPhase::InReview).await?;
        api_shows(town, name).await?;
    }
    say("all are approved at once");
    let answered: BTreeMap<String, Instant> = stream::iter(&names)
        .map(|name| async move {
            town.door("head-finance")?.decide(DEPARTMENT, name, "Approve", "agreed").await?;
            Ok::<_, anyhow::Error>((name.clone(), Instant::now()))
        })
        .buffer_unordered(in_flight)
        .try_collect()
        .await?;
    let grants = grants(town, &names).await?;
    let mut delays = Vec::new();
    let mut objects = 0;
    for (name, (uid, wanted)) in &grants {
        let last = settled(&format!("every object of {name} seen"), PATIENCE, || async {
            let all = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let (count, at) = all.get(uid).copied().unwrap_or((0, Instant::now()));
            Ok(if count >= *wanted { Ok(at) } else { Err(format!("{count} of {wanted}")) })
        })
        .await?;
        objects = objects.max(*wanted);
        let answered = answered.get(name).context("every request was answered")?;
        // Some objects are there before the approver's own answer has arrived.
        delays.push(last.saturating_duration_since(*answered).as_secs_f64());
    }
    let mut figures = vec![
        Figure {
            name: "delivery-p95",
            what: format!(
                "last approval answered → last of {objects} objects seen at the site, {in_flight} requests approved at once, 95 of 100"
            ),
            value: quantile(delays.clone(), 0.95)?,
            unit: "s",
            gate: Some(Gate::AtMost(1.0)),
        },
        Figure {
            name: "delivery-p50",
            what: "the same, half of them".to_owned(),
            value: quantile(delays, 0.5)?,
            unit: "s",
            gate: None,
        },
    ];
    figures.extend(revocation(town, &names, objects, say).await?);
    Ok(figures)
}

/// One stage, confirmed by itself, no hold.
async fn prepare(town: &Town) -> Result<()> {
    let policy = |name: &str, condition: &str, hold: u32| {
        serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": name },
            "spec": {
                "displayNames": { "zh-CN": { "full": "测量用流程" }, "en": { "full": "For figures" } }, "match": condition,
                "priority": 900, "stages": [{ "name": "department" }], "confirm": "Auto", "holdSeconds": hold
            }
        }))
    };
    let policies = [
        policy("figures-create", "request.action == 'Create' && request.class == 'Temporary'", 0)?,
        policy("figures-revoke", "request.action == 'Revoke'", 0)?,
    ];
    world::apply(&town.client_of("cloud-admin")?, &policies).await
}

fn watch(site: &Client, seen: &Seen) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(follow::<Namespace>(site.clone(), Arc::clone(seen)));
    tasks.spawn(follow::<NetworkPolicy>(site.clone(), Arc::clone(seen)));
    tasks.spawn(follow::<ResourceQuota>(site.clone(), Arc::clone(seen)));
    tasks.spawn(follow::<LimitRange>(site.clone(), Arc::clone(seen)));
    tasks.spawn(follow::<RoleBinding>(site.clone(), Arc::clone(seen)));
    tasks
}

async fn follow<K>(site: Client, seen: Seen)
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let config = watcher::Config::default().labels(marks::LABEL_GRANT_UID);
    let mut known = std::collections::BTreeSet::new();
    let mut changes = watcher(Api::<K>::all(site), config).default_backoff().applied_objects().boxed();
    while let Some(change) = changes.next().await {
        let Ok(object) = change else { continue };
        if known.insert(object.uid().unwrap_or_default()) {
            let grant = object.labels().get(marks::LABEL_GRANT_UID).cloned().unwrap_or_default();
            let mut all = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = all.entry(grant).or_insert((0, Instant::now()));
            *entry = (entry.0 + 1, Instant::now());
        }
    }
}

async fn api_shows(town: &Town, name: &str) -> Result<()> {
    let door = town.door("head-finance")?;
    let path = world::door::request_path(DEPARTMENT, name);
    settled(&format!("the API shows {name} under review"), PATIENCE, || async {
        let seen = door.get(&path).await?;
        let stage = seen.pointer("/stage/name").and_then(serde_json::Value::as_str);
        Ok(if stage == Some("department") { Ok(()) } else { Err(format!("stage {stage:?}")) })
    })
    .await
}

/// UID of each request's grant, and how many objects it has at the site.
async fn grants(town: &Town, names: &[String]) -> Result<BTreeMap<String, (String, usize)>> {
    let mut grants = BTreeMap::new();
    for name in names {
        let request = town.in_phase(DEPARTMENT, name, RequestPhase::Applied).await?;
        let grant = request.status.and_then(|s| s.grant).context("an applied request names its grant")?;
        let held = town.grant_when(DEPARTMENT, &grant, "in service", |g| phase_of(g) == GrantPhase::InService).await?;
        let objects = held.status.as_ref().map_or(0, |s| s.inventory.len());
        grants.insert(name.clone(), (held.uid().unwrap_or_default(), objects));
    }
    Ok(grants)
}

/// One after the other: from the answer to the last decision on a Revoke order until the grant is `Revoked`.
async fn revocation(town: &Town, names: &[String], objects: usize, say: &mut dyn FnMut(&str)) -> Result<Vec<Figure>> {
    const ONE_BY_ONE: usize = 20;
    say(&format!("{ONE_BY_ONE} grants are revoked one after the other, the rest at once"));
    let (singly, rest) = names.split_at(ONE_BY_ONE.min(names.len()));
    let mut seconds = Vec::new();
    for name in singly {
        seconds.push(revoke(town, name).await?);
    }
    let together: Vec<f64> =
        stream::iter(rest).map(|name| revoke(town, name)).buffer_unordered(rest.len().max(1)).try_collect().await?;
    let mut figures = vec![Figure {
        name: "revoke-p95",
        what: format!(
            "revocation decided (no hold) → zero proven and released, {objects} objects, one by one, 95 of 100; kube-controller-manager itself waits 5 s before it empties a namespace"
        ),
        value: quantile(seconds, 0.95)?,
        unit: "s",
        gate: Some(Gate::AtMost(5.0)),
    }];
    if !together.is_empty() {
        figures.push(Figure {
            name: "revoke-together",
            what: format!("the same with {} at once, 95 of 100", together.len()),
            value: quantile(together, 0.95)?,
            unit: "s",
            gate: None,
        });
    }
    Ok(figures)
}

async fn revoke(town: &Town, name: &str) -> Result<f64> {
    let grant = town.request(DEPARTMENT, name).await?.status.and_then(|s| s.grant).context("a grant")?;
    let path = format!("/api/v1/departments/{DEPARTMENT}/grants/{grant}/revocation");
    let answer = town.door("clerk-finance")?.post(&path, &json!({ "justification": "figures" })).await?;
    let order = answer.get("name").and_then(serde_json::Value::as_str).context("a request")?.to_owned();
    api_shows(town, &order).await?;
    town.door("head-finance")?.decide(DEPARTMENT, &order, "Approve", "agreed").await?;
    let decided = Instant::now();
    town.grant_when(DEPARTMENT, &grant, "revoked", |g| phase_of(g) == GrantPhase::Revoked).await?;
    Ok(decided.elapsed().as_secs_f64())
}
