//! What follows from the decisions for the backups of one plan: what each says of itself, what its repositories forget.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use zhengyun_crds::recovery::{
    BackupPhase, CopyState, RecoveryPlan, RetentionFate, RetentionRecord, StoredCopy, SystemBackup, SystemBackupStatus,
};

use super::{Decision, Fate, Point, Worth, decide};
use crate::condition::cut;
use crate::recovery::schedule;

/// How many reasons are told, and how long each may be, in bytes.
const TOLD: (usize, usize) = (16, 250);

/// What retention looks at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The plan.
    pub plan: &'a RecoveryPlan,
    /// Its backups.
    pub backups: Vec<&'a SystemBackup>,
    /// Names of backups that a restore, a drill or a revocation rests on.
    pub in_use: BTreeSet<String>,
}

/// What follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// What a backup says of itself, by name; those that ended.
    pub records: BTreeMap<String, RetentionRecord>,
    /// Snapshots to forget, by store.
    pub forget: BTreeMap<String, BTreeSet<String>>,
    /// Stores in which an unfinished run, or a copy that was given up, may have left something.
    pub leftovers: BTreeSet<String>,
    /// Backups without data whose records go, oldest first.
    pub expired: Vec<String>,
}

impl Round {
    /// Whether a backup that is being dropped in a store is to be kept there after all.
    pub fn turned(&self, backup: &SystemBackup, store: &str) -> bool {
        let keeps = self.records.get(&backup.name_any()).is_some_and(|record| record.fate == RetentionFate::Keep);
        keeps && fate(backup) == Some(RetentionFate::Drop) && stands_in(backup, store)
    }

    /// Stores in which there is something to do.
    pub fn stores(&self) -> BTreeSet<&str> {
        self.forget.keys().chain(&self.leftovers).map(String::as_str).collect()
    }
}

/// What a backup says that was being dropped and is to be kept after all, once a process is started that is not told to forget it:
/// what the one before it came to is not known until that one has read the chain. Without it, that one would be stopped as well.
pub fn asked() -> RetentionRecord {
    let reasons = vec!["it is to be kept after all; whether it was signed away before is being found out".to_owned()];
    RetentionRecord { fate: RetentionFate::Drop, reasons, dropped_at: None }
}

/// Whether it says so.
pub fn is_asked(backup: &SystemBackup) -> bool {
    backup.status.as_ref().is_some_and(|status| status.retention.as_ref() == Some(&asked()))
}

fn phase(backup: &SystemBackup) -> BackupPhase {
    backup.status.as_ref().and_then(|s| s.phase).unwrap_or(BackupPhase::Pending)
}

fn copies(backup: &SystemBackup) -> &[StoredCopy] {
    backup.status.as_ref().map(|s| s.copies.as_slice()).unwrap_or_default()
}

/// Whether a store holds something of it that can be forgotten.
fn stands(copy: &StoredCopy) -> bool {
    copy.snapshot.is_some() && !matches!(copy.state, CopyState::Missing | CopyState::Forgotten)
}

/// Whether a store holds something of a backup that can be forgotten.
pub fn stands_in(backup: &SystemBackup, store: &str) -> bool {
    copies(backup).iter().any(|copy| copy.store == store && stands(copy))
}

fn fate(backup: &SystemBackup) -> Option<RetentionFate> {
    backup.status.as_ref().and_then(|s| s.retention.as_ref()).map(|r| r.fate)
}

/// Whether its worker may have left something that is part of no backup.
fn left_something(backup: &SystemBackup) -> bool {
    let began = backup.status.as_ref().is_some_and(|s| s.attempt > 0);
    let ended = matches!(phase(backup), BackupPhase::Failed | BackupPhase::Cancelled);
    ended && began && fate(backup) != Some(RetentionFate::Dropped) && !copies(backup).iter().any(stands)
}

/// Whether making a copy in a further store was begun and given up, or cut off: what it stored there stands in no link, and verification
/// of that store complains of it.
fn left_copy(backup: &SystemBackup, copy: &StoredCopy) -> bool {
    let all = copies(backup);
    let sealed = all.first().is_some_and(|first| first.snapshot.is_some() && first.store != copy.store);
    phase(backup).is_terminal() && sealed && copy.state == CopyState::Missing && copy.snapshot.is_none()
}

/// Stores in which a backup that ended left something that is part of none; until that is removed, nobody has measured it.
pub fn left_behind(backup: &SystemBackup) -> BTreeSet<String> {
    let first = copies(backup).first().filter(|_| left_something(backup));
    let given_up = copies(backup).iter().filter(|copy| left_copy(backup, copy));
    first.into_iter().chain(given_up).map(|copy| copy.store.clone()).collect()
}

