//! Every write request to the hub and to sites, counted by what it writes; and, for tests, the end of the process at one of them.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{Method, Request};

use super::metrics::{Metrics, WriteLabels};

/// Where a client's requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// The hub.
    Hub,
    /// Any site.
    Site,
}

impl Cluster {
    /// `hub` or `site`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Site => "site",
        }
    }
}

/// What a request writes: where, with which verb, which resource (`resourcegrants/status`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteKind {
    /// `hub` or `site`.
    pub cluster: String,
    /// HTTP method.
    pub verb: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
}

impl fmt::Display for WriteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.cluster, self.verb, self.resource)
    }
}

impl WriteKind {
    /// The kind of a request; `None` for one that stores nothing, and for leases, which are renewed all the time by themselves.
    fn of<B>(cluster: Cluster, request: &Request<B>) -> Option<Self> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let tries = request.uri().query().is_some_and(|q| q.split('&').any(|pair| pair.starts_with("dryRun=")));
        if reads || tries {
            return None;
        }
        let resource = resource_of(request.uri().path())?;
        let answered_only = resource.ends_with("accessreviews") || resource.ends_with("tokenreviews");
        (!answered_only && resource != "leases").then(|| Self {
            cluster: cluster.as_str().to_owned(),
            verb: request.method().as_str().to_owned(),
            resource,
        })
    }
}

/// The plural of a path, with the subresource: `/apis/zhengyun.io/v1alpha1/namespaces/dept-a/resourcegrants/g/status`.
fn resource_of(path: &str) -> Option<String> {
    let mut parts = path.trim_matches('/').split('/').skip_while(|p| *p != "api" && *p != "apis");
    let versions = if parts.next()? == "api" { 1 } else { 2 };
    let rest: Vec<&str> = parts.skip(versions).collect();
    let (plural, after) = match rest.as_slice() {
        // `namespaces/<name>/<plural>` is a kind in a namespace; `namespaces/<name>/status` is the namespace itself.
        ["namespaces", _, sub @ ("status" | "finalize")] => ("namespaces", Some(*sub)),
        ["namespaces", _, plural, after @ ..] | [plural, after @ ..] => (*plural, after.get(1).copied()),
        [] => return None,
    };
    Some(after.map_or_else(|| plural.to_owned(), |sub| format!("{plural}/{sub}")))
}

/// A point at which a test wants the process to end: the n-th write of a kind, such as `hub PATCH ledgers/status 3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    kind: WriteKind,
    count: u64,
}

impl FromStr for CrashPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [cluster @ ("hub" | "site"), verb, resource, count] = parts.as_slice() else {
            return Err(format!(
                "{text:?} is no crash point; write `hub|site METHOD RESOURCE COUNT`, such as `hub PATCH ledgers/status 3`"
            ));
        };
        let count = count.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("{count:?} is no count from 1 on"))?;
        let kind =
            WriteKind { cluster: (*cluster).to_owned(), verb: (*verb).to_owned(), resource: (*resource).to_owned() };
        Ok(Self { kind, count })
    }
}

/// Counts writes, and ends the process where a test asked for it.
#[derive(Debug)]
pub struct Writes {
    metrics: Arc<Metrics>,
    crash: Option<(CrashPoint, AtomicU64)>,
}

impl Writes {
    /// Counts into these metrics.
    pub fn new(metrics: Arc<Metrics>, crash: Option<CrashPoint>) -> Arc<Self> {
        Arc::new(Self { metrics, crash: crash.map(|point| (point, AtomicU64::new(0))) })
    }

    /// The layer for the clients of a cluster.
    pub fn layer(self: &Arc<Self>, cluster: Cluster) -> WriteLayer {
        WriteLayer { writes: Arc::clone(self), cluster }
    }

    /// A write was answered.
    fn answered(&self, kind: &WriteKind) {
        let labels =
            WriteLabels { cluster: kind.cluster.clone(), verb: kind.verb.clone(), resource: kind.resource.clone() };
        self.metrics.writes.get_or_create(&labels).inc();
        if let Some((point, seen)) = &self.crash
            && point.kind == *kind
            && seen.fetch_add(1, Ordering::AcqRel).saturating_add(1) == point.count
        {
            // Between the write and everything that would follow from its answer: the worst moment for a power cut.
            std::process::abort();
        }
    }
}

/// Puts [`Writes`] under a client.
#[derive(Clone, Debug)]
pub struct WriteLayer {
    writes: Arc<Writes>,
    cluster: Cluster,
}

impl<S> tower::Layer<S> for WriteLayer {
    type Service = WriteService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WriteService { inner, layer: self.clone() }
    }
}

/// A client's requests, watched for writes.
#[derive(Clone, Debug)]
pub struct WriteService<S> {
    inner: S,
    layer: WriteLayer,
}

impl<S, B> tower::Service<Request<B>> for WriteService<S>
where
    S: tower::Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let kind = WriteKind::of(self.layer.cluster, &request);
        let answer = self.inner.call(request);
        let writes = Arc::clone(&self.layer.writes);
        Box::pin(async move {
            let answer = answer.await;
            if let Some(kind) = kind {
                writes.answered(&kind);
            }
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Cluster, CrashPoint, WriteKind, resource_of};

    #[test]
    fn a_path_names_its_resource() {
        for (path, wanted) in [
            ("/api/v1/namespaces", "namespaces"),
            ("/api/v1/namespaces/dept-a", "namespaces"),
            ("/api/v1/namespaces/dept-a/status", "namespaces/status"),
            ("/api/v1/namespaces/a/pods/p/eviction", "pods/eviction"),
            ("/apis/zhengyun.io/v1alpha1/ledgers/hohhot/status", "ledgers/status"),
            ("/apis/zhengyun.io/v1alpha1/namespaces/dept-a/resourcegrants/g", "resourcegrants"),
            ("/apis/zhengyun.io/v1alpha1/namespaces/dept-a/resourcegrants/g/status", "resourcegrants/status"),
            ("/k8s/clusters/c1/apis/apps/v1/namespaces/a/deployments", "deployments"),
        ] {
            assert_eq!(resource_of(path).as_deref(), Some(wanted), "{path}");
        }
    }

    #[test]
    fn what_stores_nothing_is_no_write() {
        let kind = |method: &str, uri: &str| {
            WriteKind::of(Cluster::Site, &Request::builder().method(method).uri(uri).body(()).unwrap())
        };
        assert_eq!(kind("GET", "/api/v1/namespaces"), None);
        assert_eq!(kind("POST", "/api/v1/namespaces?&dryRun=All"), None);
        assert_eq!(kind("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"), None);
        assert_eq!(kind("PATCH", "/apis/coordination.k8s.io/v1/namespaces/a/leases/b"), None);
        assert_eq!(kind("DELETE", "/api/v1/namespaces/a").unwrap().to_string(), "site DELETE namespaces");
    }

    #[test]
    fn a_crash_point_is_read_or_explained() {
        assert!("hub PATCH ledgers/status 3".parse::<CrashPoint>().is_ok());
        for bad in ["3", "moon PATCH ledgers 1", "hub PATCH ledgers 0", "hub PATCH ledgers x"] {
            assert!(bad.parse::<CrashPoint>().is_err(), "{bad}");
        }
    }
}
