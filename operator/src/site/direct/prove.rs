//! Proof of zero: nothing of a grant is left at its site.
//!
//! Every read is answered from the newest state (no `resourceVersion` is given), to its last page. What cannot be read proves
//! nothing: it is an error, never a zero.

use std::collections::BTreeSet;

use serde_json::Value;
use zhengyun_crds::catalog::ResidueRule;
use zhengyun_crds::grant::{ClaimRecord, InventoryEntry};
use zhengyun_domain::condition::cut;
use zhengyun_domain::seeded::{self, Bug};

use super::delete::waits_for;
use super::namespace::{Found, find};
use super::served::{Served, served};
use crate::site::SiteError;
use crate::site::call::{Collection, Detail, text};
use crate::site::driver::Zero;
use crate::site::link::SiteLink;

/// Most lines of a proof, and most things that are named of what is left.
const MOST_LINES: usize = 64;

/// A kind: group, version, kind, plural.
type Kind<'a> = (&'a str, &'a str, &'a str, &'a str);

pub(super) async fn prove_zero(
    link: &SiteLink,
    namespace: &str,
    inventory: &[InventoryEntry],
    residue: &[ResidueRule],
    claims: &[ClaimRecord],
) -> Result<Zero, SiteError> {
    let mut checks = Vec::new();
    let replaced = match find(link, namespace, inventory, None).await? {
        Found::Ours(live) => return Ok(Zero::Residue(vec![waits_for("Namespace", &live)])),
        Found::Gone => {
            checks.push(format!("Namespace {namespace}: not found"));
            false
        }
        Found::Foreign => {
            checks.push(format!("Namespace {namespace}: is another one"));
            true
        }
    };
    if seeded::is(Bug::ZeroAssumed) {
        return Ok(Zero::Proven(checks));
    }
    let uids: BTreeSet<&str> =
        inventory.iter().filter_map(|e| e.uid.as_deref()).chain(claims.iter().map(|c| c.uid.as_str())).collect();
    let proof = Proof { link, namespace, replaced, uids };
    let mut left = Vec::new();
    for kind in kinds(inventory) {
        proof.no_objects(kind, &mut checks, &mut left).await?;
    }
    for rule in with_volumes(residue) {
        proof.no_residue(&rule, &mut checks, &mut left).await?;
    }
    checks.truncate(MOST_LINES);
    left.truncate(MOST_LINES);
    Ok(if left.is_empty() { Zero::Proven(checks) } else { Zero::Residue(left) })
}

/// The namespaced kinds of an inventory, each once; claims on storage in any case, for tenants make them too.
fn kinds(inventory: &[InventoryEntry]) -> BTreeSet<Kind<'_>> {
    let own = inventory
        .iter()
        .filter(|e| !e.namespace.is_empty())
        .map(|e| (e.group.as_str(), e.version.as_str(), e.kind.as_str(), e.plural.as_str()));
    own.chain([("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")]).collect()
}

/// The items' own rules, and volumes in any case.
fn with_volumes(rules: &[ResidueRule]) -> Vec<ResidueRule> {
    let mut all = rules.to_vec();
    if !all.iter().any(|r| r.group.is_empty() && r.plural == "persistentvolumes") {
        all.push(ResidueRule {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "PersistentVolume".to_owned(),
            plural: "persistentvolumes".to_owned(),
            reference: "/spec/claimRef".to_owned(),
        });
    }
    all
}

struct Proof<'a> {
    link: &'a SiteLink,
    namespace: &'a str,
    /// Whether the namespace of that name is somebody else's now: then only UIDs tell what was the grant's.
    replaced: bool,
    uids: BTreeSet<&'a str>,
}

