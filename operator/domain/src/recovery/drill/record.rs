//! What is signed of a drill.

use kube::ResourceExt;
use serde_json::{Value, json};
use zhengyun_crds::RecoveryDrill;
use zhengyun_crds::recovery::RecoveryDrillStatus;

use crate::condition::cut;
use crate::digest::canonical;

/// The format; it keeps a record from being taken for anything else that the key signs.
pub const FORMAT: &str = "zhengyun-drill-1";
/// How many differences are named in a record, and how long each may be.
const NAMED: usize = 5;
const LONG: usize = 300;

/// The record of a drill that ended: canonical JSON, signed as this very text.
pub fn statement(drill: &RecoveryDrill, status: &RecoveryDrillStatus) -> String {
    let spec = &drill.spec;
    let differences: Vec<Value> = status
        .differences
        .iter()
        .take(NAMED)
        .map(|d| json!({ "source": d.source, "path": cut(d.path.clone(), LONG), "message": cut(d.message.clone(), LONG) }))
        .collect();
    let failure =
        status.failure.as_ref().map(|f| json!({ "reason": f.reason, "message": cut(f.message.clone(), LONG) }));
    let zero = status.zero_proof.as_ref().map(|proof| json!({ "at": proof.at, "checks": proof.checks.len() }));
    canonical(&json!({
        "format": FORMAT,
        "drill": { "namespace": drill.namespace(), "name": drill.name_any(), "uid": drill.uid() },
        "plan": { "name": spec.plan, "uid": spec.plan_uid },
        "trigger": spec.trigger, "due": spec.due, "requestedBy": spec.requested_by,
        "store": spec.store, "site": spec.site, "backup": status.backup, "manifestRoot": status.manifest_root,
        "folder": status.folder, "parts": status.parts,
        "result": status.phase, "startedAt": status.started_at, "restoredAt": status.restored_at,
        "finishedAt": status.finished_at, "measuredRto": status.measured_rto, "attempts": status.attempt,
        "coverage": status.coverage, "differenceCount": status.difference_count, "differences": differences,
        "failure": failure, "zeroProof": zero,
    }))
}
