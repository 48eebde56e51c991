//! Lists of one kind.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use serde_json::Value;

use super::spool::{Spool, Spooled};
use super::{Seen, Wanted, unreadable};
use crate::cluster::discover::Kind;
use crate::cluster::{Cluster, Refusal, escaped, may_pass, text};
use crate::error::Result;

/// Objects of a page, unless that many are more than what is taken at once.
const PAGE: u32 = 500;
/// How often a list that went stale between two pages is begun anew.
const RESTARTS: u32 = 5;

/// A kind that is spooled.
pub(super) struct Listed {
    pub(super) spool: Spool,
    /// In the order of their names.
    pub(super) objects: Vec<Spooled>,
    pub(super) seen: Seen,
    /// Objects that a controller makes again.
    pub(super) left_out: u64,
    /// Objects of a page that is not too large.
    pub(super) page: u32,
}

/// Lists all objects of a kind at one resource version.
pub(super) async fn spool(cluster: &Cluster, wanted: &Wanted, kind: &Kind) -> Result<Listed> {
    let (mut restarts, mut page) = (RESTARTS, PAGE);
    loop {
        let spool = Spool::new(&wanted.spool_dir)?;
        let mut listed = Listed { spool, objects: Vec::new(), seen: Seen::new(), left_out: 0, page };
        let list = Pages { cluster, path: kind.path(&wanted.namespace), kind, metadata: false, page };
        match list.each(|object| listed.take(wanted, kind, object)).await? {
            Ended::Whole => {
                listed.objects.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(listed);
            }
            Ended::Stale if restarts > 0 => restarts -= 1,
            Ended::Stale => return Err(unreadable(wanted, kind, "the list went stale between pages again and again")),
            // A list goes on as it began, so it begins anew.
            Ended::Refused(Refusal::TooLarge) if page > 1 => page = (page / 8).max(1),
            // Later it may answer.
            Ended::Refused(refusal) if may_pass(&refusal) => {
                return Err(refusal.told(&format!("GET {}", kind.path(&wanted.namespace))));
            }
            Ended::Refused(refusal) => return Err(unreadable(wanted, kind, refusal.cause())),
        }
    }
}

/// Names of objects that are not as they were captured: changed, new, or gone.
pub(super) async fn changed(
    cluster: &Cluster,
    namespace: &str,
    kind: &Kind,
    page: u32,
    mut seen: Seen,
) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let list = Pages { cluster, path: kind.path(namespace), kind, metadata: true, page };
    let ended = list
        .each(|object| {
            let name = text(&object, "/metadata/name");
            if seen.remove(name) != Some(state(&object)) && !is_made_again(kind, &object) {
                names.push(name.to_owned());
            }
            Ok(())
        })
        .await?;
    match ended {
        Ended::Whole => {}
        // Nothing captured depends on this list: that it cannot be told is told.
        Ended::Stale | Ended::Refused(_) => names.push("(not known)".to_owned()),
    }
    names.extend(seen.into_keys());
    names.sort_unstable();
    Ok(names)
}

enum Ended {
    Whole,
    /// The server has forgotten the version that the next page is of.
    Stale,
    Refused(Refusal),
}

/// A list in pages.
struct Pages<'a> {
    cluster: &'a Cluster,
    path: String,
    kind: &'a Kind,
    /// Metadata alone.
    metadata: bool,
    page: u32,
}

impl Pages<'_> {
    async fn each(&self, mut each: impl FnMut(Value) -> Result<()>) -> Result<Ended> {
        let first = format!("{}?limit={}", self.path, self.page);
        let mut next = first.clone();
        loop {
            let cluster = self.cluster;
            let answer = if self.metadata { cluster.read_metadata(&next).await } else { cluster.read(&next).await };
            let mut answer = match answer {
                Ok(answer) => answer,
                Err(refusal) if refusal.code() == Some(410) => return Ok(Ended::Stale),
                Err(refusal) => return Ok(Ended::Refused(refusal)),
            };
            // The kind of the items stands in the list alone.
            let api_version = text(&answer, "/apiVersion").to_owned();
            match answer.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => {
                    for mut item in items {
                        if !self.metadata
                            && let Some(object) = item.as_object_mut()
                        {
                            object.entry("apiVersion").or_insert_with(|| api_version.clone().into());
                            object.entry("kind").or_insert_with(|| self.kind.kind.clone().into());
                        }
                        each(item)?;
                    }
                }
                // An empty list of metadata comes as null.
                Some(Value::Null) => {}
                _ => return Ok(Ended::Refused(Refusal::Silence("the answer holds no list".to_owned()))),
            }
            let token = text(&answer, "/metadata/continue");
            if token.is_empty() {
                return Ok(Ended::Whole);
            }
            next = format!("{first}&continue={}", escaped(token));
        }
    }
}

impl Listed {
    fn take(&mut self, wanted: &Wanted, kind: &Kind, mut object: Value) -> Result<()> {
        let name = text(&object, "/metadata/name").to_owned();
        if is_made_again(kind, &object) {
            self.left_out += 1;
            return Ok(());
        }
        // API servers refuse such names; one that does not must not lead us out of the directory.
        if name.is_empty() || name.len() > 255 || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(unreadable(wanted, kind, format!("the name {name:?} cannot be stored")));
        }
        self.seen.insert(name.clone(), state(&object));
        // Who wrote which field last: half the size of a small object, and of no use elsewhere.
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let created: Option<Timestamp> = text(&object, "/metadata/creationTimestamp").parse().ok();
        let bytes = serde_json::to_vec(&object).map_err(|e| unreadable(wanted, kind, e))?;
        self.objects.push(self.spool.add(name, created, bytes)?);
        Ok(())
    }
}

/// Whether a controller makes an object again by itself.
fn is_made_again(kind: &Kind, object: &Value) -> bool {
    let owned = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
    match kind.directory().as_str() {
        "pods" | "replicasets.apps" => owned,
        "configmaps" => text(object, "/metadata/name") == "kube-root-ca.crt",
        _ => false,
    }
}

/// What identifies the state of an object.
fn state(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    [text(object, "/metadata/uid"), text(object, "/metadata/resourceVersion")].hash(&mut hasher);
    hasher.finish()
}
