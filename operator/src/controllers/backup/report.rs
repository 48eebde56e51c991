//! What a backup says of itself.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde_json::Value;
use zhengyun_crds::recovery::{
    BackupPhase, CapturedSource, Consistency, CopyState, ManifestRecord, PlanSource, Progress, SignatureAlgorithm,
    StoredCopy, SystemBackup, SystemBackupStatus,
};
use zhengyun_crds::{ConditionType as C, Reason};
use zhengyun_domain::condition::{ConditionSet, cut};
use zhengyun_domain::digest;
use zhengyun_domain::recovery::backup::Work;
pub(super) use zhengyun_domain::recovery::retention::covered;
use zhengyun_domain::recovery::run::{Fault, Sighting, Standing};
use zhengyun_domain::seeded::{self, Bug};

use super::prepare::Head;

/// Reason of the worker's verdict on a repository with damage.
const NOT_INTACT: &str = "NotIntact";
/// How many names of a list are told.
const NAMED: usize = 32;

/// The report of the worker, as far as it is told.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sealed {
    snapshot: String,
    root: String,
    items: u64,
    bytes: u64,
    uploaded: u64,
    captured_at: String,
    sources: Vec<Source>,
    #[serde(flatten)]
    pub(super) head: Head,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    name: String,
    captured_at: String,
    consistency: Moment,
    changed: Vec<String>,
    changed_total: u64,
    volumes_not_covered: Vec<String>,
    #[serde(default)]
    database: Option<Database>,
}

/// What the worker says of a database.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Database {
    server_version: String,
    lsn: String,
}

/// The worker's words for what may be said of a moment.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Moment {
    PerFile,
    PerKind,
    PointInTime,
}

impl From<Moment> for Consistency {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::PerFile => Self::PerFile,
            Moment::PerKind => Self::PerKind,
            Moment::PointInTime => Self::PointInTime,
        }
    }
}

pub(super) fn sealed(report: &Value) -> Result<Sealed, String> {
    serde_json::from_value(report.clone()).map_err(|e| format!("the report of the worker cannot be read: {e}"))
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn moment(text: &str) -> Option<Time> {
    text.parse::<Timestamp>().ok().map(Time)
}

fn first(names: &[String]) -> Vec<String> {
    names.iter().take(NAMED).map(|name| cut(name.clone(), 250)).collect()
}

/// A verification that was killed after its report and before its verdict is judged by the report.
pub(super) fn judged(work: Option<&Work>, sighting: Sighting) -> Sighting {
    if seeded::is(Bug::DamageOverlooked) && matches!(&sighting, Sighting::Failed(fault) if fault.reason == NOT_INTACT) {
        return Sighting::Done(Value::Null);
    }
    let found = match (&sighting, work) {
        (Sighting::Done(report), Some(Work::Verify(_))) => report.get("findings").and_then(Value::as_array),
        _ => None,
    };
    let Some(first) = found.and_then(|findings| findings.first()) else { return sighting };
    let text = |key: &str| first.get(key).and_then(Value::as_str).unwrap_or_default();
    let message = format!("{}: {}; restore from another copy until it is mended", text("part"), text("problem"));
    Sighting::Failed(Fault { reason: NOT_INTACT.to_owned(), message, ..Fault::default() })
}

/// Writes down what is read, and which stores should hold a copy: the first is written first. A change of the plan is for later runs.
pub(super) fn intend(status: &mut SystemBackupStatus, sources: &[PlanSource], store: &str, others: &[String]) {
    let source = |source: &PlanSource| CapturedSource {
        name: source.name.clone(),
        origin: Some(source.origin.clone()),
        ..CapturedSource::default()
    };
    status.sources = sources.iter().map(source).collect();
    let copy = |store: &str| StoredCopy {
        store: store.to_owned(),
        state: CopyState::Missing,
        snapshot: None,
        bytes_added: 0,
        verified_at: None,
        failure: None,
    };
    status.copies = std::iter::once(store).chain(others.iter().map(String::as_str)).map(copy).collect();
}

/// Writes what was stored.
pub(super) fn seal(status: &mut SystemBackupStatus, sealed: &Sealed) {
    status.captured_at = moment(&sealed.captured_at);
    let single = sealed.sources.len() == 1;
    let read = std::mem::take(&mut status.sources);
    let origin = |name: &str| read.iter().find(|source| source.name == name).and_then(|source| source.origin.clone());
    status.sources = sealed
        .sources
        .iter()
        .map(|source| CapturedSource {
            name: source.name.clone(),
            origin: origin(&source.name),
            captured_at: moment(&source.captured_at),
            consistency: Some(source.consistency.into()),
            server_version: source.database.as_ref().map(|database| cut(database.server_version.clone(), 60)),
            lsn: source.database.as_ref().map(|database| cut(database.lsn.clone(), 30)),
            // The worker counts the run as a whole.
            objects: if single { count(sealed.items) } else { 0 },
            bytes: if single { count(sealed.bytes) } else { 0 },
            changed_count: count(source.changed_total),
            changed: first(&source.changed),
            uncovered: first(&source.volumes_not_covered),
        })
        .collect();
    if let Some(copy) = status.copies.first_mut() {
        copy.state = CopyState::Stored;
        copy.snapshot = Some(sealed.snapshot.clone());
        copy.bytes_added = count(sealed.uploaded);
    }
    let text = |key: &str| sealed.head.chain.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    status.manifest = Some(ManifestRecord {
        root: sealed.root.clone(),
        counter: sealed.head.chain.get("counter").and_then(Value::as_i64).unwrap_or_default(),
        head: text("head"),
        algorithm: SignatureAlgorithm::Ed25519Sha256,
        key: digest::of(&text("signer")),
    });
    status.summary = format!("{} items, {} bytes, {} stored", sealed.items, sealed.bytes, sealed.uploaded);
}

/// The report of the worker about a copy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Copied {
    snapshot: String,
    uploaded: u64,
    #[serde(flatten)]
    pub(super) head: Head,
}

