//! Requests: assessed, reserved, reviewed, carried out.

mod apply;
mod observe;

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use zhengyun_crds::ledger::{ChargedObject, ObjectCharge};
use zhengyun_crds::{RequestPhase, ResourceRequest};
use zhengyun_domain::ledger::{Change, Charge};
use zhengyun_domain::request::plan;

use super::Context;
use crate::runtime::controller::Outcome;

/// Open requests whose assessment may follow from something they name.
pub fn open_requests(context: &Context, names: impl Fn(&ResourceRequest) -> bool) -> Vec<ObjectRef<ResourceRequest>> {
    context
        .watches
        .requests
        .all()
        .into_iter()
        .filter(|r| !phase(r).is_terminal() && names(r))
        .map(|r| ObjectRef::from_obj(r.as_ref()))
        .collect()
}

/// Phase of a request; Draft before it was looked at.
pub fn phase(request: &ResourceRequest) -> RequestPhase {
    request.status.as_ref().and_then(|s| s.phase).unwrap_or(RequestPhase::Draft)
}

/// Brings a request one step forward.
///
/// # Errors
/// When the hub or the ledger does not answer, or the request changed meanwhile.
pub async fn reconcile(context: Arc<Context>, request: Arc<ResourceRequest>) -> Outcome {
    let namespace = request.namespace().unwrap_or_default();
    shown(&context, &request.spec.order.site, request.uid(), request.status.as_ref().and_then(|s| s.charge.as_ref()))
        .await;
    // A tombstone with nothing in the books has nothing more to say; it is not worth a look at its surroundings.
    let facts = observe::observe(&context, &request, &namespace).await?;
    let now = context.clock.now();
    let observed = facts.observed(&request);
    let plan = plan(&observed, now);
    apply::apply(&context, &request, &observed, plan, now).await
}

/// Tells the ledger which charge an object shows: whoever wrote it may not have heard that it was written.
pub(super) async fn shown(context: &Context, site: &str, uid: Option<String>, charge: Option<&ObjectCharge>) {
    if let (Ok(ledger), Some(uid), Some(charge)) = (context.ledger.site(site), uid, charge) {
        ledger.acknowledge(&uid, charge.sequence).await;
    }
}

/// Waits for a change, or until a time.
fn until(wake: Option<Timestamp>, now: Timestamp) -> Action {
    wake.and_then(|at| std::time::Duration::try_from(at.duration_since(now)).ok())
        .map_or_else(Action::await_change, Action::requeue)
}

/// A charge of a request in the books.
fn change(request: &ResourceRequest, department: &str, charge: Charge) -> Change {
    Change {
        object: ChargedObject {
            kind: "ResourceRequest".to_owned(),
            namespace: request.namespace().unwrap_or_default(),
            name: request.name_any(),
            uid: request.uid().unwrap_or_default(),
        },
        department: department.to_owned(),
        charge,
    }
}
