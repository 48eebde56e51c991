//! What is seen of a migration: its processes, its wave, its grant, its backups, and what people signed.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use zhengyun_crds::migration::{MigrationStage, MigrationVerb, SystemMigration, SystemMigrationStatus};
use zhengyun_crds::{GrantPhase, Reason};
use zhengyun_domain::migration::evidence::{Subject, Terms};
use zhengyun_domain::migration::facts::{
    Asked, Backups, Facts, Grant, Limits, Moments, Outside, Signatures, Stale, Told, Wave, Work,
};
use zhengyun_domain::migration::follow::{follows, verb};
use zhengyun_domain::migration::machine::Place;
use zhengyun_domain::migration::noted::{Heard, Look, noted};
use zhengyun_domain::migration::sealed;
use zhengyun_domain::migration::window::Calendar;
use zhengyun_domain::recovery::duration;
use zhengyun_domain::recovery::run::Sighting;

use super::super::{Context, department_of, enforcement, grant};
use super::{backups, stands, word};
use crate::controllers::recovery::{Recovery, run_id};
use crate::executor::RunId;
use crate::runtime::controller::ReconcileError;

/// What a process that looks at the target is called.
const PROBE: &str = "probe";

/// A process of a workload that lives and belongs to a turn before.
#[derive(Clone, Debug)]
struct Old {
    workload: String,
    stale: Stale,
}

/// Everything that is seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// What it says of itself, with what is heard at this look.
    pub(super) status: SystemMigrationStatus,
    /// Its wave.
    pub(super) wave: Wave,
    /// What was signed.
    pub(super) signed: Signatures,
    /// Probes of a turn before that still live.
    pub(super) late: Vec<RunId>,
    /// Workloads whose probes are to be started, with their processes.
    pub(super) unprobed: Vec<(String, RunId)>,
    /// Where it stands.
    pub(super) at: Place,
    /// What people ask for.
    pub(super) asked: Asked,
    now: Timestamp,
    heard: Vec<Heard>,
    old: Vec<Old>,
    grant: Grant,
    backups: Backups,
    outside: Outside,
    unowned: Vec<String>,
    limits: Limits,
    strategy: zhengyun_crds::migration::Strategy,
    erasure_recorded: bool,
}

/// The process of a workload.
pub(super) fn run(
    migration: &SystemMigration,
    workload: &str,
    word: &str,
    epoch: i64,
) -> Result<RunId, ReconcileError> {
    run_id(migration.uid().as_deref(), &format!("{workload}-{word}-{epoch}"))
}

/// Looks at everything.
///
/// # Errors
/// When the folder of the runs cannot be used.
pub(super) async fn observe(
    context: &Context,
    recovery: &Recovery,
    migration: &SystemMigration,
) -> Result<Seen, ReconcileError> {
    let at = stands(migration);
    let epoch = migration.status.as_ref().map_or(0, |status| status.epoch);
    let mut heard = Vec::new();
    for workload in &migration.spec.workloads {
        let name = &workload.name;
        let verb = match verb(at) {
            Some(verb) => Some((verb, recovery.observe(&run(migration, name, word(verb), epoch)?).await?)),
            None => None,
        };
        let follower = if follows(at) {
            Some(recovery.observe(&run(migration, name, word(MigrationVerb::Copy), epoch)?).await?)
        } else {
            None
        };
        heard.push(Heard { name: name.clone(), verb, follower });
    }
    let (old, late) = old(recovery, migration, at, epoch).await?;
    let mut seen = Seen { late, heard, old, ..Seen::unobserved(context, migration) };
    seen.probes(recovery, migration, epoch).await?;
    seen.judge(context, migration);
    Ok(seen)
}