pub(super) fn copied(report: &Value) -> Result<Copied, String> {
    serde_json::from_value(report.clone()).map_err(|e| format!("the report of the worker cannot be read: {e}"))
}

/// Writes that a further store has a copy.
pub(super) fn replicate(status: &mut SystemBackupStatus, store: &str, copied: &Copied) {
    if let Some(copy) = status.copies.iter_mut().find(|copy| copy.store == store) {
        copy.state = CopyState::Stored;
        copy.snapshot = Some(copied.snapshot.clone());
        copy.bytes_added = count(copied.uploaded);
    }
}

/// Writes why a store has no good copy: it is not tried any more.
pub(super) fn give_up(status: &mut SystemBackupStatus, store: &str, fault: &Fault, now: Timestamp) {
    if let Some(copy) = status.copies.iter_mut().find(|copy| copy.store == store) {
        copy.failure = Some(cut(format!("{}: {}", fault.reason, fault.message), 1000));
        if fault.reason == NOT_INTACT {
            copy.state = CopyState::Damaged;
        }
    }
    if let Some(failure) = &mut status.failure {
        store.clone_into(&mut failure.subject);
    }
    close(status, now);
}

/// Writes that a copy was read back.
pub(super) fn verified(status: &mut SystemBackupStatus, store: &str, now: Timestamp) {
    for copy in status.copies.iter_mut().filter(|copy| copy.store == store) {
        copy.state = CopyState::Verified;
        copy.verified_at = Some(Time(now));
    }
    close(status, now);
}

/// The conditions of one that ended tell of every copy.
pub(super) fn close(status: &mut SystemBackupStatus, now: Timestamp) {
    if status.phase.is_some_and(BackupPhase::is_terminal) {
        status.conditions = ended(status, &status.conditions, now);
    }
}

/// Writes how far a process is.
pub(super) fn progress(status: &mut SystemBackupStatus, standing: &Standing, now: Timestamp) {
    let before = status.progress.clone().unwrap_or_default();
    let seconds = before.at.as_ref().map_or(0, |at| now.duration_since(at.0).as_secs());
    let (items, bytes) = (count(standing.items), count(standing.bytes));
    if (items, bytes) == (before.objects_done, before.bytes_done) {
        return;
    }
    let rate = if seconds > 0 { (bytes - before.bytes_done).max(0) / seconds } else { before.bytes_per_second };
    status.progress = Some(Progress {
        objects_done: items,
        bytes_done: bytes,
        bytes_per_second: rate,
        at: Some(Time(now)),
        ..Progress::default()
    });
    // What was stored is told once it is sealed; what is copied and read back afterwards is progress alone.
    if status.manifest.is_none() {
        status.summary = cut(format!("{}: {items} items, {bytes} bytes", standing.phase), 120);
    }
}

