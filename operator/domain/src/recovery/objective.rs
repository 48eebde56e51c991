//! Whether measurements meet the objectives of a plan.
//!
//! Nothing counts but evidence. The recovery point objective (RPO) is measured from the moment whose data the last verified backup
//! of a copy holds; the recovery time objective (RTO) from passed drills of that copy. What was promised, scheduled or estimated
//! does not count. An unproven copy shows as unproven, and the objective is then not met.

use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::Reason;

use super::duration;

/// A verified restore point in one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestorePoint {
    /// Moment whose data it holds: the oldest of its sources.
    pub captured_at: Timestamp,
    /// When it was read back and found equal.
    pub verified_at: Timestamp,
}

/// The last finished drill of a copy that was not skipped or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrillResult {
    /// When it ended.
    pub finished_at: Timestamp,
    /// Its recovery time; none if it did not pass.
    pub rto: Option<SignedDuration>,
}

/// What was measured of the copies in one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyEvidence {
    /// Store.
    pub store: String,
    /// Last verified restore point.
    pub last: Option<RestorePoint>,
    /// What a disaster could have cost at worst when that point was verified, see [`window`].
    pub window: Option<SignedDuration>,
    /// Last drill.
    pub drill: Option<DrillResult>,
    /// When a drill after that one found no room.
    pub skipped: Option<Timestamp>,
}

/// The objectives of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objective {
    /// Data of at most this long may be lost.
    pub rpo: SignedDuration,
    /// The system is back within this long.
    pub rto: SignedDuration,
    /// How long a passed drill counts.
    pub drill_valid_for: SignedDuration,
}

/// Why an objective is not met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Miss {
    /// Stable code.
    pub reason: Reason,
    /// Store whose copy it is about; empty for the plan as a whole.
    pub store: String,
    /// The numbers, and what to do.
    pub message: String,
}

/// The judgement on a plan's objectives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Data that a disaster could have cost at worst, by the worst copy; none while a copy proves nothing.
    pub worst_rpo: Option<SignedDuration>,
    /// Recovery time of the last passed drills, by the worst copy; none while a copy was not drilled.
    pub measured_rto: Option<SignedDuration>,
    /// What is not met; empty when the objectives are met.
    pub misses: Vec<Miss>,
    /// When the judgement changes by the mere passing of time.
    pub lapses_at: Option<Timestamp>,
}

impl Judgement {
    /// Whether measurements meet both objectives, for every copy.
    pub const fn is_met(&self) -> bool {
        self.misses.is_empty()
    }
}

/// What a disaster just before `new` was verified would have cost: everything since `before` was captured. For the first point of
/// a copy nothing before it counts, and it is the time from its capture to its verification.
///
/// A clock that went back in between gives nothing rather than a flattering number.
pub fn window(before: Option<RestorePoint>, new: RestorePoint) -> Option<SignedDuration> {
    let from = before.map_or(new.captured_at, |before| before.captured_at);
    let window = new.verified_at.duration_since(from);
    (!window.is_negative()).then_some(window)
}

/// Judges a plan's objectives by what was measured of each of its copies.
pub fn judge(copies: &[CopyEvidence], objective: Objective, now: Timestamp) -> Judgement {
    let mut judgement = Judgement::default();
    if copies.is_empty() {
        judgement.misses.push(Miss {
            reason: Reason::NotMeasured,
            store: String::new(),
            message: "the plan has no copy: add a store to spec.copies".to_owned(),
        });
        return judgement;
    }
    for copy in copies {
        judge_point(copy, objective, now, &mut judgement);
        judge_drill(copy, objective, now, &mut judgement);
    }
    // The worst of all copies is known only if every copy is.
    judgement.worst_rpo =
        copies.iter().map(|copy| copy.window).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    judgement.measured_rto = copies
        .iter()
        .map(|copy| copy.drill.and_then(|drill| drill.rto))
        .collect::<Option<Vec<_>>>()
        .and_then(|all| all.into_iter().max());
    judgement.misses.sort();
    judgement
}

