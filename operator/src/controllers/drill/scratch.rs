//! The scratch of a drill at its site: a grant of the department that drills are charged to for each namespace. The controller of grants
//! delivers it, removes it, proves that nothing is left, and gives the charge back; here it is asked for, looked at and ended.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use zhengyun_crds::grant::{RequestRef, Revocation, ZeroProof};
use zhengyun_crds::ledger::ChargedObject;
use zhengyun_crds::recovery::RecoveryDrillStatus;
use zhengyun_crds::request::Disposition;
use zhengyun_crds::{ConditionType, Department, GrantPhase, Reason, RecoveryDrill, ResourceGrant, condition, marks};
use zhengyun_domain::ledger::{Change, Charge, Refusal};
use zhengyun_domain::recovery::drill::{Scratch, is_no_room, parts_with_grant, spec};
use zhengyun_domain::{grant, naming, quota};

use super::super::Context;
use super::super::grant::{charge, phase};
use crate::ledger::{LedgerError, SiteLedger};
use crate::runtime::controller::ReconcileError;
use crate::runtime::hub::replace_status;
use crate::runtime::written::note;

/// A namespace is usually gone within this; one that is not is told.
const USUAL_REMOVAL: SignedDuration = SignedDuration::from_secs(20);

/// Whether a drill has room.
pub(super) enum Room {
    /// It has, and the grants say which, each with the place of its part.
    Taken(Vec<(usize, ResourceGrant)>),
    /// What it had is not its own any more: what is left of it is given back.
    Lost(String),
    /// Nobody can tell yet.
    Waits(String),
    /// There is none.
    Missing(String),
}

fn namespace() -> String {
    format!("{}{}", marks::DEPARTMENT_NAMESPACE_PREFIX, marks::DRILL_DEPARTMENT)
}

fn name(drill: &RecoveryDrill, part: usize) -> String {
    let uid = drill.uid().unwrap_or_default();
    // What the digest in the name is of.
    let of = if part == 0 { uid } else { format!("{uid}-{part}") };
    naming::grant_name(&drill.name_any(), &of)
}

/// Whether a grant is this drill's: another department's drill may have the same name.
fn is_of(held: &ResourceGrant, drill: &RecoveryDrill) -> bool {
    Some(&held.spec.request.uid) == drill.metadata.uid.as_ref()
}

/// The grants of a drill, by the places of the parts that may have one.
#[derive(Debug)]
pub(super) struct Held(Vec<(usize, Option<ResourceGrant>)>);

impl Held {
    /// Finds them.
    pub(super) async fn of(context: &Context, drill: &RecoveryDrill) -> Result<Self, ReconcileError> {
        let mut all = Vec::new();
        for part in drill.status.as_ref().map(parts_with_grant).unwrap_or_default() {
            all.push((part, find(context, drill, part).await?));
        }
        Ok(Self(all))
    }

    /// Those that are there.
    pub(super) fn all(&self) -> impl Iterator<Item = &ResourceGrant> {
        self.0.iter().filter_map(|(_, held)| held.as_ref())
    }

    /// The one of a part.
    pub(super) fn of_part(&self, part: usize) -> Option<&ResourceGrant> {
        self.0.iter().find(|(at, _)| *at == part)?.1.as_ref()
    }

    /// What the decision sees of them while something is to be restored.
    pub(super) fn together(&self, status: &RecoveryDrillStatus) -> Scratch {
        // Of a drill that was begun before kinds were written down nobody knows whether it needs one.
        let needs = |(at, held): &&(usize, Option<ResourceGrant>)| {
            held.is_some() || status.parts.get(*at).is_some_and(|part| part.kind.is_some())
        };
        Scratch::together(self.0.iter().filter(needs).map(|(_, held)| seen(held.as_ref())).collect())
    }

    /// What it sees of them once they are to go.
    pub(super) fn farthest(&self) -> Scratch {
        Scratch::farthest(self.0.iter().map(|(_, held)| seen(held.as_ref())).collect())
    }

    /// How it was shown that nothing is left of them.
    pub(super) fn zero_proof(&self) -> Option<ZeroProof> {
        let proofs = self.all().filter_map(|held| held.status.as_ref()?.zero_proof.clone());
        proofs.reduce(|all, one| ZeroProof { at: all.at.max(one.at), checks: [all.checks, one.checks].concat() })
    }
}

async fn find(context: &Context, drill: &RecoveryDrill, part: usize) -> Result<Option<ResourceGrant>, ReconcileError> {
    // Read anew: what it says of itself may end the drill, and an operator that stood still remembers it as it was.
    let found = context.namespaced::<ResourceGrant>(&namespace()).get_opt(&name(drill, part)).await?;
    Ok(found.filter(|held| is_of(held, drill)))
}

/// What the decision sees of it.
fn seen(held: Option<&ResourceGrant>) -> Scratch {
    let Some(held) = held else { return Scratch::Absent };
    Scratch::seen(phase(held), &said(held))
}

