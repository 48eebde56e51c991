//! RecoveryPlan: the run that is due, and what the evidence says of the plan.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use zhengyun_crds::recovery::{
    BackupPhase, BackupTrigger, CopyState, CopyStatus, RecoveryDrill, RecoveryPlan, RecoveryPlanStatus, SystemBackup,
    SystemBackupSpec,
};
use zhengyun_crds::{ConditionType as C, Reason, condition};

mod drills;

use super::backup::{BackupPlan, objective};
use super::level::{Evaluation, Evidence, LevelTable, evaluate};
use super::objective::{CopyEvidence, Judgement, RestorePoint, judge, window};
use super::place::Independence;
use super::schedule::{Due, due};
use super::{duration, schedule};
use crate::condition::{ConditionSet, cut};
use crate::finding::Finding;
use crate::naming::run_name;

/// Who asks for scheduled runs.
pub const SCHEDULE: &str = "zhengyun:schedule";
/// A plan is looked at this often although nothing happened: ages grow by themselves.
const LOOK: SignedDuration = SignedDuration::from_hours(1);
/// Runs are told apart in time by seconds.
const LEAST: SignedDuration = SignedDuration::from_secs(1);
/// What of the last day counts as a transfer.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Longest message of a condition, in bytes.
const MESSAGE: usize = 2_000;

/// Everything that is known of a plan.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The plan.
    pub plan: &'a RecoveryPlan,
    /// What a run of it would do, or all that keeps it from running.
    pub outlook: Result<BackupPlan, Vec<Finding>>,
    /// Levels of the edition that the plan names.
    pub table: &'a LevelTable,
    /// Its backups; those of an older plan of the same name are others.
    pub backups: Vec<&'a SystemBackup>,
    /// Its drills.
    pub drills: Vec<&'a RecoveryDrill>,
    /// Fingerprints of the password keys of its repositories, by store.
    pub escrow: BTreeMap<String, String>,
}

/// What to do, and what to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The backup to start now. Its name is that of the due time: started twice, it is the same.
    pub start: Option<SystemBackup>,
    /// The drill to hold now, named likewise. The next copy's turn comes when it ended.
    pub drill: Option<RecoveryDrill>,
    /// The plan's status. Its `lastDue` and `drillDue` count on both: they are created before it is written.
    pub status: RecoveryPlanStatus,
    /// When to look again although nothing happens.
    pub again: SignedDuration,
}

/// Decides about a plan.
pub fn decide(facts: &Facts<'_>, now: Timestamp) -> Decision {
    let spec = &facts.plan.spec;
    let before = facts.plan.status.clone().unwrap_or_default();
    let outlook = facts.outlook.as_ref();
    let due = outlook.ok().filter(|_| !spec.paused).map(|outlook| due_now(facts, outlook, &before, now));
    let busy = facts.backups.iter().find(|backup| !phase(backup).is_terminal());
    // One run of a plan at a time: what comes due meanwhile is made up for once when it ends.
    let start = due.and_then(|due| due.run).filter(|_| busy.is_none()).map(|run| scheduled(facts.plan, run.at));

    let independence = outlook.map(|o| o.independence.clone()).unwrap_or_default();
    let seen: Vec<Seen<'_>> = spec.copies.iter().map(|copy| see(facts, &copy.store, &before, now)).collect();
    let turn = outlook.ok().filter(|_| !spec.paused).map(|outlook| drills::turn(facts, outlook, &seen, &before, now));
    let drill = turn.as_ref().and_then(|turn| turn.start.clone());
    let copies =
        seen.iter().map(|seen| shown(facts, seen, drills::last_due(facts, seen, &before, drill.as_ref()))).collect();
    let evidence: Vec<CopyEvidence> = seen.iter().map(|seen| seen.evidence.clone()).collect();
    let judgement = objective(spec).map(|objective| judge(&evidence, objective, now));
    let evaluation = evaluate(facts.table, spec.level, &measured(facts, &seen, &evidence, &independence, now));
    let (elements, unmet) = evaluation.to_status();

    let last_due = start.as_ref().and_then(|backup| backup.spec.due.clone()).or_else(|| before.last_due.clone());
    let next_run = due.and_then(|due| due.next).map(Time);
    let known = judgement.as_ref().ok();
    let mut status = RecoveryPlanStatus {
        observed_generation: facts.plan.metadata.generation.unwrap_or_default(),
        last_due,
        next_run,
        last_drill_due: drill
            .as_ref()
            .and_then(|drill| drill.spec.due.clone())
            .or_else(|| before.last_drill_due.clone()),
        next_drill: turn.as_ref().and_then(|turn| turn.next).map(Time),
        copies,
        worst_rpo: known.and_then(|j| j.worst_rpo).map(duration::print),
        last_measured_rto: known.and_then(|j| j.measured_rto).map(duration::print),
        achieved_level: evaluation.level,
        elements,
        unmet,
        conditions: Vec::new(),
        ..before.clone()
    };
    let mut set = ConditionSet::new(&before.conditions, facts.plan.metadata.generation, now);
    standing(&mut set, facts, due, busy.copied(), start.as_ref());
    met(&mut set, judgement.as_ref());
    level(&mut set, &evaluation, spec.level);
    protected(&mut set, facts, &status.copies);
    status.conditions = set.finish();

    let lapses = known.and_then(|j| j.lapses_at);
    let wake = [due.and_then(|due| due.next), turn.and_then(|turn| turn.next), lapses]
        .into_iter()
        .flatten()
        .map(|at| at.duration_since(now))
        .min();
    Decision { start, drill, status, again: wake.unwrap_or(LOOK).clamp(LEAST, LOOK) }
}

