//! The scratch of a drill at its site: a grant of the department that drills are charged to. The controller of grants delivers it,
//! removes it, proves that nothing is left, and gives the charge back; here it is asked for, looked at and ended.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use zhengyun_crds::grant::{RequestRef, Revocation};
use zhengyun_crds::ledger::ChargedObject;
use zhengyun_crds::request::Disposition;
use zhengyun_crds::{ConditionType, Department, GrantPhase, Reason, RecoveryDrill, ResourceGrant, condition, marks};
use zhengyun_domain::ledger::{Change, Charge, Refusal};
use zhengyun_domain::recovery::drill::{Scratch, is_no_room, spec};
use zhengyun_domain::{grant, naming, quota};

use super::super::Context;
use super::super::grant::{charge, phase};
use crate::ledger::LedgerError;
use crate::runtime::controller::ReconcileError;
use crate::runtime::hub::replace_status;
use crate::runtime::written::note;

/// A namespace is usually gone within this; one that is not is told.
const USUAL_REMOVAL: SignedDuration = SignedDuration::from_secs(20);

/// Whether a drill has room.
pub(super) enum Room {
    /// It has, and the grant says which, if there is one.
    Taken(Option<Box<ResourceGrant>>),
    /// Nobody can tell yet.
    Waits(String),
    /// There is none.
    Missing(String),
}

fn namespace() -> String {
    format!("{}{}", marks::DEPARTMENT_NAMESPACE_PREFIX, marks::DRILL_DEPARTMENT)
}

fn name(drill: &RecoveryDrill) -> String {
    naming::grant_name(&drill.name_any(), &drill.uid().unwrap_or_default())
}

/// Whether a grant is this drill's: another department's drill may have the same name.
fn is_of(held: &ResourceGrant, drill: &RecoveryDrill) -> bool {
    Some(&held.spec.request.uid) == drill.metadata.uid.as_ref()
}

/// The grant of a drill, if there is one.
pub(super) async fn find(context: &Context, drill: &RecoveryDrill) -> Result<Option<ResourceGrant>, ReconcileError> {
    let (namespace, name) = (namespace(), name(drill));
    let found = match context.watches.grants.get_in(&namespace, &name) {
        Some(cached) => Some(cached.as_ref().clone()),
        // Only the API server may say that there is none.
        None => context.namespaced::<ResourceGrant>(&namespace).get_opt(&name).await?,
    };
    Ok(found.filter(|held| is_of(held, drill)))
}

/// What the decision sees of it.
pub(super) fn seen(held: Option<&ResourceGrant>) -> Scratch {
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

/// Reserves room: the grant first, then the charge. A crash in between finds both again.
pub(super) async fn reserve(
    context: &Context,
    drill: &RecoveryDrill,
    source: &ResourceGrant,
    now: Timestamp,
) -> Result<Room, ReconcileError> {
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
    let name = name(drill);
    let held = if let Some(found) = grants.get_opt(&name).await? {
        found
    } else {
        let spec = spec(drill, source, TimeZone::UTC.to_datetime(now).date());
        // Asked first, so that no grant is recorded for nothing.
        let asked = Change {
            object: ChargedObject { uid: drill.uid().unwrap_or_default(), ..ChargedObject::default() },
            department: spec.department.clone(),
            charge: Charge::granted(amounts(&spec.charge)?),
        };
        if let Some(refusal) = ledger.would_refuse(std::slice::from_ref(&asked)) {
            return Ok(judged(&refusal));
        }
        charge::create(&grants, &name, &namespace, spec, "zhengyun-drill").await?
    };
    if !is_of(&held, drill) {
        let message = format!(
            "ResourceGrant {name} in {namespace} exists and comes from something else ({}); have the cloud administrator look at it",
            held.spec.request.name
        );
        return Ok(Room::Missing(message));
    }
    match phase(&held) {
        GrantPhase::Pending => {}
        GrantPhase::Revoked | GrantPhase::Revoking => return Ok(Room::Missing(said(&held))),
        GrantPhase::Provisioning | GrantPhase::InService => return Ok(Room::Taken(Some(Box::new(held)))),
    }
    let granted = amounts(&held.spec.charge)?;
    let charged = Charge::granted(granted.clone());
    let uid = held.uid().unwrap_or_default();
    let sequence = match ledger.booked_sequence(&uid) {
        // Committed before a crash: the same decision is not taken twice.
        Some(sequence) if ledger.booked(&uid) == charged => sequence,
        _ => {
            let object = charge::charged_object(&held);
            let change = Change { object, department: held.spec.department.clone(), charge: charged };
            match ledger.decide(vec![change]).await {
                Ok(sequence) => sequence,
                Err(LedgerError::Refused(refusal)) if is_no_room(&refusal) => {
                    let status = grant::dropped(&held, &refusal.to_string(), now);
                    replace_status(&grants, &held, held.status.as_ref(), &status).await?;
                    return Ok(judged(&refusal));
                }
                Err(error) => return Ok(Room::Waits(error.to_string())),
            }
        }
    };
    let shown = charge::show(context, &ledger, &grants, &held, (&granted, sequence), now).await?;
    Ok(Room::Taken(Some(Box::new(shown))))
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
