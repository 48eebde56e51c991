//! Metrics. No object names as labels: their number is unbounded.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A controller and how its reconcile ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReconcileLabels {
    /// Kind.
    pub kind: String,
    /// `ok`, `transient`, `stale`.
    pub outcome: String,
}

/// A kind.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct KindLabel {
    /// Kind.
    pub kind: String,
}

/// A site.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SiteLabel {
    /// Site.
    pub site: String,
}

/// A decision of the ledger.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct DecisionLabels {
    /// Site.
    pub site: String,
    /// `committed` or `refused`.
    pub outcome: String,
    /// Condition reason of a refusal, empty otherwise.
    pub reason: String,
}

/// What a request wrote.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct WriteLabels {
    /// `hub` or `site`.
    pub cluster: String,
    /// HTTP method.
    pub verb: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
}

/// Every metric of the operator.
#[derive(Debug)]
pub struct Metrics {
    /// For the exposition.
    pub registry: Registry,
    /// Reconciles.
    pub reconciles: Family<ReconcileLabels, Counter>,
    /// How long reconciles take.
    pub reconcile_seconds: Family<KindLabel, Histogram>,
    /// Ledger commits.
    pub commits: Family<SiteLabel, Counter>,
    /// Decisions in a commit.
    pub batch_size: Family<SiteLabel, Histogram>,
    /// Ledger decisions.
    pub decisions: Family<DecisionLabels, Counter>,
    /// Decisions that wait for the ledger's writer.
    pub queue_depth: Family<SiteLabel, Gauge<i64, AtomicI64>>,
    /// Whether a site answers.
    pub site_reachable: Family<SiteLabel, Gauge<i64, AtomicI64>>,
    /// Objects delivered.
    pub delivered: Family<SiteLabel, Counter>,
    /// Events that were left out because too many came at once.
    pub events_left_out: Counter,
    /// Write requests that were answered, leases apart.
    pub writes: Family<WriteLabels, Counter>,
    /// Objects that could not be decoded.
    pub undecodable: Family<KindLabel, Counter>,
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("zhengyun");
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 9));
        let mut metrics = Self {
            registry: Registry::default(),
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(seconds),
            commits: Family::default(),
            batch_size: Family::new_with_constructor(sizes),
            decisions: Family::default(),
            queue_depth: Family::default(),
            site_reachable: Family::default(),
            delivered: Family::default(),
            events_left_out: Counter::default(),
            writes: Family::default(),
            undecodable: Family::default(),
        };
        registry.register("reconciles", "Reconciles by kind and outcome", metrics.reconciles.clone());
        registry.register("reconcile_seconds", "Duration of reconciles", metrics.reconcile_seconds.clone());
        registry.register("ledger_commits", "Commits of a site's ledger", metrics.commits.clone());
        registry.register("ledger_batch_size", "Decisions in a commit", metrics.batch_size.clone());
        registry.register("ledger_decisions", "Decisions by outcome and reason", metrics.decisions.clone());
        registry.register("ledger_queue_depth", "Decisions that wait for the ledger", metrics.queue_depth.clone());
        registry.register("site_reachable", "1 when the site answers", metrics.site_reachable.clone());
        registry.register("objects_delivered", "Objects created or changed at a site", metrics.delivered.clone());
        registry.register(
            "writes",
            "Write requests by cluster, verb and resource, leases apart",
            metrics.writes.clone(),
        );
        registry.register("undecodable_objects", "Objects that could not be decoded", metrics.undecodable.clone());
        registry.register(
            "events_left_out",
            "Events left out because too many came at once",
            metrics.events_left_out.clone(),
        );
        metrics.registry = registry;
        Arc::new(metrics)
    }

    /// Counts a decision of a site's ledger that was a refusal.
    pub fn refused(&self, site: &str, reason: &str) {
        let labels = DecisionLabels { site: site.to_owned(), outcome: "refused".to_owned(), reason: reason.to_owned() };
        self.decisions.get_or_create(&labels).inc();
    }
}
