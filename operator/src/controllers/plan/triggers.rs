//! What makes a plan be looked at anew: everything that decides what is due, what can be dropped and what is told.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use zhengyun_crds::recovery::{RecoveryPlan, RestorePhase, SourceOrigin};
use zhengyun_crds::{BackupStore, SystemRestore};

use super::super::{Context, grant};
use crate::runtime::controller::Triggers;

/// Of the controller of plans.
///
/// A plan whose store or grant comes into service a moment later would otherwise start nothing until its hourly look, and a backup
/// that a restore rested on would be kept for as long.
pub fn triggers(context: &Arc<Context>) -> Triggers<RecoveryPlan> {
    let w = &context.watches;
    let (of_stores, of_grants, of_sites, of_restores) =
        (Arc::clone(context), Arc::clone(context), Arc::clone(context), Arc::clone(context));
    Triggers::own(&w.plans)
        .on(&w.backups, |backup| [named(&backup.spec.plan, backup.namespace())])
        .on(&w.drills, |drill| [named(&drill.spec.plan, drill.namespace())])
        .on_facts(&w.restores, ended, move |restore| of_restore(&of_restores, &restore))
        .on_facts(&w.stores, standing, move |store| {
            let name = store.name_any();
            plans(&of_stores, |plan| plan.spec.copies.iter().any(|copy| copy.store == name))
        })
        .on_facts(&w.grants, grant::phase, move |held| {
            let (name, namespace) = (held.name_any(), held.namespace());
            plans(&of_grants, |plan| plan.namespace() == namespace && reads(plan, &name))
        })
        // Where a site is decides what fails together; that there is one, whether it can be drilled at.
        .on_facts(&w.sites, |site| site.metadata.generation, move |_| plans(&of_sites, |_| true))
}

fn named(plan: &str, namespace: Option<String>) -> ObjectRef<RecoveryPlan> {
    ObjectRef::new(plan).within(&namespace.unwrap_or_default())
}

fn plans(context: &Context, which: impl Fn(&RecoveryPlan) -> bool) -> Vec<ObjectRef<RecoveryPlan>> {
    context.watches.plans.matching(which).iter().map(|plan| ObjectRef::from_obj(plan.as_ref())).collect()
}

/// The plan of the backup that a restore rests on.
fn of_restore(context: &Context, restore: &SystemRestore) -> Option<ObjectRef<RecoveryPlan>> {
    let backup = context.watches.backups.get_in(&restore.namespace()?, &restore.spec.backup)?;
    Some(named(&backup.spec.plan, backup.namespace()))
}

fn ended(restore: &SystemRestore) -> bool {
    restore.status.as_ref().and_then(|status| status.phase).is_some_and(RestorePhase::is_terminal)
}

/// What a store says of itself; how full it is passes unnoticed.
fn standing(store: &BackupStore) -> Vec<(String, String)> {
    let conditions = store.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().map(|condition| (condition.type_.clone(), condition.message.clone())).collect()
}

/// Whether a source of a plan is of a grant.
fn reads(plan: &RecoveryPlan, grant: &str) -> bool {
    plan.spec.sources.iter().any(|source| match &source.origin {
        SourceOrigin::Namespace(from) => from.grant == grant,
        SourceOrigin::Item(from) => from.grant == grant,
        SourceOrigin::Database(_) | SourceOrigin::Files(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zhengyun_crds::recovery::{RecoveryPlan, SystemRestore};

    use super::{ended, reads};

    #[test]
    fn a_plan_reads_the_grants_of_its_namespaces_and_items() {
        let plan: RecoveryPlan = serde_json::from_value(json!({
            "metadata": { "name": "p" },
            "spec": {
                "system": "s", "level": 1, "ceiling": "1Gi", "copies": [{ "store": "a" }],
                "sources": [
                    { "name": "a", "origin": { "namespace": { "grant": "one" } } },
                    { "name": "b", "origin": { "item": { "grant": "two", "item": "db" } } },
                    { "name": "c", "origin": { "database": { "site": "x", "endpoint": "three", "database": "d" } } }
                ],
                "schedule": { "every": "1h" }, "retention": { "last": 1 }, "objectives": { "rpo": "1h", "rto": "1h" },
                "encryption": { "secretName": "k" }
            }
        }))
        .unwrap();
        assert!(reads(&plan, "one") && reads(&plan, "two") && !reads(&plan, "three"));
    }

    #[test]
    fn a_restore_lets_go_of_its_backup_when_it_ends() {
        let of = |phase: &str| -> SystemRestore {
            serde_json::from_value(json!({
                "metadata": { "name": "r" },
                "spec": { "backup": "b", "mode": "Plan", "existing": "Fail", "requestedBy": "x" },
                "status": { "phase": phase }
            }))
            .unwrap()
        };
        assert!(ended(&of("Planned")) && ended(&of("Completed")) && !ended(&of("Planning")));
    }
}
