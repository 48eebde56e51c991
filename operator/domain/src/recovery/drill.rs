//! RecoveryDrill: its phases, what follows from what is seen, its scratch, its record, and the recovery time that it measures.

mod copy;
mod follow;
mod machine;
mod record;
mod scratch;

use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::recovery::{Coverage, DrillPhase, RecoveryDrillStatus};

pub use copy::{TriedCopy, choose};
pub use follow::{Facts, Next, Report, Scratch, follow, lease};
pub use machine::{Event, Illegal, step};
pub use record::{FORMAT, statement};
pub use scratch::{is_no_room, spec};

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
