//! Whether the books are right: at every revision while something runs, and to the unit afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail, ensure};
use futures::StreamExt as _;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::task::JoinHandle;
use zhengyun_crds::{Amounts, GrantPhase, Ledger, ResourceGrant, ResourceRequest};
use zhengyun_domain::quota;
use zhengyun_tests::audit;
use zhengyun_tests::lab::Lab;

/// What one resource adds up to, in thousandths.
type Sum = i128;

/// Looks at every committed revision of the ledgers: no sum is above the limit, no sequence falls.
#[derive(Debug)]
pub struct Auditor {
    findings: Arc<Mutex<Findings>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Findings {
    revisions: u64,
    sequences: BTreeMap<String, i64>,
    highest: BTreeMap<String, Sum>,
    faults: Vec<String>,
}

impl Auditor {
    /// Watches the ledgers; `limits` are the cores that each site's sums may never exceed.
    pub fn start(client: &Client, limits: BTreeMap<String, u64>) -> Self {
        let findings = Arc::new(Mutex::new(Findings::default()));
        let seen = Arc::clone(&findings);
        let api: Api<Ledger> = Api::all(client.clone());
        let task = tokio::spawn(async move {
            let mut changes = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
            while let Some(change) = changes.next().await {
                let Ok(ledger) = change else { continue };
                seen.lock().unwrap_or_else(PoisonError::into_inner).look(&ledger, &limits);
            }
        });
        Self { findings, task }
    }

    /// How many revisions were looked at, and the highest sum of cores at each site.
    ///
    /// # Errors
    /// What was not right.
    pub fn finish(self) -> Result<(u64, BTreeMap<String, u64>)> {
        self.task.abort();
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if !findings.faults.is_empty() {
            bail!("the books were wrong on the way: {}", findings.faults.join("; "));
        }
        ensure!(findings.revisions > 0, "no revision of a ledger was seen");
        let highest = findings.highest.iter().map(|(site, sum)| (site.clone(), u64::try_from(sum / 1000).unwrap_or(0)));
        Ok((findings.revisions, highest.collect()))
    }
}

impl Findings {
    fn look(&mut self, ledger: &Ledger, limits: &BTreeMap<String, u64>) {
        let Some(status) = &ledger.status else { return };
        let site = ledger.name_any();
        self.revisions += 1;
        let before = self.sequences.insert(site.clone(), status.sequence).unwrap_or(status.sequence);
        if status.sequence < before {
            self.faults.push(format!("{site}: sequence fell from {before} to {}", status.sequence));
        }
        let sum = cores(&status.totals.reserved).and_then(|r| Ok(r + cores(&status.totals.granted)?));
        match sum {
            Ok(sum) => {
                let highest = self.highest.entry(site.clone()).or_default();
                *highest = (*highest).max(sum);
                if limits.get(&site).is_some_and(|limit| sum > i128::from(*limit) * 1000) {
                    self.faults.push(format!("{site}: {sum} thousandths of a core at sequence {}", status.sequence));
                }
            }
            Err(error) => self.faults.push(format!("{site}: {error:#}")),
        }
        if let Some(held) = &status.held {
            self.faults.push(format!("{site} is held: {}", held.message));
        }
    }
}

/// Thousandths of a core.
fn cores(amounts: &Amounts) -> Result<Sum> {
    let amounts = quota::amounts("totals", amounts)?;
    let found = amounts.iter().find(|(resource, _)| resource.as_str() == "cpu");
    Ok(found.map_or(0, |(_, quantity)| quantity.milli()))
}

/// What a site's ledger says is reserved and granted, in cores.
///
/// # Errors
/// When there is none.
pub async fn totals(client: &Client, site: &str) -> Result<(u64, u64)> {
    let totals = Api::<Ledger>::all(client.clone()).get(site).await?.status.unwrap_or_default().totals;
    let whole = |amounts: &Amounts| -> Result<u64> { Ok(u64::try_from(cores(amounts)? / 1000)?) };
    Ok((whole(&totals.reserved)?, whole(&totals.granted)?))
}

/// What the grants of departments add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Grants.
    pub grants: usize,
    /// Of these, `Revoked`.
    pub revoked: usize,
    /// Cores that the grants of a site say they hold.
    pub cores: u64,
}

/// Adds up every grant at a site, page by page, from the grants themselves.
///
/// # Errors
/// When the hub does not answer, or a revoked grant still says that it holds something.
pub async fn holdings(client: &Client, site: &str) -> Result<Holdings> {
    let mut all = Holdings::default();
    for grant in pages::<ResourceGrant>(client).await? {
        if grant.spec.site != site {
            continue;
        }
        let status = grant.status.clone().unwrap_or_default();
        let held = status.charge.map_or(Ok(0), |charge| Ok::<_, anyhow::Error>(cores(&charge.granted)? / 1000))?;
        all.grants += 1;
        if status.phase == Some(GrantPhase::Revoked) {
            all.revoked += 1;
            ensure!(held == 0, "{} is revoked and holds {held} cores", grant.name_any());
        }
        all.cores += u64::try_from(held)?;
    }
    Ok(all)
}

/// How many requests are in each phase.
///
/// # Errors
/// When the hub does not answer.
pub async fn request_phases(client: &Client) -> Result<BTreeMap<String, usize>> {
    let mut phases = BTreeMap::new();
    for request in pages::<ResourceRequest>(client).await? {
        let phase = request.status.and_then(|s| s.phase).map_or_else(String::new, |p| p.as_str().to_owned());
        *phases.entry(phase).or_default() += 1;
    }
    Ok(phases)
}

/// The independent audit agrees with the ledgers.
///
/// # Errors
/// What it says instead.
pub async fn balanced(lab: &Lab) -> Result<()> {
    audit::balanced(&lab.hub().admin_kubeconfig()).await
}

async fn pages<K>(client: &Client) -> Result<Vec<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(500);
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|c| !c.is_empty()) {
            Some(next) => params = ListParams::default().limit(500).continue_token(&next),
            None => return Ok(all),
        }
    }
}
