//! The restore plan: what would become of every object, with a digest that an execution must match.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::ExistingPolicy;

use super::layer::layers;
use crate::digest;
use crate::finding::Finding;
use crate::quantity::{Quantity, QuantityError};

/// Which object: group, kind and name. The namespace is the source's on one side and the target's on the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{} {}", self.kind, self.group, self.name)
    }
}

/// A key of a ResourceQuota, such as `requests.storage` or `count/configmaps`.
pub type QuotaKey = String;

/// An object of the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceObject {
    /// Which.
    pub key: ObjectKey,
    /// API version in which it was captured.
    pub version: String,
    /// Digest of what of it is the user's ([`super::content_digest`]).
    pub digest: String,
    /// Object of the same backup that owns it.
    pub owner: Option<ObjectKey>,
    /// What it takes of the target's quota.
    pub takes: BTreeMap<QuotaKey, Quantity>,
    /// Whether Zhengyun delivered it at the source: the frame of the grant, or what was ordered for it.
    pub delivered: bool,
}

/// The backup that is brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backed {
    /// Name of the SystemBackup.
    pub backup: String,
    /// Department whose backup it is.
    pub department: String,
    /// Root of its manifest.
    pub manifest_root: String,
    /// Store that is read from.
    pub store: String,
    /// Whether the copy in that store was verified.
    pub verified: bool,
    /// Its objects.
    pub objects: Vec<SourceObject>,
}

/// An object that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Digest of what of it is the user's.
    pub digest: String,
    /// Whether Zhengyun put it there and keeps it so: it is never replaced.
    pub ours: bool,
}

/// What is known of the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetFacts {
    /// Department of the target grant.
    pub department: String,
    /// Site.
    pub site: String,
    /// Grant.
    pub grant: String,
    /// UID of the grant.
    pub grant_uid: String,
    /// Whether the grant may be written to.
    pub live: bool,
    /// Group and kind of what the site serves, with the versions.
    pub serves: BTreeMap<(String, String), BTreeSet<String>>,
    /// What stands there already.
    pub existing: BTreeMap<ObjectKey, Existing>,
    /// Hard limit and present use of every quota key there.
    pub quota: BTreeMap<QuotaKey, (Quantity, Quantity)>,
}

/// What would be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// It is made anew.
    Create,
    /// It differs, and is replaced.
    Replace,
    /// It is there and equal.
    Leave,
    /// It differs, and stays as it is.
    Skip,
    /// Zhengyun delivered it at the source. At the target stands what was ordered for that grant, and a restore orders nothing.
    Delivered,
}

impl Action {
    /// Whether it changes anything.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Replace)
    }
}

/// An object and what would be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedObject {
    /// Its layer, from 0: all of a layer stands before the next one begins.
    pub layer: u32,
    /// Which.
    pub key: ObjectKey,
    /// What would be done.
    pub action: Action,
    /// Digest of what would stand.
    pub digest: String,
}

/// What a restore would take of one quota key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaEffect {
    /// Key.
    pub key: QuotaKey,
    /// Hard limit.
    pub hard: Quantity,
    /// Used now.
    pub used: Quantity,
    /// What the plan would add.
    pub adds: Quantity,
    /// How much is missing; 0 when it fits.
    pub short_by: Quantity,
}

/// Why a plan cannot be carried out as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Blocker {
    /// An object is in the way, and the policy is to fail.
    InTheWay(ObjectKey),
    /// An object would have to be replaced that Zhengyun keeps.
    Ours(ObjectKey),
    /// The site does not serve a kind in the version in which it was captured.
    NotServed {
        /// The object.
        key: ObjectKey,
        /// The version.
        version: String,
        /// Versions that are served.
        served: BTreeSet<String>,
    },
    /// The target's quota does not suffice.
    Quota(QuotaEffect),
}

impl Blocker {
    /// What it is, without amounts that change by themselves.
    fn identity(&self) -> String {
        match self {
            Self::InTheWay(key) => format!("in the way: {key}"),
            Self::Ours(key) => format!("kept: {key}"),
            Self::NotServed { key, version, .. } => format!("not served: {key} {version}"),
            Self::Quota(effect) => format!("quota: {}", effect.key),
        }
    }