/// Processes of turns before that live. None is begun before they are gone.
async fn old(
    recovery: &Recovery,
    migration: &SystemMigration,
    at: Place,
    epoch: i64,
) -> Result<(Vec<Old>, Vec<RunId>), ReconcileError> {
    let uid = migration.uid().unwrap_or_default();
    let (mut old, mut late) = (Vec::new(), Vec::new());
    for run in recovery.runs_of(&uid).await? {
        let mut parts = run.what(&uid).rsplitn(3, '-');
        let (Some(of), Some(done), Some(workload)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let Ok(of) = of.parse::<i64>() else { continue };
        let verb = MigrationVerb::ALL.iter().copied().find(|verb| word(*verb) == done);
        let misplaced = verb == Some(MigrationVerb::Copy) && !follows(at);
        if of >= epoch && !misplaced {
            continue;
        }
        let sighting = recovery.observe(&run).await?;
        match verb {
            _ if !sighting.runs() => {}
            Some(verb) => old
                .push(Old { workload: workload.to_owned(), stale: Stale { verb, epoch: of, hangs: sighting.hangs() } }),
            None => late.push(run),
        }
    }
    Ok((old, late))
}

impl Seen {
    /// What is seen without looking at processes.
    pub(super) fn unobserved(context: &Context, migration: &SystemMigration) -> Self {
        let (spec, at, now) = (&migration.spec, stands(migration), context.clock.now());
        let cutover = spec.cutover.as_ref();
        let downtime = cutover
            .and_then(|cutover| duration::parse_positive("spec.cutover.downtimeBudget", &cutover.downtime_budget).ok());
        let unread = SignedDuration::MAX;
        let of = |text: Option<&zhengyun_crds::DurationText>, otherwise| {
            text.map_or(otherwise, |text| duration::parse("", text).unwrap_or(otherwise))
        };
        let missing = || Err("signatures were not looked at".to_owned());
        let status = migration.status.clone().unwrap_or_default();
        Self {
            wave: wave(context, migration, &status, downtime, now),
            signed: Signatures {
                cutover: missing(),
                declared: missing(),
                rollback: missing(),
                acceptance: missing(),
                erasure: missing(),
            },
            late: Vec::new(),
            unprobed: Vec::new(),
            at,
            now,
            heard: Vec::new(),
            old: Vec::new(),
            grant: landing(context, migration),
            backups: Backups::default(),
            outside: Outside { switch: Told::Done, switch_back: Told::Done, ..Outside::default() },
            unowned: spec.dependencies.iter().filter(|d| d.owner.is_none()).map(|d| d.name.clone()).collect(),
            asked: Asked {
                paused: spec.paused,
                // Who deletes it gives it up: it goes once nothing is left half done.
                cancel: spec.cancel || migration.metadata.deletion_timestamp.is_some(),
                round: spec.round,
                close_source: spec.close_source,
            },
            limits: Limits {
                downtime,
                in_step_for: of(cutover.map(|c| &c.in_step_for), unread),
                backup_age: of(cutover.map(|c| &c.backup_age), SignedDuration::from_hours(24)),
                trial: of(Some(&spec.trial.length), unread),
            },
            strategy: spec.strategy,
            erasure_recorded: spec.erasure_record.is_some(),
            status,
        }
    }

    /// What came of the probes: of every workload that has some.
    async fn probes(
        &mut self,
        recovery: &Recovery,
        migration: &SystemMigration,
        epoch: i64,
    ) -> Result<(), ReconcileError> {
        if self.at.step != Some(zhengyun_crds::migration::MigrationStep::Probe) {
            return Ok(());
        }
        let probes = migration.spec.cutover.iter().flat_map(|cutover| &cutover.probes);
        let mut of: Vec<&str> = probes.map(|probe| probe.workload.as_str()).collect();
        of.sort_unstable();
        of.dedup();
        let mut told = Told::Done;
        for workload in of {
            let run = run(migration, workload, PROBE, epoch)?;
            match recovery.observe(&run).await? {
                Sighting::Done(_) => {}
                Sighting::Failed(fault) if !fault.transient => {
                    self.outside.probe = Told::Failed(format!("{}: {}", fault.reason, fault.message));
                    return Ok(());
                }
                Sighting::Running { .. } => told = if told == Told::Done { Told::Running } else { told },
                Sighting::Absent | Sighting::Lost | Sighting::Failed(_) => {
                    self.unprobed.push((workload.to_owned(), run));
                    told = Told::Nothing;
                }
            }
        }
        self.outside.probe = told;
        Ok(())
    }

    /// Takes over what is heard, makes what can be signed and judges the signatures.
    fn judge(&mut self, context: &Context, migration: &SystemMigration) {
        let cutover = migration.spec.cutover.as_ref();
        let max_lag = cutover.and_then(|cutover| duration::parse("", &cutover.max_lag).ok());
        let look = Look {
            now: self.now,
            epoch: self.status.epoch,
            max_lag: max_lag.unwrap_or_else(|| SignedDuration::from_mins(1)),
        };
        let mut status = noted(&self.status, &self.heard, look);
        let found = backups::look(context, migration, &mut status, self.at, self.now);
        self.backups = found.facts;
        let uid = migration.uid().unwrap_or_default();
        let window = match self.at.stage {
            MigrationStage::Rehearsed => self.wave.window,
            // One that is over, or no longer long enough, is about to be approved anew.
            _ => self.wave.window.filter(|window| Some(window.start) == self.wave.approved),
        };
        let ground = sealed::Ground {
            subject: Subject { uid: &uid, round: status.round },
            at: self.at,
            terms: Terms::of(&migration.spec),
            window,
            trial: self.limits.trial,
            backup: found.root.as_deref(),
            now: self.now,
        };
        sealed::seal(&mut status, &ground);
        let guarded = enforcement::not_enforced(context).is_none();
        self.signed = sealed::judged(&migration.spec, &mut status, guarded, self.now);
        self.status = status;
    }

    /// Whether any process is at work.
    pub(super) fn is_at_work(&self) -> bool {
        let runs = |heard: &Heard| {
            heard.verb.as_ref().is_some_and(|(_, sighting)| sighting.runs())
                || heard.follower.as_ref().is_some_and(Sighting::runs)
        };
        !self.old.is_empty() || self.heard.iter().any(runs)
    }

    fn works(&self) -> Vec<Work<'_>> {
        let work = |heard: &'_ Heard| {
            let known = self.status.workloads.iter().find(|known| known.name == heard.name);
            (known.map_or(0, |known| known.attempt), known.and_then(|known| Some(known.in_step_since.as_ref()?.0)))
        };
        self.heard
            .iter()
            .map(|heard| {
                let (attempt, in_step_since) = work(heard);
                Work {
                    name: &heard.name,
                    sighting: heard.verb.as_ref().map_or(&Sighting::Absent, |(_, sighting)| sighting),
                    follower: heard.follower.as_ref().unwrap_or(&Sighting::Absent),
                    stale: self.old.iter().find(|old| old.workload == heard.name).map(|old| old.stale),
                    attempt,
                    in_step_since,
                }
            })
            .collect()
    }

    /// As the domain decides on it.
    pub(super) fn decide<T>(&self, decide: impl FnOnce(&Facts<'_>) -> T) -> T {
        let works = self.works();
        decide(&Facts {
            now: self.now,
            strategy: self.strategy,
            at: self.at,
            epoch: self.status.epoch,
            round: self.status.round,
            asked: self.asked,
            works: &works,
            findings: &self.status.findings,
            unowned: &self.unowned,
            grant: &self.grant,
            wave: &self.wave,
            backups: self.backups,
            signed: &self.signed,
            erasure_recorded: self.erasure_recorded,
            outside: &self.outside,
            limits: self.limits,
            moments: Moments {
                frozen: self.status.frozen_at.as_ref().map(|at| at.0),
                admitted: self.status.traffic_admitted_at.as_ref().map(|at| at.0),
                retained_until: self.status.retained_until.as_ref().map(|at| at.0),
            },
        })
    }
}