/// What a grant says of itself.
fn said(held: &ResourceGrant) -> String {
    let conditions = held.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    condition::find(&conditions, ConditionType::Ready).map_or_else(String::new, |ready| ready.message.clone())
}

/// Why a removal does not come to its end, if something stands in its way or it takes longer than usual.
pub(super) fn held_up(held: &ResourceGrant, now: Timestamp) -> Option<String> {
    let ordered = held.spec.revocation.as_ref()?.hold_until.0;
    let conditions = held.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    let ready = condition::find(&conditions, ConditionType::Ready)?;
    let blocked = [Reason::SiteUnreachable, Reason::RetainedStorage, Reason::ApplyRefused];
    let blocked = blocked.iter().any(|reason| reason.as_str() == ready.reason);
    (blocked || now.duration_since(ordered) > USUAL_REMOVAL).then(|| ready.message.clone())
}

/// Reserves room for every namespace: the grants first, then one charge for all. A crash in between finds both again.
pub(super) async fn reserve(
    context: &Context,
    drill: &RecoveryDrill,
    sources: &[(usize, Arc<ResourceGrant>)],
    now: Timestamp,
) -> Result<Room, ReconcileError> {
    if sources.is_empty() {
        return Ok(Room::Taken(Vec::new()));
    }
    let department = match context.watches.departments.get(marks::DRILL_DEPARTMENT) {
        Some(cached) => Some(cached.as_ref().clone()),
        // A drill is skipped for good, and only the API server may say that there is none.
        None => context.cluster::<Department>().get_opt(marks::DRILL_DEPARTMENT).await?,
    };
    let Some(department) = department else {
        return Ok(Room::Missing(format!(
            "there is no department {}: the cloud administrator makes one, with a DepartmentQuota at site {}; that is the room of all drills there",
            marks::DRILL_DEPARTMENT,
            drill.spec.site
        )));
    };
    let Some(namespace) = department.status.as_ref().and_then(|s| s.namespace.clone()) else {
        return Ok(Room::Waits(format!("department {} has no namespace yet", marks::DRILL_DEPARTMENT)));
    };
    let ledger = match context.ledger.site(&drill.spec.site) {
        Ok(ledger) => ledger,
        Err(error) => return Ok(Room::Waits(error.to_string())),
    };
    let grants: Api<ResourceGrant> = context.namespaced(&namespace);
    let place = Place { context, ledger: &ledger, grants: &grants, now };
    let recorded = match place.recorded(drill, sources).await? {
        Ok(recorded) => recorded,
        Err(room) => return Ok(room),
    };
    place.charged(recorded).await
}

/// Where room is taken.
struct Place<'a> {
    context: &'a Context,
    ledger: &'a SiteLedger,
    grants: &'a Api<ResourceGrant>,
    now: Timestamp,
}