fn judge_point(copy: &CopyEvidence, objective: Objective, now: Timestamp, judgement: &mut Judgement) {
    let mut miss = |reason: Reason, message: String| {
        judgement.misses.push(Miss { reason, store: copy.store.clone(), message });
    };
    let Some(last) = copy.last else {
        miss(
            Reason::NotMeasured,
            format!("store {} holds no verified backup: wait for the first one, or ask for one now", copy.store),
        );
        return;
    };
    let age = now.duration_since(last.captured_at);
    let limit = duration::print(objective.rpo);
    if age.is_negative() || last.verified_at > now {
        miss(
            Reason::ClockWentBack,
            format!(
                "the last backup in store {} is dated {}, after the present: set the operator's clock, then ask for a backup",
                copy.store, last.captured_at
            ),
        );
    } else if age > objective.rpo {
        miss(
            Reason::RpoExceeded,
            format!(
                "store {} holds data up to {}, more than {limit} ago: look at the last backups of the plan, and at whether store and sources answer",
                copy.store, last.captured_at
            ),
        );
    } else {
        lapse(judgement, last.captured_at.checked_add(objective.rpo).ok());
        match copy.window {
            Some(window) if window > objective.rpo => judgement.misses.push(Miss {
                reason: Reason::RpoExceeded,
                store: copy.store.clone(),
                message: format!(
                    "before the last backup in store {} was verified, {} could have been lost, more than {limit}: back up more often, or allow for the time that a run takes",
                    copy.store,
                    duration::print(window)
                ),
            }),
            Some(_) => {}
            None => judgement.misses.push(Miss {
                reason: Reason::NotMeasured,
                store: copy.store.clone(),
                message: format!("the clock went back during the last backup in store {}: wait for the next one", copy.store),
            }),
        }
    }
}

fn judge_drill(copy: &CopyEvidence, objective: Objective, now: Timestamp, judgement: &mut Judgement) {
    let (reason, message) = match copy.drill {
        None => (
            Reason::NotMeasured,
            format!("no drill restored the copy in store {}: set spec.drill, or hold a drill now", copy.store),
        ),
        Some(DrillResult { rto: None, finished_at }) => (
            Reason::NotMeasured,
            format!(
                "the last drill of store {} did not pass ({finished_at}): look at its differences and failure",
                copy.store
            ),
        ),
        Some(DrillResult { rto: Some(rto), finished_at }) => {
            let over = finished_at.checked_add(objective.drill_valid_for).ok();
            if finished_at > now {
                (
                    Reason::ClockWentBack,
                    format!(
                        "the last drill of store {} is dated {finished_at}, after the present: set the operator's clock",
                        copy.store
                    ),
                )
            } else if over.is_some_and(|over| over < now) {
                (
                    Reason::DrillOverdue,
                    format!(
                        "the last passed drill of store {} ended {finished_at} and counts for {}: hold a drill",
                        copy.store,
                        duration::print(objective.drill_valid_for)
                    ),
                )
            } else if rto > objective.rto {
                (
                    Reason::RtoExceeded,
                    format!(
                        "the last drill of store {} took {}, more than {}: restore fewer data, nearer, or to a larger site, or change spec.objectives.rto",
                        copy.store,
                        duration::print(rto),
                        duration::print(objective.rto)
                    ),
                )
            } else {
                lapse(judgement, over);
                return;
            }
        }
    };
    let failed = copy.drill.is_some_and(|drill| drill.rto.is_none());
    let (reason, message) = match copy.skipped.filter(|_| matches!(reason, Reason::NotMeasured | Reason::DrillOverdue))
    {
        Some(at) => (
            // That a copy failed says more than that the drill after it was not held.
            if failed { reason } else { Reason::DrillSkipped },
            format!(
                "{message}; the drill of {at} found no room: have the cloud administrator raise the quota of the department that drills are charged to"
            ),
        ),
        None => (reason, message),
    };
    judgement.misses.push(Miss { reason, store: copy.store.clone(), message });
}

/// Evidence counts up to and including its last moment; the judgement changes just after.
fn lapse(judgement: &mut Judgement, at: Option<Timestamp>) {
    let after = at.and_then(|at| at.checked_add(SignedDuration::from_nanos(1)).ok());
    judgement.lapses_at = match (judgement.lapses_at, after) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}