/// What is seen of the grant to land on.
fn landing(context: &Context, migration: &SystemMigration) -> Grant {
    let Some(name) = &migration.spec.grant else { return Grant::Absent };
    let held = context.watches.grants.get_in(&migration.namespace().unwrap_or_default(), name);
    match held.map(|held| grant::phase(&held)) {
        Some(GrantPhase::InService) => Grant::InService,
        Some(phase @ (GrantPhase::Pending | GrantPhase::Provisioning)) => {
            Grant::Coming(format!("grant {name} is {phase}"))
        }
        Some(GrantPhase::Revoking | GrantPhase::Revoked) | None => Grant::Absent,
    }
}

/// What is seen of the wave that names a migration.
fn wave(
    context: &Context,
    migration: &SystemMigration,
    status: &SystemMigrationStatus,
    downtime: Option<SignedDuration>,
    now: Timestamp,
) -> Wave {
    let (namespace, name) = (migration.namespace().unwrap_or_default(), migration.name_any());
    let department = department_of(&namespace);
    let approved = status.window.as_ref().map(|window| window.0);
    let of = context.watches.waves.matching(|wave| {
        wave.spec.members.iter().any(|member| member.department == department && member.migration == name)
    });
    let Some(found) = of.first() else { return Wave { approved, ..Wave::default() } };
    let members = found.status.as_ref().map(|status| status.members.as_slice()).unwrap_or_default();
    let own = members.iter().find(|member| member.department == department && member.migration == name);
    let hold = match own {
        Some(own) if own.admitted => None,
        Some(own) => {
            let reason = own.reason.as_deref().unwrap_or_default();
            let reason = Reason::ALL.iter().copied().find(|known| known.as_str() == reason);
            Some((reason.unwrap_or(Reason::Pending), own.message.clone().unwrap_or_default()))
        }
        None => Some((Reason::Pending, format!("wave {} was not looked at yet", found.name_any()))),
    };
    let calendar = Calendar::read(&found.spec.time_zone, &found.spec.windows, &found.spec.freezes).ok();
    let window = calendar.zip(downtime).and_then(|(calendar, needed)| calendar.window(now, needed));
    Wave { name: Some(found.name_any()), hold, window, approved }
}
