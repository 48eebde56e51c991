//! What a run costs: processor time and memory of each process, requests that the API servers answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use zhengyun_tests::lab::proc::ProcessId;
use zhengyun_tests::lab::{Component, ControlPlane, Lab};

use crate::prometheus::{Sample, requests, samples};

/// Looks at every process of a lab, at the product's programs, and at this program itself.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    planes: Vec<Arc<ControlPlane>>,
    components: Vec<(&'static str, Arc<Component>)>,
    others: Vec<(&'static str, ProcessId)>,
}

/// One look.
#[derive(Clone, Debug)]
pub struct Snapshot {
    at: Instant,
    cpu: BTreeMap<String, Duration>,
    peak: BTreeMap<String, u64>,
    requests: BTreeMap<String, u64>,
    writes: BTreeMap<String, u64>,
    reconciles: BTreeMap<String, u64>,
}

/// What was spent between two looks.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// What was done meanwhile.
    pub during: String,
    /// What one item is.
    pub item: &'static str,
    /// Items done.
    pub items: u64,
    /// Seconds.
    pub wall_seconds: f64,
    /// Processor time per item and process, milliseconds. Sites are added up.
    pub cpu_ms_per_item: BTreeMap<String, f64>,
    /// Highest resident memory so far (VmHWM), megabytes; of sites the largest.
    pub peak_rss_mb: BTreeMap<String, f64>,
    /// Requests that API servers answered, per item, by cluster, verb and resource. Whoever sent them: clients and controllers too.
    pub requests_per_item: BTreeMap<String, f64>,
    /// Writes of the operator per item, by its own count; leases apart.
    pub operator_writes_per_item: BTreeMap<String, f64>,
    /// How often the operator looked at something, per item, by kind and outcome (`ok`, `stale`, `transient`).
    pub reconciles_per_item: BTreeMap<String, f64>,
}

impl Meter {
    /// Of a lab's control planes.
    pub fn of(lab: &Lab) -> Self {
        Self { planes: lab.planes().cloned().collect(), ..Self::default() }
    }

    /// Of control planes without a lab.
    pub fn of_planes(planes: &[Arc<ControlPlane>]) -> Self {
        Self { planes: planes.to_vec(), ..Self::default() }
    }

    /// A program of the product as well.
    #[must_use]
    pub fn with(mut self, name: &'static str, component: &Arc<Component>) -> Self {
        self.components.push((name, Arc::clone(component)));
        self
    }

    /// Any other process as well.
    #[must_use]
    pub fn with_process(mut self, name: &'static str, id: ProcessId) -> Self {
        self.others.push((name, id));
        self
    }

    /// Looks.
    ///
    /// # Errors
    /// When a process is gone or an API server gives no metrics.
    pub async fn look(&self) -> Result<Snapshot> {
        let mut all = Snapshot {
            at: Instant::now(),
            cpu: BTreeMap::new(),
            peak: BTreeMap::new(),
            requests: BTreeMap::new(),
            writes: BTreeMap::new(),
            reconciles: BTreeMap::new(),
        };
        let mut add = |name: String, id: ProcessId| -> Result<()> {
            *all.cpu.entry(name.clone()).or_default() += id.cpu_time()?;
            let peak = all.peak.entry(name).or_default();
            *peak = (*peak).max(id.peak_rss_bytes()?);
            Ok(())
        };
        for plane in &self.planes {
            let cluster = cluster(plane);
            for process in plane.processes() {
                let tool = process.name().rsplit('/').next().unwrap_or_default();
                add(format!("{cluster} {tool}"), process.id())?;
            }
        }
        for (name, component) in &self.components {
            add((*name).to_owned(), component.process().id())?;
        }
        for (name, id) in &self.others {
            add((*name).to_owned(), *id)?;
        }
        if let Some(own) = ProcessId::of(std::process::id()) {
            add("clients (this program)".to_owned(), own)?;
        }
        for plane in &self.planes {
            for (request, count) in requests(&plane.metrics().await?) {
                *all.requests.entry(format!("{} {request}", cluster(plane))).or_default() += count;
            }
        }
        for (name, component) in &self.components {
            if *name == "operator" {
                let text = metrics_of(component).await?;
                all.writes = counters(&text, "zhengyun_writes_total", &["cluster", "verb", "resource"]);
                all.reconciles = counters(&text, "zhengyun_reconciles_total", &["kind", "outcome"]);
            }
        }
        Ok(all)
    }
}

async fn metrics_of(component: &Component) -> Result<String> {
    let answer = reqwest::get(format!("{}/metrics", component.metrics_url())).await?;
    Ok(answer.error_for_status()?.text().await?)
}