fn phase(backup: &SystemBackup) -> BackupPhase {
    backup.status.as_ref().and_then(|s| s.phase).unwrap_or(BackupPhase::Pending)
}

fn created(plan: &RecoveryPlan, now: Timestamp) -> Timestamp {
    plan.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0)
}

fn due_now(facts: &Facts<'_>, outlook: &BackupPlan, before: &RecoveryPlanStatus, now: Timestamp) -> Due {
    let uid = facts.plan.metadata.uid.as_deref().unwrap_or_default();
    let started = |backup: &&&SystemBackup| backup.spec.trigger == BackupTrigger::Scheduled;
    // A backup that was created and whose plan was not written counts as well: both say what was started.
    let runs = facts.backups.iter().filter(started).filter_map(|b| b.spec.due.as_ref()).map(|due| due.0);
    let last = runs.chain(before.last_due.as_ref().map(|due| due.0)).max();
    due(&outlook.schedule, uid, last, created(facts.plan, now), now)
}

/// The backup of a due time.
fn scheduled(plan: &RecoveryPlan, at: Timestamp) -> SystemBackup {
    let uid = plan.metadata.uid.clone().unwrap_or_default();
    let name = run_name("SystemBackup", &plan.name_any(), &uid, "", at);
    let mut backup = SystemBackup::new(
        &name,
        SystemBackupSpec {
            plan: plan.name_any(),
            plan_uid: uid,
            trigger: BackupTrigger::Scheduled,
            due: Some(Time(at)),
            grant: None,
            requested_by: SCHEDULE.to_owned(),
            cancel: false,
        },
    );
    backup.metadata.namespace.clone_from(&plan.metadata.namespace);
    backup
}

/// Verified restore points of a store with the names of their backups, oldest first. Only what is whole counts.
fn points<'a>(facts: &Facts<'a>, store: &str) -> Vec<(&'a SystemBackup, RestorePoint)> {
    let mut points: Vec<_> = facts
        .backups
        .iter()
        .filter(|backup| phase(backup) == BackupPhase::Completed)
        .filter_map(|backup| {
            let status = backup.status.as_ref()?;
            let copy = status.copies.iter().find(|c| c.store == store && c.state == CopyState::Verified)?;
            let (captured, verified) = (status.captured_at.as_ref()?, copy.verified_at.as_ref()?);
            Some((*backup, RestorePoint { captured_at: captured.0, verified_at: verified.0 }))
        })
        .collect();
    points.sort_by(|(a, one), (b, other)| {
        one.captured_at.cmp(&other.captured_at).then_with(|| a.name_any().cmp(&b.name_any()))
    });
    points
}

/// When whole backups were verified in a store, those whose data was dropped since included.
fn verified_in<'a>(facts: &'a Facts<'_>, store: &'a str) -> impl Iterator<Item = Timestamp> + 'a {
    let whole = facts.backups.iter().filter(|backup| phase(backup) == BackupPhase::Completed);
    let copies = whole.filter_map(|backup| backup.status.as_ref()).flat_map(|status| &status.copies);
    copies
        .filter(move |c| c.store == store && matches!(c.state, CopyState::Verified | CopyState::Forgotten))
        .filter_map(|copy| Some(copy.verified_at.as_ref()?.0))
}

/// What backups and drills say of the copies in one store.
struct Seen<'a> {
    points: Vec<(&'a SystemBackup, RestorePoint)>,
    evidence: CopyEvidence,
    /// Where the last drill was held.
    drill_site: Option<String>,
}

