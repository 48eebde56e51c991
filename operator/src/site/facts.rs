//! What a site says about itself.

use serde_json::Value;
use zhengyun_crds::marks;
use zhengyun_domain::amounts::{Amounts, ResourceName};
use zhengyun_domain::quantity::Quantity;

use super::SiteError;
use super::call::{Collection, Detail, label, text};
use super::link::SiteLink;

/// A namespace at a site that says it belongs to a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// Department.
    pub department: String,
    /// Name of the grant.
    pub grant: String,
    /// UID of the grant.
    pub grant_uid: String,
    /// The namespace.
    pub namespace: String,
}

/// Kubernetes version of the site.
pub async fn version(link: &SiteLink) -> Result<String, SiteError> {
    let what = "GET /version";
    let request = http::Request::get("/version").body(Vec::new()).map_err(kube::core::request::Error::BuildRequest);
    let answer: Value = link.ask(what, request).await.map_err(|f| f.unexpected(link, what))?;
    Ok(text(&answer, "/gitVersion").chars().take(64).collect())
}

/// UID of the site's `kube-system` namespace: which cluster it is.
pub async fn cluster_uid(link: &SiteLink) -> Result<String, SiteError> {
    let refused = |cause: &str| SiteError::Refused {
        site: link.name().to_owned(),
        what: "GET Namespace kube-system".to_owned(),
        cause: cause.to_owned(),
    };
    let found = link
        .get(&Collection::namespaces(), "kube-system")
        .await
        .map_err(|f| f.unexpected(link, "GET Namespace kube-system"))?;
    let system =
        found.ok_or_else(|| refused("there is no such namespace, so the cluster cannot be told from another"))?;
    match text(&system, "/metadata/uid") {
        "" => Err(refused("it has no UID")),
        uid => Ok(uid.to_owned()),
    }
}

/// CPU and memory that the nodes offer; none if the cluster has no nodes, as a lab.
pub async fn allocatable(link: &SiteLink) -> Result<Option<Amounts>, SiteError> {
    let nodes = Collection::of("", "v1", "Node", "nodes", "");
    let nodes = link.list(&nodes, None, Detail::Whole).await.map_err(|f| f.unexpected(link, "LIST Node"))?;
    if nodes.is_empty() {
        return Ok(None);
    }
    let mut sum = Amounts::new();
    for node in &nodes {
        let offered = offered(node).map_err(|cause| SiteError::Refused {
            site: link.name().to_owned(),
            what: format!("status.allocatable of Node {}", text(node, "/metadata/name")),
            cause,
        })?;
        sum = sum.checked_add(&offered).map_err(|error| SiteError::Refused {
            site: link.name().to_owned(),
            what: "status.allocatable of all nodes".to_owned(),
            cause: error.to_string(),
        })?;
    }
    Ok(Some(sum))
}

fn offered(node: &Value) -> Result<Amounts, String> {
    let mut offered = Amounts::new();
    for resource in ["cpu", "memory"] {
        let Some(amount) = node.pointer("/status/allocatable").and_then(|a| a.get(resource)).and_then(Value::as_str)
        else {
            continue;
        };
        let amount: Quantity =
            amount.parse().map_err(|e: zhengyun_domain::quantity::QuantityError| format!("{resource}: {e}"))?;
        offered.set(ResourceName::try_from(resource).map_err(|e| e.to_string())?, amount);
    }
    Ok(offered)
}

/// Every namespace at the site that says it belongs to a grant.
pub async fn sweep(link: &SiteLink) -> Result<Vec<Labelled>, SiteError> {
    let selector = marks::LABEL_GRANT_UID;
    let found = link
        .list(&Collection::namespaces(), Some(selector), Detail::Metadata)
        .await
        .map_err(|f| f.unexpected(link, "LIST Namespace"))?;
    let labelled = |namespace: &Value| Labelled {
        department: label(namespace, marks::LABEL_DEPARTMENT).to_owned(),
        grant: label(namespace, marks::LABEL_GRANT).to_owned(),
        grant_uid: label(namespace, marks::LABEL_GRANT_UID).to_owned(),
        namespace: text(namespace, "/metadata/name").to_owned(),
    };
    Ok(found.iter().map(labelled).collect())
}