    /// In words, with the fix.
    pub fn finding(&self) -> Finding {
        let (reason, message) = match self {
            Self::InTheWay(key) => (
                Reason::TargetConflict,
                format!(
                    "{key} is there already and differs: set spec.existing to Skip or Replace, or restore to an empty grant"
                ),
            ),
            Self::Ours(key) => (
                Reason::TargetConflict,
                format!("{key} is kept by Zhengyun at the target and is never replaced: set spec.existing to Skip"),
            ),
            Self::NotServed { key, version, served } if served.is_empty() => (
                Reason::KindNotServed,
                format!(
                    "{key} ({version}): the site does not serve this kind: have its definition installed, or choose another site"
                ),
            ),
            Self::NotServed { key, version, served } => (
                Reason::KindNotServed,
                format!(
                    "{key} was captured as {version}, the site serves {}: choose a site that serves {version}",
                    served.iter().cloned().collect::<Vec<_>>().join(", ")
                ),
            ),
            Self::Quota(effect) => (
                Reason::QuotaExceeded,
                format!(
                    "{}: {} is used of {}, the restore adds {}, {} is missing: order more for the grant, or restore fewer sources",
                    effect.key, effect.used, effect.hard, effect.adds, effect.short_by
                ),
            ),
        };
        Finding::new("", reason.as_str(), message)
    }
}

/// What a restore would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestorePlan {
    /// Backup.
    pub backup: String,
    /// Root of its manifest.
    pub manifest_root: String,
    /// Store that is read from.
    pub store: String,
    /// Target site.
    pub site: String,
    /// Target grant.
    pub grant: String,
    /// UID of the target grant: one made again under the same name is another one.
    pub grant_uid: String,
    /// Every object, by layer and key.
    pub objects: Vec<PlannedObject>,
    /// What stands in the way; an execution is refused until it is empty.
    pub blockers: Vec<Blocker>,
    /// What it takes of the target's quota.
    pub quota: Vec<QuotaEffect>,
}

impl RestorePlan {
    /// `sha256:<hex>` of what would be done and what stands in the way.
    ///
    /// How much of a quota is used at this moment is left out: a pod that comes or goes does not make it another plan, and one
    /// that does not fit any more is blocked, which is not left out.
    pub fn digest(&self) -> String {
        let place = (&self.backup, &self.manifest_root, &self.store, &self.site, &self.grant, &self.grant_uid);
        let blockers: Vec<String> = self.blockers.iter().map(Blocker::identity).collect();
        digest::of(&(place, &self.objects, blockers))
    }
}

/// Works out what a restore would do. Nothing here writes.
///
/// # Errors
/// What rules the restore out altogether: another department, a grant that is not live, a copy that was never verified.
pub fn plan(backed: &Backed, target: &TargetFacts, existing: ExistingPolicy) -> Result<RestorePlan, Vec<Finding>> {
    let refusals = refusals(backed, target);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let ranks = layers(&backed.objects);
    let mut blockers = Vec::new();
    let mut objects = Vec::new();
    let mut adds: BTreeMap<QuotaKey, Quantity> = BTreeMap::new();
    // By key, so that the same objects give the same plan in whatever order they were listed.
    let mut listed: Vec<&SourceObject> = backed.objects.iter().collect();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    for object in listed {
        if object.delivered {
            objects.push(PlannedObject {
                layer: ranks.get(&object.key).copied().unwrap_or_default(),
                key: object.key.clone(),
                action: Action::Delivered,
                digest: object.digest.clone(),
            });
            continue;
        }
        let served = target.serves.get(&(object.key.group.clone(), object.key.kind.clone()));
        if !served.is_some_and(|versions| versions.contains(&object.version)) {
            blockers.push(Blocker::NotServed {
                key: object.key.clone(),
                version: object.version.clone(),
                served: served.cloned().unwrap_or_default(),
            });
            continue;
        }
        let Some(action) = action(object, target, existing, &mut blockers) else { continue };
        if action == Action::Create {
            for (key, takes) in &object.takes {
                let sum = adds.entry(key.clone()).or_default();
                *sum = sum.checked_add(takes).map_err(|e| vec![too_much(key, &e)])?;
            }
        }
        objects.push(PlannedObject {
            layer: ranks.get(&object.key).copied().unwrap_or_default(),
            key: object.key.clone(),
            action,
            digest: object.digest.clone(),
        });
    }
    objects.sort_by(|a, b| (a.layer, &a.key).cmp(&(b.layer, &b.key)));
    let quota = effects(target, &adds)?;
    blockers.extend(quota.iter().filter(|effect| !effect.short_by.is_zero()).cloned().map(Blocker::Quota));
    Ok(RestorePlan {
        backup: backed.backup.clone(),
        manifest_root: backed.manifest_root.clone(),
        store: backed.store.clone(),
        site: target.site.clone(),
        grant: target.grant.clone(),
        grant_uid: target.grant_uid.clone(),
        objects,
        blockers,
        quota,
    })
}

