//! What the worker reports, in the words of a restore.

use zhengyun_crds::recovery::{OutcomeCounts, RunFailure};
use zhengyun_domain::condition::cut;
use zhengyun_worker::run::restore::RestoreReport;

use crate::restore::{NAMED, Report};

/// How many items came to what.
pub(crate) fn counts(report: &RestoreReport) -> OutcomeCounts {
    OutcomeCounts {
        created: number(report.created),
        replaced: number(report.replaced),
        unchanged: number(report.same),
        skipped: number(report.skipped),
        ..OutcomeCounts::default()
    }
}

/// What a restore came to.
pub(crate) fn carried_out(digest: String, done: &RestoreReport) -> Report {
    Report {
        digest,
        planned: counts(done),
        outcome: Some(OutcomeCounts { failed: number(done.failed), ..counts(done) }),
        equal: Some(done.failed == 0),
        coverage: None,
        failures: failures(done),
    }
}

/// What failed, the first ones.
fn failures(report: &RestoreReport) -> Vec<RunFailure> {
    let named = report.failures.iter().take(NAMED);
    named
        .map(|failure| RunFailure {
            reason: "Differs".to_owned(),
            subject: cut(failure.item.clone(), 500),
            message: cut(failure.cause.clone(), 2000),
        })
        .collect()
}

/// As a status counts.
pub(crate) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
