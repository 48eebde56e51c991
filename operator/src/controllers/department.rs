//! Departments: their place in the tree, their namespace, their people's rights.

mod apply;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use zhengyun_crds::department::{Department, DepartmentStatus};
use zhengyun_crds::ledger::ObjectCharge;
use zhengyun_crds::{ConditionType, GrantPhase, Reason, ResourceGrant, ResourceRequest, marks};
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::naming;
use zhengyun_domain::tree::{self, Tree, TreeError};

use super::Context;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::{add_finalizer, has_finalizer, remove_finalizer, replace_status};

/// Departments whose namespace, rights or place may follow from a change of this one.
pub fn dependants(context: &Context, changed: &Department) -> Vec<ObjectRef<Department>> {
    let name = changed.name_any();
    let tree = context.ledger.tree();
    context
        .watches
        .departments
        .all()
        .into_iter()
        .filter(|d| {
            let own = d.name_any();
            own != name
                && (d.spec.parent.as_deref() == Some(&name)
                    || tree.chain(&own).is_ok_and(|chain| chain.contains(&name)))
        })
        .map(|d| ObjectRef::from_obj(d.as_ref()))
        .collect()
}

/// Brings a department up to date.
///
/// # Errors
/// When the hub does not answer or the department changed meanwhile.
pub async fn reconcile(context: Arc<Context>, department: Arc<Department>) -> Outcome {
    let api = context.cluster::<Department>();
    if department.metadata.deletion_timestamp.is_some() {
        return remove(&context, &department).await;
    }
    if !has_finalizer(department.as_ref(), marks::FINALIZER_DEPARTMENT) {
        add_finalizer(&api, department.as_ref(), marks::FINALIZER_DEPARTMENT).await?;
        return Ok(Action::await_change());
    }
    let place = place(&context, &department).await?;
    let namespace = match &place {
        Place::Refused(..) if !department.status.as_ref().is_some_and(|s| s.placed) => None,
        _ => Some(apply::namespace(&context, &department).await?),
    };
    if let Some(Ok(namespace)) = &namespace {
        apply::role_bindings(&context, &department, namespace).await?;
    }
    let status = report(&context, &department, &place, namespace.as_ref(), context.clock.now());
    if department.status.as_ref() != Some(&status) {
        replace_status(&api, department.as_ref(), department.status.as_ref(), &status).await?;
    }
    Ok(Action::await_change())
}

/// Where a department stands.
enum Place {
    /// As its spec says.
    Settled(Option<String>),
    /// At its former place: a move waits for charges to end, or a place is refused.
    Refused(Option<String>, Reason, String),
}

/// Decides the place and records it, one department at a time.
async fn place(context: &Context, department: &Department) -> Result<Place, ReconcileError> {
    let _turn = context.placement.lock().await;
    let name = department.name_any();
    let wanted = department.spec.parent.clone();
    let placed = department.status.as_ref().is_some_and(|s| s.placed);
    let current = department.status.as_ref().and_then(|s| s.parent.clone());
    let tree = context.ledger.tree();
    if let Err(error) = admissible(context, &tree, &name, department) {
        return Ok(Place::Refused(current, error.reason(), error.to_string()));
    }
    if placed && current == wanted {
        if !tree.contains(&name) || tree.parent(&name) != wanted.as_deref() {
            context.ledger.place(&name, wanted.as_deref());
        }
        return Ok(Place::Settled(wanted));
    }
    if placed && let Err(sites) = context.ledger.begin_move(&name) {
        let message = format!(
            "spec.parent: {} → {}: the department or something below it holds charges at {}; revoke them, then the move takes place by itself",
            current.as_deref().unwrap_or("none"),
            wanted.as_deref().unwrap_or("none"),
            sites.join(", ")
        );
        return Ok(Place::Refused(current, Reason::SubtreeCharged, message));
    }
    let recorded = record(context, department, wanted.clone()).await;
    if recorded.is_ok() {
        context.ledger.place(&name, wanted.as_deref());
    }
    if placed {
        context.ledger.end_move();
    }
    recorded?;
    Err(ReconcileError::Stale("placed; the rest follows on the recorded place".to_owned()))
}

fn admissible(context: &Context, tree: &Tree, name: &str, department: &Department) -> Result<(), TreeError> {
    let Some(parent) = department.spec.parent.as_deref() else { return Ok(()) };
    let found = context.watches.departments.get(parent).ok_or_else(|| TreeError::NotFound(parent.to_owned()))?;
    tree::fits(&department.spec, parent, &found.spec)?;
    // Parents that wait for each other are a circle as well, and would otherwise wait for ever in silence.
    let mut chain = vec![name.to_owned()];
    let mut next = Some(parent.to_owned());
    while let Some(ancestor) = next.filter(|a| !tree.contains(a)) {
        chain.push(ancestor.clone());
        if ancestor == name {
            return Err(TreeError::Cycle(name.to_owned(), chain.join(" → ")));
        }
        if chain.iter().filter(|a| **a == ancestor).count() > 1 {
            break;
        }
        next = context.watches.departments.get(&ancestor).and_then(|d| d.spec.parent.clone());
    }
    tree.admits(name, parent)
}

