//! What is told of a store: the result of a whole check, and what the checks say of it by now.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zhengyun_crds::recovery::{BackupStoreStatus, CheckOutcome, IntegrityCheck, RepositoryCheck, RunningCheck};
use zhengyun_crds::{ConditionStatus, Reason};

use super::Decision;
use super::outcome::PARTS_TOLD;
use crate::condition::cut;

/// The result of a check that came to its end.
pub(super) fn finished(running: &RunningCheck, now: Timestamp) -> IntegrityCheck {
    let read = &running.repositories;
    let sum = |of: fn(&RepositoryCheck) -> i64| read.iter().map(of).fold(0_i64, i64::saturating_add);
    let parts = read.iter().flat_map(|one| one.damaged.iter().map(move |part| format!("{}: {part}", one.department)));
    IntegrityCheck {
        started_at: Some(running.started_at.clone()),
        finished_at: Time(now),
        passed: read.iter().all(|one| one.outcome == CheckOutcome::Intact),
        bytes_read: sum(|one| one.bytes_read),
        damaged_count: sum(|one| one.damaged_count),
        damaged: parts.take(PARTS_TOLD).collect(),
        repositories: read.clone(),
    }
}

/// What is known of the repositories of a store.
pub fn known(status: &BackupStoreStatus) -> Vec<&RepositoryCheck> {
    newest(status.checking.as_ref(), status.last_check.as_ref())
}

/// What the check under way has read by now says more than the one before it.
fn newest<'a>(running: Option<&'a RunningCheck>, last: Option<&'a IntegrityCheck>) -> Vec<&'a RepositoryCheck> {
    let running = running.map(|running| running.repositories.as_slice()).unwrap_or_default();
    let last = last.map(|last| last.repositories.as_slice()).unwrap_or_default();
    let is_last = |one: &&RepositoryCheck| running.iter().all(|now| now.department != one.department);
    running.iter().chain(last.iter().filter(is_last)).collect()
}

/// What the checks say of a store.
pub fn intact(decision: &Decision) -> (ConditionStatus, Reason, String) {
    let all = newest(decision.checking.as_ref(), decision.last_check.as_ref());
    let next = decision
        .next_check
        .as_ref()
        .map_or_else(|| "none is due".to_owned(), |at| format!("the next one begins {}", at.0));
    let told = |outcome: CheckOutcome| -> Vec<String> {
        let of = all.iter().filter(|one| one.outcome == outcome);
        of.map(|one| format!("department {}: {}", one.department, one.message)).collect()
    };
    let damage = told(CheckOutcome::Damaged);
    if !damage.is_empty() {
        let message = format!(
            "damaged: {}; bring the named objects back from another copy of its folder or bucket, or restore from another store and add a new one to the plans; {next}",
            damage.join("; ")
        );
        return (ConditionStatus::False, Reason::RepositoryDamaged, cut(message, 4000));
    }
    let unread = told(CheckOutcome::Unread);
    if !unread.is_empty() {
        return (
            ConditionStatus::Unknown,
            Reason::NotChecked,
            cut(format!("not read: {}; {next}", unread.join("; ")), 4000),
        );
    }
    match &decision.last_check {
        Some(last) => {
            let message = format!(
                "read through until {}: {} repositories, {} bytes, everything as it was written; {next}",
                last.finished_at.0,
                last.repositories.len(),
                last.bytes_read
            );
            (ConditionStatus::True, Reason::AsIntended, message)
        }
        None => (ConditionStatus::Unknown, Reason::NotChecked, format!("it was not read through yet; {next}")),
    }
}
