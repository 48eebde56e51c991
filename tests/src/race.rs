//! Twenty clients ask one quota, at once and many times over, for more than there is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Api;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;
use zhengyun_crds::{DepartmentQuota, Ledger, RequestPhase, ResourceRequest};

use crate::lab::wait::settled;
use crate::town::{SOON, Town, submitted};
use crate::world;

/// Clients at a time.
pub const CLIENTS: usize = 20;
/// Cores of finance at hohhot in the world of the demo: one request asks for one.
pub const QUOTA: usize = 64;
const PATIENCE: Duration = Duration::from_mins(10);

/// How a race came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that were granted.
    pub granted: usize,
    /// Requests that were refused, by reason.
    pub refused: BTreeMap<String, usize>,
    /// Until the last client had asked.
    pub asked: Duration,
    /// Until the last request had its answer.
    pub decided: Duration,
    /// Processor time of the operator meanwhile.
    pub operator: Duration,
}

/// Lets every client ask `each` times for one core, under a policy without stages, and waits for every answer.
///
/// # Errors
/// When a client hears an error of the API server, or an answer does not come.
pub async fn run(town: &Town, each: usize) -> Result<Outcome> {
    let policy = serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "race" },
        "spec": {
            "displayNames": { "zh-CN": { "full": "竞争测试用免审批" }, "en": { "full": "No stages, for a race" } },
            "match": "request.action == 'Create' && request.class == 'Test'", "priority": 950,
            "autoApprove": { "basis": "a race" }, "confirm": "Auto", "holdSeconds": 0
        }
    }))?;
    world::apply(&town.client_of("cloud-admin")?, &[policy]).await?;
    let decided = tokio::spawn(answers(town.requests("finance")?, CLIENTS * each));
    let clerk = town.client_of("clerk-finance")?;
    let order = json!({
        "action": "Create", "system": "finance-e-invoice", "site": "hohhot", "class": "Test", "justification": "a race",
        "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "1", "memory": "1Mi" } }]
    });
    let spent = town.operator().cpu_time()?;
    let begun = Instant::now();
    stream::iter(0..CLIENTS)
        .map(Ok)
        .try_for_each_concurrent(CLIENTS, |client| {
            let (clerk, order) = (clerk.clone(), &order);
            async move {
                let api: Api<ResourceRequest> = Api::namespaced(clerk, "dept-finance");
                for number in 0..each {
                    let mut body = submitted(&format!("race-{client:02}-{number:03}"), "clerk-finance", order)?;
                    body.metadata.labels = Some([("race".to_owned(), "yes".to_owned())].into());
                    api.create(&PostParams::default(), &body).await?;
                }
                Ok::<_, anyhow::Error>(())
            }
        })
        .await?;
    let asked = begun.elapsed();
    let answers = tokio::time::timeout(PATIENCE, decided).await???;
    let operator = town.operator().cpu_time()?.saturating_sub(spent);
    Ok(Outcome { asked, decided: begun.elapsed(), operator, ..answers })
}

/// Follows the requests until each has its answer: a list of all of them, again and again, would slow down what is watched.
async fn answers(requests: Api<ResourceRequest>, total: usize) -> Result<Outcome> {
    let mut answered = BTreeSet::new();
    let mut outcome = Outcome::default();
    let mut changes =
        watcher(requests, watcher::Config::default().labels("race=yes")).default_backoff().applied_objects().boxed();
    while answered.len() < total {
        let Some(request) = changes.try_next().await? else { break };
        let status = request.status.unwrap_or_default();
        let granted = status.phase == Some(RequestPhase::Applied);
        if (granted || status.refusal.is_some()) && answered.insert(request.metadata.name.unwrap_or_default()) {
            outcome.granted += usize::from(granted);
            if let Some(refusal) = status.refusal {
                *outcome.refused.entry(refusal.reason).or_default() += 1;
            }
        }
    }
    Ok(outcome)
}

impl Outcome {
    /// Exactly the quota was granted, nobody heard another refusal than "exceeded", and ledger and quota say so too.
    ///
    /// # Errors
    /// What is not so.
    pub async fn is_exact(&self, town: &Town) -> Result<()> {
        ensure!(self.granted == QUOTA, "exactly {QUOTA} are granted, but {}", self.granted);
        ensure!(
            self.refused.keys().all(|r| r == "QuotaExceeded"),
            "only \"exceeded\" is heard, but {:?}",
            self.refused
        );
        let (ledgers, quotas): (Api<Ledger>, Api<DepartmentQuota>) = (Api::all(town.admin()?), Api::all(town.admin()?));
        let wanted = QUOTA.to_string();
        settled("ledger and quota show exactly the limit used", SOON, || async {
            let totals = ledgers.get("hohhot").await?.status.unwrap_or_default().totals;
            let usage = quotas.get("finance").await?.status.unwrap_or_default().usage;
            let used = usage.iter().find(|u| u.site == "hohhot").and_then(|u| u.granted.get("cpu"));
            let exact = totals.granted.get("cpu").is_some_and(|q| q.as_str() == wanted)
                && totals.reserved.is_empty()
                && used.is_some_and(|q| q.as_str() == wanted);
            Ok(if exact { Ok(()) } else { Err(format!("{totals:?}, {used:?}")) })
        })
        .await
    }
}
