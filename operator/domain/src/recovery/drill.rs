//! RecoveryDrill: its phases, what follows from what is seen, its scratch, its record, and the recovery time that it measures.

mod copy;
mod database;
mod follow;
mod machine;
mod record;
mod scratch;

use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::recovery::{Coverage, DrillPartKind, DrillPhase, RecoveryDrillStatus};

pub use copy::{Part, PartKind, TriedCopy, choose};
pub use database::{Made, Removal, drill_server, made, made_none, removal, scratch_database};
pub use follow::{Facts, Next, Report, follow, lease};
pub use machine::{Event, Illegal, step};
pub use record::{FORMAT, statement};
pub use scratch::{Scratch, is_no_room, spec};

/// The recovery time of a drill: from the moment when room was reserved and nothing made, to everything restored and compared.
///
/// None unless the drill passed and compared everything that the manifest lists: a time that was measured on a part of the data
/// says nothing about all of it.
pub fn measured_rto(status: &RecoveryDrillStatus) -> Option<SignedDuration> {
    let complete = status.coverage.as_ref().is_some_and(is_complete);
    if status.phase != Some(DrillPhase::Passed) || !complete || status.difference_count != 0 {
        return None;
    }
    elapsed(status.started_at.as_ref()?.0, status.restored_at.as_ref()?.0)
}

/// Which part is at work: the first that was not compared equal yet. A drill that was begun before parts were written down has one.
pub fn part_at_work(status: &RecoveryDrillStatus) -> usize {
    status.parts.iter().take_while(|part| part.restored_at.is_some()).count()
}

/// How long a part took that is equal at a moment: since the part before it was, or since the clock began. None if the clock went back.
pub fn part_duration(status: &RecoveryDrillStatus, part: usize, now: Timestamp) -> Option<SignedDuration> {
    let before = part.checked_sub(1).and_then(|before| status.parts.get(before)?.restored_at.as_ref());
    elapsed(before.or(status.started_at.as_ref())?.0, now)
}

/// The parts for which a grant may have been recorded. Of a drill that was begun before kinds were written down it is the first.
pub fn parts_with_grant(status: &RecoveryDrillStatus) -> Vec<usize> {
    let kinds = status.parts.iter().map(|part| part.kind);
    let with = kinds.enumerate().filter(|(at, kind)| kind.map_or(*at == 0, |kind| kind == DrillPartKind::Namespace));
    if status.parts.is_empty() { vec![0] } else { with.map(|(at, _)| at).collect() }
}

/// How many parts come after the one that is at work.
pub fn parts_left(status: &RecoveryDrillStatus) -> usize {
    status.parts.len().saturating_sub(part_at_work(status)).saturating_sub(1)
}

/// Why file trees have no room at a site, if so.
pub fn no_room_for_files(bytes: u64, free: u64, site: &str) -> Option<String> {
    (bytes > free).then(|| {
        format!(
            "the file trees of the backup take {bytes} bytes, and the folder for drills at site {site} has {free} left: the cloud administrator makes room there, or names a larger one (--drill-folder {site}=PATH)"
        )
    })
}

/// Adds what was compared of one part to that of the others.
pub fn add(all: &mut Coverage, part: &Coverage) {
    let sum = |a: &mut i64, b: i64| *a = a.saturating_add(b);
    sum(&mut all.objects_compared, part.objects_compared);
    sum(&mut all.objects_total, part.objects_total);
    sum(&mut all.objects_delivered, part.objects_delivered);
    sum(&mut all.bytes_compared, part.bytes_compared);
    sum(&mut all.bytes_total, part.bytes_total);
}

/// The time between two moments; none if the clock went back in between.
fn elapsed(from: Timestamp, to: Timestamp) -> Option<SignedDuration> {
    let elapsed = to.duration_since(from);
    (!elapsed.is_negative()).then_some(elapsed)
}

/// Whether everything that the manifest lists was compared, and it lists anything.
pub const fn is_complete(coverage: &Coverage) -> bool {
    coverage.objects_total > 0
        && coverage.objects_compared == coverage.objects_total
        && coverage.bytes_compared == coverage.bytes_total
}