/// The status of a run that waits.
pub(super) fn waits(
    backup: &SystemBackup,
    reason: Reason,
    message: &str,
    for_a_person: bool,
    now: Timestamp,
) -> SystemBackupStatus {
    let before = backup.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, backup.metadata.generation, now);
    if for_a_person {
        set.stalled(reason, message);
    } else {
        set.reconciling(reason, message);
    }
    set.keep(C::Verified);
    let conditions = set.finish();
    SystemBackupStatus {
        observed_generation: backup.metadata.generation.unwrap_or_default(),
        phase: before.phase.or(Some(BackupPhase::Pending)),
        conditions,
        ..before
    }
}

/// The status of a run in a phase.
pub(super) fn moved(
    backup: &SystemBackup,
    phase: BackupPhase,
    fault: Option<&Fault>,
    now: Timestamp,
) -> SystemBackupStatus {
    let before = backup.status.clone().unwrap_or_default();
    let mut status = SystemBackupStatus {
        observed_generation: backup.metadata.generation.unwrap_or_default(),
        phase: Some(phase),
        ..before.clone()
    };
    let ends = phase.is_terminal() || phase == BackupPhase::Failing;
    if let Some(fault) = fault.filter(|_| ends) {
        status.failure = Some(fault.failure());
    }
    if phase.is_terminal() && status.finished_at.is_none() {
        status.finished_at = Some(Time(now));
    }
    if phase.is_terminal() && status.manifest.is_none() {
        // How far it was when it was last looked at says nothing about what stands: nothing does.
        status.summary.clear();
    }
    let mut set = ConditionSet::new(&before.conditions, backup.metadata.generation, now);
    let message = match fault {
        Some(fault) if !ends => format!("{}; it is taken up again", fault.message),
        _ => format!("it is {}", phase.as_str().to_lowercase()),
    };
    set.reconciling(Reason::InProgress, message);
    status.conditions = set.finish();
    if phase.is_terminal() {
        status.conditions = ended(&status, &before.conditions, now);
    }
    status
}

fn ended(
    status: &SystemBackupStatus,
    before: &[zhengyun_crds::Condition],
    now: Timestamp,
) -> Vec<zhengyun_crds::Condition> {
    let mut set = ConditionSet::new(before, Some(status.observed_generation), now);
    let failure = status.failure.as_ref().map(|f| f.message.clone()).unwrap_or_default();
    match status.phase {
        Some(BackupPhase::Completed) => {
            set.yes(C::Ready, Reason::AsIntended, "it stands, complete and read back");
        }
        Some(BackupPhase::Incomplete) => {
            let missing: Vec<String> = status
                .copies
                .iter()
                .filter_map(|copy| Some(format!("no good copy in store {}: {}", copy.store, copy.failure.as_ref()?)))
                .chain(status.sources.iter().filter(|s| !s.uncovered.is_empty()).map(|source| {
                    format!("volumes of {} whose data no source covers: {}", source.name, source.uncovered.join(", "))
                }))
                .collect();
            let reason = if status.sources.iter().any(|s| !s.uncovered.is_empty()) {
                Reason::VolumeDataNotCovered
            } else {
                Reason::RunIncomplete
            };
            set.no(
                C::Ready,
                reason,
                format!(
                    "it stands and can be restored, but is not whole: {}; the next run makes up for it",
                    missing.join("; ")
                ),
            );
        }
        Some(BackupPhase::Cancelled) => {
            let message = if status.copies.iter().any(|copy| copy.snapshot.is_some()) {
                "cancelled when its data was stored already; it is kept until a newer backup is verified"
            } else {
                "cancelled; what its worker stored until then is part of no backup and is removed"
            };
            set.no(C::Ready, Reason::Cancelled, message);
        }
        _ => {
            set.no(C::Ready, Reason::RunFailed, failure);
        }
    }
    set.yes(C::Complete, Reason::AsIntended, "nothing changes any more");
    let all = |wanted: CopyState| !status.copies.is_empty() && status.copies.iter().all(|c| c.state == wanted);
    if all(CopyState::Verified) {
        set.yes(C::Verified, Reason::AsIntended, "every copy was read back and is what the manifest says");
    } else {
        let states: Vec<String> = status.copies.iter().map(|c| format!("{}: {}", c.store, c.state)).collect();
        let states = if states.is_empty() { "there is no copy".to_owned() } else { states.join(", ") };
        set.no(C::Verified, Reason::BackupNotVerified, states);
    }
    set.finish()
}