/// Whether a plan is the one that was agreed to and may be carried out.
///
/// # Errors
/// That it is another one, or what stands in its way.
pub fn agree(plan: &RestorePlan, agreed: &str) -> Result<(), Vec<Finding>> {
    let digest = plan.digest();
    if digest != agreed {
        return Err(vec![Finding::new(
            "/spec/planDigest",
            Reason::PlanChanged.as_str(),
            format!(
                "{agreed} was agreed to, but now the plan is {digest}: the target or the backup changed in between; make a restore with mode Plan, look at it, and execute that digest"
            ),
        )]);
    }
    if plan.blockers.is_empty() { Ok(()) } else { Err(plan.blockers.iter().map(Blocker::finding).collect()) }
}

fn refusals(backed: &Backed, target: &TargetFacts) -> Vec<Finding> {
    let mut refusals = Vec::new();
    if backed.department != target.department {
        refusals.push(Finding::new(
            "/spec/redirects",
            Reason::CrossDepartment.as_str(),
            format!(
                "grant {} is of department {}, the backup is of {}: data does not go from one department to another by a restore; choose a grant of {}",
                target.grant, target.department, backed.department, backed.department
            ),
        ));
    }
    if !target.live {
        refusals.push(Finding::new(
            "/spec/redirects",
            Reason::GrantNotLive.as_str(),
            format!("grant {} is not in service: restore to one that is, or order one", target.grant),
        ));
    }
    if !backed.verified {
        refusals.push(Finding::new(
            "/spec/store",
            Reason::BackupNotVerified.as_str(),
            format!(
                "the copy of {} in store {} was not read back and compared: choose a store that holds a verified copy",
                backed.backup, backed.store
            ),
        ));
    }
    refusals
}

/// What to do with an object, or nothing when it blocks.
fn action(
    object: &SourceObject,
    target: &TargetFacts,
    existing: ExistingPolicy,
    blockers: &mut Vec<Blocker>,
) -> Option<Action> {
    let Some(present) = target.existing.get(&object.key) else { return Some(Action::Create) };
    if present.digest == object.digest {
        return Some(Action::Leave);
    }
    match existing {
        ExistingPolicy::Skip => Some(Action::Skip),
        ExistingPolicy::Replace if !present.ours => Some(Action::Replace),
        ExistingPolicy::Replace => {
            blockers.push(Blocker::Ours(object.key.clone()));
            None
        }
        ExistingPolicy::Fail => {
            blockers.push(Blocker::InTheWay(object.key.clone()));
            None
        }
    }
}

fn effects(target: &TargetFacts, adds: &BTreeMap<QuotaKey, Quantity>) -> Result<Vec<QuotaEffect>, Vec<Finding>> {
    let mut effects = Vec::new();
    for (key, adds) in adds {
        let Some((hard, used)) = target.quota.get(key) else { continue };
        let over = used
            .checked_add(adds)
            .and_then(|sum| sum.checked_sub(hard))
            .map_err(|error| vec![too_much(key, &error)])?;
        let short_by = if over.is_negative() { Quantity::ZERO } else { over };
        effects.push(QuotaEffect { key: key.clone(), hard: *hard, used: *used, adds: *adds, short_by });
    }
    Ok(effects)
}

fn too_much(key: &str, error: &QuantityError) -> Finding {
    Finding::new("", Reason::QuotaExceeded.as_str(), format!("{key}: {error}"))
}