impl Proof<'_> {
    async fn no_objects(
        &self,
        kind: Kind<'_>,
        checks: &mut Vec<String>,
        left: &mut Vec<String>,
    ) -> Result<(), SiteError> {
        let (group, version, name, plural) = kind;
        let Served::At(version) = served(self.link, group, version, plural).await? else {
            // A kind is removed together with its objects, and the namespace was emptied of what there was before it went. Where the
            // namespace is somebody else's, neither is certain.
            if self.replaced {
                return Err(self.unproven(format!("the site has no kind {name} ({group}) any more, and the namespace is another one; make the kind known again, or look by hand")));
            }
            checks.push(format!("{name}: the site has no such kind, and the namespace is gone"));
            return Ok(());
        };
        let place = Collection::of(group, &version, name, plural, self.namespace);
        let found = self
            .link
            .list(&place, None, Detail::Metadata)
            .await
            .map_err(|f| f.unexpected(self.link, &format!("LIST {name}")))?;
        let ours: Vec<&Value> =
            found.iter().filter(|o| !self.replaced || self.uids.contains(text(o, "/metadata/uid"))).collect();
        checks.push(format!("{name} in {}: {}", self.namespace, ours.len()));
        left.extend(ours.into_iter().map(|object| waits_for(name, object)));
        Ok(())
    }

    async fn no_residue(
        &self,
        rule: &ResidueRule,
        checks: &mut Vec<String>,
        left: &mut Vec<String>,
    ) -> Result<(), SiteError> {
        let Served::At(version) = served(self.link, &rule.group, &rule.version, &rule.plural).await? else {
            // What such a thing stood for may outlive it: without the kind nobody can tell.
            return Err(self.unproven(format!(
                "the site has no kind {} ({}) any more, so what it holds of the grant cannot be seen; make the kind known again",
                rule.kind, rule.group
            )));
        };
        let place = Collection::of(&rule.group, &version, &rule.kind, &rule.plural, "");
        let found = self
            .link
            .list(&place, None, Detail::Whole)
            .await
            .map_err(|f| f.unexpected(self.link, &format!("LIST {}", rule.kind)))?;
        let ours: Vec<&Value> = found.iter().filter(|object| self.refers(object.pointer(&rule.reference))).collect();
        checks.push(format!("{} that refers to {}: {} of {}", rule.kind, self.namespace, ours.len(), found.len()));
        left.extend(ours.into_iter().map(|object| residue(rule, object)));
        Ok(())
    }

    /// Whether a reference leads back to the grant: to its namespace, or to a claim that was recorded.
    fn refers(&self, reference: Option<&Value>) -> bool {
        let Some(reference) = reference else { return false };
        let by_uid = self.uids.contains(text(reference, "/uid"));
        by_uid || (!self.replaced && text(reference, "/namespace") == self.namespace)
    }

    fn unproven(&self, cause: String) -> SiteError {
        SiteError::Unproven { site: self.link.name().to_owned(), cause }
    }
}

fn residue(rule: &ResidueRule, object: &Value) -> String {
    let reference = object.pointer(&rule.reference).unwrap_or(&Value::Null);
    let policy = ["/spec/persistentVolumeReclaimPolicy", "/spec/deletionPolicy"]
        .iter()
        .map(|p| text(object, p))
        .find(|p| !p.is_empty());
    let policy = policy.map_or(String::new(), |p| format!(", policy {p}"));
    cut(format!("{} of {}{policy}", waits_for(&rule.kind, object), text(reference, "/name")), 200)
}

#[cfg(test)]
mod tests {
    use zhengyun_crds::catalog::ResidueRule;
    use zhengyun_crds::grant::InventoryEntry;

    use super::{kinds, with_volumes};

    #[test]
    fn claims_and_volumes_are_looked_at_whatever_the_items_say() {
        let namespace = InventoryEntry { kind: "Namespace".to_owned(), ..InventoryEntry::default() };
        let kinds = kinds(std::slice::from_ref(&namespace));
        assert_eq!(kinds.into_iter().map(|k| k.2).collect::<Vec<_>>(), ["PersistentVolumeClaim"]);
        let bucket = ResidueRule {
            group: "objectstorage.k8s.io".to_owned(),
            version: "v1alpha1".to_owned(),
            kind: "Bucket".to_owned(),
            plural: "buckets".to_owned(),
            reference: "/spec/bucketClaim".to_owned(),
        };
        let plurals: Vec<_> = with_volumes(&[bucket]).into_iter().map(|r| r.plural).collect();
        assert_eq!(plurals, ["buckets", "persistentvolumes"]);
        assert_eq!(with_volumes(&with_volumes(&[])).len(), 1);
    }
}