impl Place<'_> {
    /// Records the grants that are not there yet, if there is room for all of them.
    async fn recorded(
        &self,
        drill: &RecoveryDrill,
        sources: &[(usize, Arc<ResourceGrant>)],
    ) -> Result<Result<Vec<(usize, ResourceGrant)>, Room>, ReconcileError> {
        let today = TimeZone::UTC.to_datetime(self.now).date();
        let (mut held, mut missing) = (Vec::new(), Vec::new());
        for (part, source) in sources {
            match self.grants.get_opt(&name(drill, *part)).await? {
                Some(found) => held.push((*part, found)),
                None => missing.push((*part, spec(drill, source, today))),
            }
        }
        // Asked first, so that no grant is recorded for nothing.
        if held.is_empty() {
            let mut asked = Vec::new();
            for (part, spec) in &missing {
                let uid = format!("{}-{part}", drill.uid().unwrap_or_default());
                asked.push(Change {
                    object: ChargedObject { uid, ..ChargedObject::default() },
                    department: spec.department.clone(),
                    charge: Charge::granted(amounts(&spec.charge)?),
                });
            }
            if let Some(refusal) = self.ledger.would_refuse(&asked) {
                return Ok(Err(judged(&refusal)));
            }
        }
        for (part, spec) in missing {
            let namespace = namespace();
            held.push((
                part,
                charge::create(self.grants, &name(drill, part), &namespace, spec, "zhengyun-drill").await?,
            ));
        }
        held.sort_by_key(|(part, _)| *part);
        if let Some((_, other)) = held.iter().find(|(_, held)| !is_of(held, drill)) {
            let message = format!(
                "ResourceGrant {} in {} exists and comes from something else ({}); have the cloud administrator look at it",
                other.name_any(),
                namespace(),
                other.spec.request.name
            );
            held.retain(|(_, held)| is_of(held, drill));
            return self.given_back(&held, message).await.map(Err);
        }
        let is_over = |held: &ResourceGrant| matches!(phase(held), GrantPhase::Revoked | GrantPhase::Revoking);
        if let Some((_, over)) = held.iter().find(|(_, held)| is_over(held)) {
            let message = said(over);
            return self.given_back(&held, message).await.map(Err);
        }
        Ok(Ok(held))
    }

    /// Drops what is recorded and not charged. If that is all, nothing was taken.
    async fn given_back(&self, held: &[(usize, ResourceGrant)], message: String) -> Result<Room, ReconcileError> {
        let mut taken = false;
        for (_, held) in held {
            if phase(held) != GrantPhase::Pending {
                taken |= held.status.as_ref().is_some_and(|status| status.charge.is_some());
            } else if self.ledger.booked_sequence(&held.uid().unwrap_or_default()).is_some() {
                taken = true;
            } else {
                let status = grant::dropped(held, &message, self.now);
                replace_status(self.grants, held, held.status.as_ref(), &status).await?;
            }
        }
        Ok(if taken { Room::Lost(message) } else { Room::Missing(message) })
    }

    /// Charges all of them, and shows it.
    async fn charged(&self, held: Vec<(usize, ResourceGrant)>) -> Result<Room, ReconcileError> {
        let mut changes = Vec::new();
        let is_booked = |uid: &str, charged: &Charge| {
            // Committed before a crash: the same decision is not taken twice.
            self.ledger.booked_sequence(uid).filter(|_| self.ledger.booked(uid) == *charged)
        };
        for (_, held) in held.iter().filter(|(_, held)| phase(held) == GrantPhase::Pending) {
            let charge = Charge::granted(amounts(&held.spec.charge)?);
            if is_booked(&held.uid().unwrap_or_default(), &charge).is_none() {
                let object = charge::charged_object(held);
                changes.push(Change { object, department: held.spec.department.clone(), charge });
            }
        }
        let mut decided = None;
        if !changes.is_empty() {
            match self.ledger.decide(changes).await {
                Ok(sequence) => decided = Some(sequence),
                Err(LedgerError::Refused(refusal)) if is_no_room(&refusal) => {
                    return self.given_back(&held, refusal.to_string()).await;
                }
                Err(error) => return Ok(Room::Waits(error.to_string())),
            }
        }
        let mut shown = Vec::new();
        for (part, held) in held {
            if phase(&held) != GrantPhase::Pending {
                shown.push((part, held));
                continue;
            }
            let granted = amounts(&held.spec.charge)?;
            let booked = is_booked(&held.uid().unwrap_or_default(), &Charge::granted(granted.clone()));
            let Some(sequence) = booked.or(decided) else {
                return Ok(Room::Waits("its charge is not known to the ledger any more".to_owned()));
            };
            let now =
                charge::show(self.context, self.ledger, self.grants, &held, (&granted, sequence), self.now).await?;
            shown.push((part, now));
        }
        Ok(Room::Taken(shown))
    }
}

fn judged(refusal: &Refusal) -> Room {
    if is_no_room(refusal) { Room::Missing(refusal.to_string()) } else { Room::Waits(refusal.to_string()) }
}

fn amounts(text: &zhengyun_crds::Amounts) -> Result<zhengyun_domain::amounts::Amounts, ReconcileError> {
    quota::amounts("spec.charge", text).map_err(|e| ReconcileError::Transient(e.to_string()))
}

/// Orders the end of a scratch. What follows, until zero is proven and the charge given back, is the grant's.
pub(super) async fn end(
    context: &Context,
    drill: &RecoveryDrill,
    held: &ResourceGrant,
    now: Timestamp,
) -> Result<(), ReconcileError> {
    if phase(held) == GrantPhase::Revoked {
        return Ok(());
    }
    let grants: Api<ResourceGrant> = context.namespaced(&held.namespace().unwrap_or_default());
    let uncharged = held.status.as_ref().and_then(|s| s.charge.as_ref()).is_none();
    if uncharged {
        let ledger = context.ledger.site(&held.spec.site)?;
        let uid = held.uid().unwrap_or_default();
        if let Some(sequence) = ledger.booked_sequence(&uid) {
            // It is charged and does not show it yet: as a grant that was delivered it gives the charge back.
            let granted = ledger.booked(&uid).granted;
            charge::show(context, &ledger, &grants, held, (&granted, sequence), now).await?;
        } else {
            let status = grant::dropped(held, "the drill ended before it was charged", now);
            replace_status(&grants, held, held.status.as_ref(), &status).await?;
        }
        return Ok(());
    }
    if held.spec.revocation.is_some() {
        return Ok(());
    }
    let revocation = Revocation {
        request: RequestRef { name: drill.name_any(), uid: drill.uid().unwrap_or_default() },
        disposition: Disposition::Delete,
        hold_until: Time(now),
        ordered_at: Some(Time(now)),
    };
    let patch = json!({
        "metadata": { "uid": held.metadata.uid, "resourceVersion": held.metadata.resource_version },
        "spec": { "revocation": revocation }
    });
    grants.patch(&held.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await.inspect(note)?;
    Ok(())
}