/// Works it out. A backup that is under way is kept, and nothing is said of it yet.
pub fn round(facts: &Facts<'_>, now: Timestamp) -> Round {
    let spec = &facts.plan.spec;
    let zone = schedule::zone(&spec.schedule.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let points: Vec<Point> = facts.backups.iter().filter_map(|backup| point(backup, facts)).collect();
    let mut round = Round::default();
    for decision in decide(&spec.retention, &spec.holds, &points, &zone, now) {
        let Some(backup) = facts.backups.iter().find(|backup| backup.name_any() == decision.name) else { continue };
        if !phase(backup).is_terminal() {
            continue;
        }
        if !decision.keeps() {
            for copy in copies(backup).iter().filter(|copy| stands(copy)) {
                round.forget.entry(copy.store.clone()).or_default().extend(copy.snapshot.clone());
            }
        }
        round.records.insert(decision.name.clone(), record(&decision));
    }
    for backup in &facts.backups {
        if left_something(backup) {
            let reasons = vec!["it came to no end; what its worker left is removed".to_owned()];
            let record = RetentionRecord { fate: RetentionFate::Drop, reasons, dropped_at: None };
            round.records.insert(backup.name_any(), record);
        }
    }
    for backup in &facts.backups {
        round.leftovers.extend(left_behind(backup));
    }
    round.expired = expired(facts);
    round
}

/// Whether everything that should be covered is. A source that nothing is known of does not count as covered.
pub fn covered(status: &SystemBackupStatus) -> bool {
    !status.sources.is_empty() && status.sources.iter().all(|source| source.uncovered.is_empty())
}

/// A backup as retention sees it; none without data.
fn point(backup: &SystemBackup, facts: &Facts<'_>) -> Option<Point> {
    let status = backup.status.clone().unwrap_or_default();
    let open = !phase(backup).is_terminal();
    if !open && !status.copies.iter().any(stands) {
        return None;
    }
    let verified = status.copies.iter().filter(|copy| copy.state == CopyState::Verified && stands(copy));
    let stores: BTreeSet<String> = verified.map(|copy| copy.store.clone()).collect();
    // A store that was away makes a run incomplete, and what the others hold no worse. Data that no source covers does.
    let whole = phase(backup) == BackupPhase::Completed || covered(&status);
    let worth = if open {
        Worth::Open
    } else if whole && !stores.is_empty() {
        Worth::Verified
    } else {
        Worth::Poor
    };
    let created = backup.metadata.creation_timestamp.as_ref();
    let captured_at = status.captured_at.as_ref().or(created).map_or(Timestamp::MIN, |at| at.0);
    let in_use = facts.in_use.contains(&backup.name_any());
    Some(Point { name: backup.name_any(), captured_at, worth, stores, in_use })
}

fn record(decision: &Decision) -> RetentionRecord {
    let told = |reason: String| cut(reason, TOLD.1);
    let (fate, reasons) = match &decision.fate {
        Fate::Keep(why) => {
            (RetentionFate::Keep, why.iter().take(TOLD.0).map(|reason| told(reason.to_string())).collect())
        }
        Fate::Drop(why) => (RetentionFate::Drop, vec![told(why.to_string())]),
    };
    RetentionRecord { fate, reasons, dropped_at: None }
}

/// Records beyond the plan's history. What holds data, or may have left something, never goes.
fn expired(facts: &Facts<'_>) -> Vec<String> {
    let empty = |backup: &&&SystemBackup| {
        phase(backup).is_terminal() && !copies(backup).iter().any(stands) && !left_something(backup)
    };
    let mut records: Vec<&SystemBackup> = facts.backups.iter().filter(empty).copied().collect();
    let created = |backup: &SystemBackup| backup.metadata.creation_timestamp.as_ref().map(|at| at.0);
    records.sort_by(|a, b| created(b).cmp(&created(a)).then_with(|| b.name_any().cmp(&a.name_any())));
    let kept = usize::try_from(facts.plan.spec.retention.history).unwrap_or_default();
    let mut old: Vec<String> = records.into_iter().skip(kept).map(ResourceExt::name_any).collect();
    old.reverse();
    old
}

/// What a backup says once a repository has forgotten these snapshots.
pub fn forgotten(
    before: &[StoredCopy],
    record: Option<&RetentionRecord>,
    store: &str,
    snapshots: &BTreeSet<String>,
    now: Timestamp,
) -> (Vec<StoredCopy>, Option<RetentionRecord>) {
    let is_gone = |copy: &StoredCopy| {
        copy.store == store && copy.snapshot.as_ref().is_some_and(|snapshot| snapshots.contains(snapshot))
    };
    let copies: Vec<StoredCopy> = before
        .iter()
        .map(
            |copy| {
                if is_gone(copy) { StoredCopy { state: CopyState::Forgotten, ..copy.clone() } } else { copy.clone() }
            },
        )
        .collect();
    let all_gone = before.iter().any(is_gone) && !copies.iter().any(stands);
    let record = match record {
        // Of an earlier settling, which may be repeated: why and when it was dropped does not change any more.
        Some(record) if record.fate == RetentionFate::Dropped => Some(record.clone()),
        Some(record) if all_gone && record.fate == RetentionFate::Drop && *record != asked() => Some(gone(record, now)),
        // The decision changed when it was being carried out already.
        _ if all_gone => Some(gone(&late(), now)),
        other => other.cloned(),
    };
    (copies, record)
}

/// Copies of a backup once what a given-up copy left in a store is removed: nothing of it is there any more.
pub fn tidied(backup: &SystemBackup, store: &str) -> Vec<StoredCopy> {
    let left = |copy: &StoredCopy| copy.store == store && left_copy(backup, copy);
    let tidy = |copy: &StoredCopy| if left(copy) { CopyState::Forgotten } else { copy.state };
    copies(backup).iter().map(|copy| StoredCopy { state: tidy(copy), ..copy.clone() }).collect()
}

fn late() -> RetentionRecord {
    let reasons = vec!["it was being dropped when that was decided anew".to_owned()];
    RetentionRecord { fate: RetentionFate::Drop, reasons, dropped_at: None }
}

/// The record of a backup whose data is gone.
pub fn gone(record: &RetentionRecord, now: Timestamp) -> RetentionRecord {
    let dropped_at = record.dropped_at.clone().or(Some(Time(now)));
    RetentionRecord { fate: RetentionFate::Dropped, reasons: record.reasons.clone(), dropped_at }
}
