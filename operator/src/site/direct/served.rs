//! Whether a site has a kind, and under which version.

use serde_json::Value;

use crate::site::SiteError;
use crate::site::call::{Failure, said, text};
use crate::site::link::SiteLink;

/// Under what a kind can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// Under this version.
    At(String),
    /// Under none: the API server lists the whole group, and the kind is not in any version of it.
    Nowhere,
}

/// Asks discovery for a kind: under the version that is known, or any other of its group.
///
/// An object stays while its version is no longer served, so the answer "nowhere" takes every version of the group into account.
/// A version that cannot be read is an error: it could hold the kind.
pub(super) async fn served(link: &SiteLink, group: &str, version: &str, plural: &str) -> Result<Served, SiteError> {
    let mut versions = versions(link, group).await?;
    // The known one first: it is the one to list with, if it is served.
    versions.sort_by_key(|v| v != version);
    for version in versions {
        let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let what = format!("GET {path}");
        let resources: Value = get(link, &path).await.map_err(|f| unreadable(link, &what, f))?;
        let Some(resources) = resources.get("resources").and_then(Value::as_array) else {
            return Err(SiteError::Failing {
                site: link.name().to_owned(),
                what,
                cause: "the answer holds no list of kinds".to_owned(),
            });
        };
        if resources.iter().any(|r| text(r, "/name") == plural) {
            return Ok(Served::At(version));
        }
    }
    Ok(Served::Nowhere)
}

/// Every version of a group that the API server has; none if it says that there is no such group.
async fn versions(link: &SiteLink, group: &str) -> Result<Vec<String>, SiteError> {
    if group.is_empty() {
        return Ok(vec!["v1".to_owned()]);
    }
    // The list of all groups, not the group's own path: a 404 there could come from anything in between.
    let groups: Value = get(link, "/apis").await.map_err(|f| unreadable(link, "GET /apis", f))?;
    let Some(groups) = groups.get("groups").and_then(Value::as_array).filter(|g| !g.is_empty()) else {
        return Err(SiteError::Failing {
            site: link.name().to_owned(),
            what: "GET /apis".to_owned(),
            cause: "the answer holds no groups".to_owned(),
        });
    };
    let found = groups.iter().find(|g| text(g, "/name") == group);
    let versions = found.and_then(|g| g.get("versions")).and_then(Value::as_array).into_iter().flatten();
    Ok(versions.map(|v| text(v, "/version").to_owned()).filter(|v| !v.is_empty()).collect())
}

async fn get(link: &SiteLink, path: &str) -> Result<Value, Failure> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::core::request::Error::BuildRequest);
    link.ask(&format!("GET {path}"), request).await
}

/// A group that is announced but cannot be read is a failure of the site, also where it answers 404.
fn unreadable(link: &SiteLink, what: &str, failure: Failure) -> SiteError {
    match failure {
        Failure::Answer(status) if status.code == 404 => {
            SiteError::Failing { site: link.name().to_owned(), what: what.to_owned(), cause: said(&status) }
        }
        other => other.unexpected(link, what),
    }
}
