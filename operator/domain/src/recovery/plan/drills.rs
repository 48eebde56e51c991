//! The drills of a plan: which copy's turn it is, and what drills said of a copy.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use zhengyun_crds::recovery::{
    CopyStatus, DrillPhase, DrillTrigger, RecoveryDrill, RecoveryDrillSpec, RecoveryPlan, RecoveryPlanStatus,
};

use super::{Facts, SCHEDULE, Seen, created};
use crate::naming::run_name;
use crate::recovery::backup::BackupPlan;
use crate::recovery::drill::measured_rto;
use crate::recovery::duration;
use crate::recovery::objective::DrillResult;
use crate::recovery::schedule::due;

/// The drill to hold now, and when one is due next.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    pub(super) start: Option<RecoveryDrill>,
    pub(super) next: Option<Timestamp>,
}

/// One copy after the other: drills of a plan share the room that drills have, and the first would take it from the second.
///
/// A copy without a verified backup is not drilled: there is nothing to restore, and it shows as unproven anyway.
pub(super) fn turn(
    facts: &Facts<'_>,
    outlook: &BackupPlan,
    seen: &[Seen<'_>],
    before: &RecoveryPlanStatus,
    now: Timestamp,
) -> Turn {
    let Some((schedule, site)) = &outlook.drill else { return Turn::default() };
    let uid = facts.plan.metadata.uid.as_deref().unwrap_or_default();
    let busy = facts.drills.iter().any(|drill| !phase(drill).is_terminal());
    let mut turn = Turn::default();
    for copy in seen {
        let store = &copy.evidence.store;
        let last = last_due(facts, copy, before, None).map(|due| due.0);
        let due = due(schedule, uid, last, created(facts.plan, now), now);
        turn.next = [turn.next, due.next].into_iter().flatten().min();
        let may = turn.start.is_none() && !busy && !copy.points.is_empty();
        if let Some(run) = due.run.filter(|_| may) {
            turn.start = Some(scheduled(facts.plan, store, site, run.at));
        }
    }
    turn
}

fn phase(drill: &RecoveryDrill) -> DrillPhase {
    drill.status.as_ref().and_then(|s| s.phase).unwrap_or(DrillPhase::Pending)
}

/// Due time of the last scheduled drill of a copy: by the drills that are there, and by what was written when one was started.
pub(super) fn last_due(
    facts: &Facts<'_>,
    seen: &Seen<'_>,
    before: &RecoveryPlanStatus,
    starts: Option<&RecoveryDrill>,
) -> Option<Time> {
    let store = &seen.evidence.store;
    let known = before.copies.iter().find(|copy: &&CopyStatus| copy.store == *store);
    let drills = facts.drills.iter().copied().chain(starts).filter(|drill| drill.spec.store == *store);
    let all = drills.filter_map(|drill| drill.spec.due.clone()).chain(known.and_then(|copy| copy.drill_due.clone()));
    all.max_by_key(|due| due.0)
}

/// The drill of a copy at a due time.
fn scheduled(plan: &RecoveryPlan, store: &str, site: &str, at: Timestamp) -> RecoveryDrill {
    let uid = plan.metadata.uid.clone().unwrap_or_default();
    let name = run_name("RecoveryDrill", &plan.name_any(), &uid, store, at);
    let mut drill = RecoveryDrill::new(
        &name,
        RecoveryDrillSpec {
            plan: plan.name_any(),
            plan_uid: uid,
            backup: None,
            store: store.to_owned(),
            site: site.to_owned(),
            trigger: DrillTrigger::Scheduled,
            due: Some(Time(at)),
            requested_by: SCHEDULE.to_owned(),
            cancel: false,
        },
    );
    drill.metadata.namespace.clone_from(&plan.metadata.namespace);
    drill
}

fn finished<'a>(
    facts: &'a Facts<'_>,
    store: &'a str,
    phases: &'a [DrillPhase],
) -> impl Iterator<Item = (Timestamp, &'a RecoveryDrill)> {
    facts
        .drills
        .iter()
        .copied()
        .filter(move |drill| drill.spec.store == store && phases.contains(&phase(drill)))
        .filter_map(|drill| Some((drill.status.as_ref()?.finished_at.as_ref()?.0, drill)))
}

/// The last drill of a copy that says something, and where it was held: it failed, or it passed as the plan asks for. A pass that did not
/// compare everything counts like a failure, one that was refused before it had room says nothing. What was seen before stays, also if its
/// drill was deleted; but not what is dated after the present, since nothing could follow it.
pub(super) fn last(
    facts: &Facts<'_>,
    store: &str,
    before: &RecoveryPlanStatus,
    now: Timestamp,
) -> Option<(DrillResult, String)> {
    let plan = facts.plan;
    let seen = finished(facts, store, &[DrillPhase::Passed, DrillPhase::Failed])
        .filter(|(_, drill)| match phase(drill) {
            DrillPhase::Failed => drill.status.as_ref().is_some_and(|status| status.started_at.is_some()),
            _ => drill.spec.backup.is_none() && is_asked_for(plan, &drill.spec.site),
        })
        .max_by_key(|(at, _)| *at)
        .map(|(finished_at, drill)| {
            let rto = drill.status.as_ref().and_then(measured_rto);
            (DrillResult { finished_at, rto }, drill.spec.site.clone())
        });
    let known = before.copies.iter().find(|copy| copy.store == store).and_then(|known| {
        let rto = known.rto.as_ref().and_then(|rto| duration::parse("rto", rto).ok());
        let site = known.drill_site.clone().unwrap_or_default();
        let finished_at = known.drill_ended_at.as_ref()?.0;
        let counts = finished_at <= now && (rto.is_none() || is_asked_for(plan, &site));
        counts.then_some((DrillResult { finished_at, rto }, site))
    });
    match (seen, known) {
        (Some(seen), Some(known)) if known.0.finished_at > seen.0.finished_at => Some(known),
        (seen, known) => seen.or(known),
    }
}

/// Whether a drill was held where it would be needed: beside its store it proves little.
fn is_asked_for(plan: &RecoveryPlan, site: &str) -> bool {
    plan.spec.drill.as_ref().is_none_or(|asked| asked.site == site)
}

/// When a drill after the last one found no room.
pub(super) fn skipped(facts: &Facts<'_>, store: &str, last: Option<DrillResult>) -> Option<Timestamp> {
    let after = last.map(|last| last.finished_at);
    finished(facts, store, &[DrillPhase::Skipped])
        .map(|(at, _)| at)
        .filter(|at| after.is_none_or(|after| *at > after))
        .max()
}
