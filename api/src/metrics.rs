//! Figures about the API itself; no object or person is ever a label.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the buckets of request durations, in seconds.
const DURATION_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    review: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// Everything that is counted.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    reviews: Family<ReviewLabels, Counter>,
    cached: Family<KindLabels, Gauge>,
    undecodable: Family<KindLabels, Gauge>,
    watch_failures: Family<KindLabels, Counter>,
    unseen_writes: Family<KindLabels, Counter>,
    panics: Counter<u64, AtomicU64>,
}

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

impl Metrics {
    /// Figures at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("zhengyun_api");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered, by method, route and status", requests.clone());
        let durations = Family::<RouteLabels, Histogram, fn() -> Histogram>::new_with_constructor(durations);
        registry.register_with_unit(
            "http_request_duration",
            "Time from request to answer",
            Unit::Seconds,
            durations.clone(),
        );
        let in_flight = Gauge::default();
        registry.register("http_requests_in_flight", "Requests being served", in_flight.clone());
        let reviews = Family::default();
        registry.register(
            "reviews",
            "Reviews asked of the hub or answered from memory (outcome: asked, remembered, failed)",
            reviews.clone(),
        );
        let cached = Family::default();
        registry.register("cached_objects", "Objects held by the watch caches", cached.clone());
        let undecodable = Family::default();
        registry.register(
            "undecodable_objects",
            "Objects that the watch caches cannot read and leave out",
            undecodable.clone(),
        );
        let watch_failures = Family::default();
        registry.register(
            "watch_failures",
            "Failures of watches, each followed by another attempt",
            watch_failures.clone(),
        );
        let unseen_writes = Family::default();
        registry.register(
            "unseen_writes",
            "Writes that were answered before the watch cache had seen them",
            unseen_writes.clone(),
        );
        let panics = Counter::default();
        registry.register("panics", "Requests that ended in a defect of the API", panics.clone());
        Self {
            registry: Arc::new(registry),
            requests,
            durations,
            in_flight,
            reviews,
            cached,
            undecodable,
            watch_failures,
            unseen_writes,
            panics,
        }
    }

    /// Counts a request as being served until the guard is dropped, whatever becomes of it.
    pub(crate) fn serving(&self) -> Serving {
        self.in_flight.inc();
        Serving(self.in_flight.clone())
    }

    /// Records an answer.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        self.durations
            .get_or_create(&RouteLabels { method: method.clone(), route: route.clone() })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// Records where the answer of a review came from.
    pub(crate) fn reviewed(&self, review: &'static str, outcome: &'static str) {
        self.reviews.get_or_create(&ReviewLabels { review, outcome }).inc();
    }

    /// Records what a watch cache holds.
    pub(crate) fn holds(&self, kind: &'static str, objects: usize, undecodable: usize) {
        self.cached.get_or_create(&KindLabels { kind }).set(i64::try_from(objects).unwrap_or(i64::MAX));
        self.undecodable.get_or_create(&KindLabels { kind }).set(i64::try_from(undecodable).unwrap_or(i64::MAX));
    }

    /// Records that a watch failed.
    pub(crate) fn watch_failed(&self, kind: &'static str) {
        self.watch_failures.get_or_create(&KindLabels { kind }).inc();
    }

    /// Records that a write was answered before its cache had seen it.
    pub(crate) fn not_caught_up(&self, kind: &'static str) {
        self.unseen_writes.get_or_create(&KindLabels { kind }).inc();
    }

    /// Records a panic.
    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// Everything in the OpenMetrics text format.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A request being served.
pub(crate) struct Serving(Gauge);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Metrics;

    #[test]
    fn figures_show_in_the_text() {
        let metrics = Metrics::new();
        let serving = metrics.serving();
        metrics.answered("GET", "/api/v1/me", 200, Duration::from_millis(3));
        metrics.reviewed("token", "asked");
        metrics.holds("Department", 3, 1);
        metrics.not_caught_up("Department");
        let text = metrics.text().unwrap();
        for line in [
            "zhengyun_api_http_requests_total{method=\"GET\",route=\"/api/v1/me\",status=\"200\"} 1",
            "zhengyun_api_http_requests_in_flight 1",
            "zhengyun_api_http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/me\"} 1",
            "zhengyun_api_reviews_total{review=\"token\",outcome=\"asked\"} 1",
            "zhengyun_api_undecodable_objects{kind=\"Department\"} 1",
            "zhengyun_api_unseen_writes_total{kind=\"Department\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        drop(serving);
        assert!(metrics.text().unwrap().contains("in_flight 0"));
    }
}