/// A counter by its labels: `hub PATCH ledgers/status`.
fn counters(text: &str, metric: &str, labels: &[&str]) -> BTreeMap<String, u64> {
    let name = |sample: &Sample<'_>| labels.iter().map(|label| sample.label(label)).collect::<Vec<_>>().join(" ");
    samples(text, metric).map(|sample| (name(&sample), sample.whole())).collect()
}

fn cluster(plane: &ControlPlane) -> &'static str {
    if plane.name() == "hub" { "hub" } else { "sites" }
}

impl Snapshot {
    /// When it was taken.
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// Highest resident memory of a process so far, in bytes.
    pub fn peak(&self, process: &str) -> u64 {
        self.peak.get(process).copied().unwrap_or_default()
    }

    /// Requests that were answered since an earlier look.
    pub fn requests_since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        between(&earlier.requests, &self.requests)
    }

    /// What was spent from this look to a later one.
    pub fn until(&self, later: &Self, during: impl Into<String>, item: &'static str, items: u64) -> Spent {
        let per = items.max(1) as f64;
        let cpu = later.cpu.iter().map(|(name, spent)| {
            let before = self.cpu.get(name).copied().unwrap_or_default();
            (name.clone(), spent.saturating_sub(before).as_secs_f64() * 1000.0 / per)
        });
        Spent {
            during: during.into(),
            item,
            items,
            wall_seconds: later.at.duration_since(self.at).as_secs_f64(),
            cpu_ms_per_item: cpu.collect(),
            peak_rss_mb: later.peak.iter().map(|(name, bytes)| (name.clone(), *bytes as f64 / 1e6)).collect(),
            requests_per_item: per_item(&self.requests, &later.requests, per),
            operator_writes_per_item: per_item(&self.writes, &later.writes, per),
            reconciles_per_item: per_item(&self.reconciles, &later.reconciles, per),
        }
    }
}

fn between(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let since = |name: &str, count: u64| count.saturating_sub(before.get(name).copied().unwrap_or_default());
    after.iter().map(|(name, count)| (name.clone(), since(name, *count))).filter(|(_, count)| *count > 0).collect()
}

fn per_item(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>, per: f64) -> BTreeMap<String, f64> {
    between(before, after).into_iter().map(|(name, count)| (name, count as f64 / per)).collect()
}

impl Spent {
    /// Items a second.
    pub fn rate(&self) -> f64 {
        self.items as f64 / self.wall_seconds
    }

    /// Processor time of a process per item, milliseconds.
    pub fn cpu(&self, process: &str) -> f64 {
        self.cpu_ms_per_item.get(process).copied().unwrap_or_default()
    }

    /// Peak memory of a process, megabytes.
    pub fn peak(&self, process: &str) -> f64 {
        self.peak_rss_mb.get(process).copied().unwrap_or_default()
    }

    /// Writes of the operator per item to a cluster, split into those of the item's own objects and those shared by a batch.
    pub fn operator_writes(&self, cluster: &str) -> (f64, f64) {
        let shared =
            |name: &str| ["ledgers/", "departmentquotas/", "sites/", " events"].iter().any(|s| name.contains(s));
        let ours = self.operator_writes_per_item.iter().filter(|(name, _)| name.starts_with(cluster));
        ours.fold(
            (0.0, 0.0),
            |(own, batch), (name, count)| {
                if shared(name) { (own, batch + count) } else { (own + count, batch) }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::Snapshot;

    #[test]
    fn only_what_lies_between_two_looks_is_counted() {
        let at = Instant::now();
        let look = |seconds: u64, count: u64| Snapshot {
            at: at + Duration::from_secs(seconds),
            cpu: BTreeMap::from([("operator".to_owned(), Duration::from_millis(seconds * 100))]),
            peak: BTreeMap::from([("operator".to_owned(), 5_000_000)]),
            requests: BTreeMap::from([("hub PATCH a".to_owned(), count), ("hub GET a".to_owned(), 3)]),
            reconciles: BTreeMap::new(),
            writes: BTreeMap::from([
                ("hub PATCH ledgers/status".to_owned(), count),
                ("hub POST grants".to_owned(), count),
            ]),
        };
        let spent = look(1, 10).until(&look(3, 50), "a test", "item", 20);
        assert!((spent.cpu("operator") - 10.0).abs() < 1e-9 && (spent.rate() - 10.0).abs() < 1e-9);
        assert_eq!(spent.requests_per_item, BTreeMap::from([("hub PATCH a".to_owned(), 2.0)]));
        let (own, batch) = spent.operator_writes("hub");
        assert!((own - 2.0).abs() < 1e-9 && (batch - 2.0).abs() < 1e-9);
    }
}