/// Writes the place where decisions will find it after a restart, before it is followed.
async fn record(context: &Context, department: &Department, parent: Option<String>) -> Result<(), ReconcileError> {
    let status = DepartmentStatus { parent, placed: true, ..department.status.clone().unwrap_or_default() };
    replace_status(&context.cluster(), department, department.status.as_ref(), &status).await?;
    Ok(())
}

/// Sites at which a department holds something, as the hub itself has it: the books of an operator that stood still meanwhile
/// know nothing of what was granted since.
async fn holding(context: &Context, department: &str) -> Result<Vec<String>, ReconcileError> {
    let Ok(namespace) = naming::department_namespace(department) else { return Ok(Vec::new()) };
    let holds = |charge: Option<&ObjectCharge>| {
        charge.filter(|c| !c.reserved.is_empty() || !c.granted.is_empty()).map(|c| c.site.clone())
    };
    let all = ListParams::default();
    let grants = context.namespaced::<ResourceGrant>(&namespace).list(&all).await?;
    let requests = context.namespaced::<ResourceRequest>(&namespace).list(&all).await?;
    let of_grants = grants.items.iter().filter(|g| super::grant::phase(g) != GrantPhase::Revoked).map(|g| &g.spec.site);
    let reserved = requests.items.iter().filter_map(|r| holds(r.status.as_ref().and_then(|s| s.charge.as_ref())));
    let sites: BTreeSet<String> = of_grants.cloned().chain(reserved).collect();
    Ok(sites.into_iter().collect())
}

async fn remove(context: &Context, department: &Department) -> Outcome {
    let name = department.name_any();
    let api = context.cluster::<Department>();
    if !has_finalizer(department, marks::FINALIZER_DEPARTMENT) {
        return Ok(Action::await_change());
    }
    // Nobody is placed below it meanwhile. Children are those in the tree: one that only asks for this parent, as in a circle of
    // two that name each other, holds nothing up.
    let _turn = context.placement.lock().await;
    let tree = context.ledger.tree();
    let children = tree.children(&name);
    let mut charged = context.ledger.charged_at(&name);
    if children.is_empty() && charged.is_empty() {
        charged = holding(context, &name).await?;
    }
    if children.is_empty() && charged.is_empty() {
        apply::release_namespace(context, department).await?;
        remove_finalizer(&api, department, marks::FINALIZER_DEPARTMENT).await?;
        context.ledger.remove(&name);
        return Ok(Action::await_change());
    }
    let mut reasons = Vec::new();
    if !children.is_empty() {
        reasons.push(format!("it has children: {}", children.join(", ")));
    }
    if !charged.is_empty() {
        reasons.push(format!("it or something below it holds charges at {}", charged.join(", ")));
    }
    let message = format!(
        "the department cannot be deleted: {}; end those first, then the deletion goes on by itself",
        reasons.join("; ")
    );
    let before = department.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, department.metadata.generation, context.clock.now());
    set.stalled(Reason::InUse, message.clone()).yes(ConditionType::DeletionBlocked, Reason::InUse, message);
    let status = DepartmentStatus { conditions: set.finish(), ..before };
    if department.status.as_ref() != Some(&status) {
        replace_status(&api, department, department.status.as_ref(), &status).await?;
    }
    Ok(Action::requeue(std::time::Duration::from_secs(10)))
}

fn report(
    context: &Context,
    department: &Department,
    place: &Place,
    namespace: Option<&Result<String, String>>,
    now: Timestamp,
) -> DepartmentStatus {
    let before = department.status.clone().unwrap_or_default();
    let name = department.name_any();
    let mut set = ConditionSet::new(&before.conditions, department.metadata.generation, now);
    match (place, namespace) {
        (Place::Refused(_, Reason::SubtreeCharged, message), _) => {
            set.yes(ConditionType::MoveBlocked, Reason::SubtreeCharged, message.clone());
            set.stalled(Reason::SubtreeCharged, message.clone());
        }
        (Place::Refused(_, reason, message), _) => {
            set.stalled(*reason, message.clone());
        }
        (_, Some(Err(conflict))) => {
            set.stalled(Reason::NamespaceConflict, conflict.clone());
        }
        (Place::Settled(_), _) => {
            set.yes(ConditionType::Ready, Reason::AsIntended, "has its place, its namespace and its people's rights");
        }
    }
    let parent = match place {
        Place::Settled(parent) | Place::Refused(parent, ..) => parent.clone(),
    };
    let path = context.ledger.tree().chain(&name).ok().map(|mut chain| {
        chain.reverse();
        chain.join("/")
    });
    DepartmentStatus {
        observed_generation: department.metadata.generation.unwrap_or_default(),
        parent,
        placed: before.placed || matches!(place, Place::Settled(_)),
        path,
        namespace: naming::department_namespace(&name).ok().filter(|_| matches!(namespace, Some(Ok(_)))),
        conditions: set.finish(),
    }
}