fn see<'a>(facts: &Facts<'a>, store: &str, before: &RecoveryPlanStatus, now: Timestamp) -> Seen<'a> {
    let points = points(facts, store);
    let last = points.last();
    // Measured once, when the point was verified: it does not change when the one before it is deleted.
    let known = before.copies.iter().find(|copy| copy.store == store);
    let measured =
        known.filter(|known| known.last_good.is_some() && known.last_good == last.map(|(b, _)| b.name_any()));
    let measured = measured.and_then(|known| known.rpo.as_ref()).and_then(|rpo| duration::parse("rpo", rpo).ok());
    let window = measured.or_else(|| {
        let before = points.len().checked_sub(2).and_then(|at| points.get(at));
        window(before.map(|(_, point)| *point), last?.1)
    });
    let last = last.map(|(_, point)| *point);
    let (drill, drill_site) = drills::last(facts, store, before, now).unzip();
    let skipped = drills::skipped(facts, store, drill);
    let evidence = CopyEvidence { store: store.to_owned(), last, window, drill, skipped };
    Seen { points, evidence, drill_site }
}

fn shown(facts: &Facts<'_>, seen: &Seen<'_>, drill_due: Option<Time>) -> CopyStatus {
    let CopyEvidence { store, last, window, drill, skipped: _ } = &seen.evidence;
    let copies = facts.backups.iter().filter_map(|b| b.status.as_ref()).flat_map(|s| &s.copies);
    CopyStatus {
        store: store.clone(),
        last_good: seen.points.last().map(|(backup, _)| backup.name_any()),
        captured_at: last.map(|point| Time(point.captured_at)),
        verified_at: last.map(|point| Time(point.verified_at)),
        rpo: window.map(duration::print),
        rto: drill.and_then(|d| d.rto).map(duration::print),
        drill_ended_at: drill.map(|d| Time(d.finished_at)),
        drill_site: seen.drill_site.clone(),
        drilled_at: drill.filter(|d| d.rto.is_some()).map(|d| Time(d.finished_at)),
        drill_due,
        escrow_fingerprint: facts.escrow.get(store).cloned(),
        bytes: copies
            .filter(|copy| copy.store == *store && matches!(copy.state, CopyState::Stored | CopyState::Verified))
            .fold(0_i64, |sum, copy| sum.saturating_add(copy.bytes_added)),
    }
}

fn measured(
    facts: &Facts<'_>,
    seen: &[Seen<'_>],
    copies: &[CopyEvidence],
    independence: &Independence,
    now: Timestamp,
) -> Evidence {
    let alone = |store: &str| independence.copies.iter().any(|c| c.store == store && c.bound_to.is_none());
    let today = |at: Timestamp| now.duration_since(at) <= DAY && at <= now;
    let transfers = seen
        .iter()
        .filter(|copy| alone(&copy.evidence.store))
        .map(|copy| verified_in(facts, &copy.evidence.store).filter(|at| today(*at)).count())
        .max();
    let zone = schedule::zone(&facts.plan.spec.schedule.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    Evidence::of(
        copies,
        independence,
        transfers.and_then(|count| u32::try_from(count).ok()),
        facts.plan.spec.attestations.clone(),
        now,
        zone.to_datetime(now).date(),
    )
}

fn told(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(|f| format!("{}: {}", f.pointer, f.message)).collect();
    cut(lines.join("; "), MESSAGE)
}

/// Whether it runs, and when next.
fn standing(
    set: &mut ConditionSet<'_>,
    facts: &Facts<'_>,
    due: Option<Due>,
    busy: Option<&SystemBackup>,
    start: Option<&SystemBackup>,
) {
    let reason_of = |findings: &[Finding], usual: Reason| {
        let rule = findings.first().map(|f| f.rule.as_str()).unwrap_or_default();
        Reason::ALL.iter().copied().find(|reason| reason.as_str() == rule).unwrap_or(usual)
    };
    let outlook = match &facts.outlook {
        Ok(outlook) => outlook,
        Err(refusals) => {
            set.stalled(reason_of(refusals, Reason::Invalid), told(refusals));
            set.no(
                C::Accepted,
                reason_of(refusals, Reason::Invalid),
                "no run is started until it is corrected; backups stay",
            );
            return;
        }
    };
    if outlook.findings.is_empty() {
        set.yes(C::Accepted, Reason::Accepted, "sources, stores, schedule and objectives fit together");
    } else {
        // It runs all the same: what is found is told, and decided by people.
        set.yes(C::Accepted, reason_of(&outlook.findings, Reason::Accepted), told(&outlook.findings));
    }
    let next = due.and_then(|due| due.next).map_or_else(|| "none".to_owned(), |at| at.to_string());
    match (facts.plan.spec.paused, due.and_then(|due| due.clock_back), start, busy) {
        (true, ..) => {
            set.yes(
                C::Ready,
                Reason::Paused,
                "no run is started while spec.paused is set; what is measured goes on ageing",
            );
        }
        (_, Some(ahead), ..) => {
            let message = format!(
                "the clock is {} behind the last run that was started: set the clock of the operator; next run {next}",
                duration::print(ahead)
            );
            set.no(C::Ready, Reason::ClockWentBack, message);
        }
        (_, _, Some(run), _) => {
            set.yes(C::Ready, Reason::AsIntended, format!("backup {} was started; next run {next}", run.name_any()));
        }
        (_, _, _, Some(run)) if without_room(run).is_some() => {
            let (reason, message) = without_room(run).unwrap_or((Reason::QuotaExceeded, String::new()));
            set.stalled(reason, cut(format!("backup {} waits: {message}", run.name_any()), MESSAGE));
        }
        (_, _, _, Some(run)) => {
            set.yes(C::Ready, Reason::AsIntended, format!("backup {} is under way; next run {next}", run.name_any()));
        }
        _ => {
            set.yes(C::Ready, Reason::AsIntended, format!("next run {next}"));
        }
    }
}

/// Why a backup that was asked for has no room, if so: its plan says it as well, for nothing else is started meanwhile.
fn without_room(backup: &SystemBackup) -> Option<(Reason, String)> {
    const TOLD: [Reason; 4] =
        [Reason::QuotaExceeded, Reason::CapacityExceeded, Reason::LedgerHeld, Reason::Quarantined];
    let ready = condition::find(&backup.status.as_ref()?.conditions, C::Ready)?;
    let reason = TOLD.into_iter().find(|reason| reason.as_str() == ready.reason)?;
    Some((reason, ready.message.clone()))
}

fn met(set: &mut ConditionSet<'_>, judgement: Result<&Judgement, &Finding>) {
    match judgement {
        Err(finding) => {
            set.unknown(C::ObjectiveMet, Reason::Invalid, format!("{}: {}", finding.pointer, finding.message))
        }
        Ok(judgement) => match judgement.misses.first() {
            None => set.yes(
                C::ObjectiveMet,
                Reason::ObjectiveMet,
                "measured by verified backups and passed drills of every copy",
            ),
            Some(first) => {
                let all: Vec<&str> = judgement.misses.iter().map(|miss| miss.message.as_str()).collect();
                set.no(C::ObjectiveMet, first.reason, cut(all.join("; "), MESSAGE))
            }
        },
    };
}

fn level(set: &mut ConditionSet<'_>, evaluation: &Evaluation, asked: i32) {
    if let Some(first) = evaluation.first_unmet() {
        let message = format!(
            "{} (level {}): {}; {}: {}",
            first.clause, first.level, first.required, first.measured, first.remedy
        );
        set.no(C::LevelMet, Reason::ClauseUnmet, cut(message, MESSAGE));
    } else if evaluation.findings.is_empty() {
        set.yes(C::LevelMet, Reason::AsIntended, format!("the evidence supports level {}", evaluation.level));
    } else {
        // What the numbers say is not worth more than the rows that they are held against.
        let message = format!("the evidence would support level {asked}: {}", told(&evaluation.findings));
        set.unknown(C::LevelMet, Reason::LevelRowUnverified, cut(message, MESSAGE));
    }
}

/// Protected is what can be brought back even when this cloud is gone: a verified copy, and its password key in a safe place.
fn protected(set: &mut ConditionSet<'_>, facts: &Facts<'_>, copies: &[CopyStatus]) {
    if let Some(copy) = copies.iter().find(|copy| copy.last_good.is_none()) {
        let message =
            format!("store {} holds no verified backup: wait for the first one, or ask for one now", copy.store);
        set.no(C::Protected, Reason::BackupNotVerified, message);
        return;
    }
    let kept = |copy: &CopyStatus| {
        let given = facts.plan.spec.escrow.iter().find(|escrow| escrow.store == copy.store);
        given.is_some_and(|escrow| copy.escrow_fingerprint.as_deref() == Some(escrow.fingerprint.as_str()))
    };
    match copies.iter().find(|copy| !kept(copy)) {
        Some(copy) => {
            let fingerprint = copy.escrow_fingerprint.as_deref().unwrap_or("not known yet");
            let message = format!(
                "nobody confirmed where the password key of the repository in store {} is kept: take it from the Secret that the store's events name, keep it outside this cloud, and write store, fingerprint ({fingerprint}) and keeper into spec.escrow",
                copy.store
            );
            set.no(C::Protected, Reason::EscrowPending, message);
        }
        None => {
            set.yes(
                C::Protected,
                Reason::AsIntended,
                "a verified backup stands in every store, and its keys are in a safe place",
            );
        }
    }
}
