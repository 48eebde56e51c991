//! What was agreed to, of a restore that is looked at as a whole and then carried out: of a database or a file tree.

use std::fs;
use std::path::Path;

use zhengyun_crds::Reason;
use zhengyun_domain::finding::Finding;
use zhengyun_worker::error::WorkerError;

use crate::ended::Ended;
use crate::restore::Report;

/// What follows from a look.
pub(crate) enum Agreement {
    /// Nothing was agreed to: this is what would be done.
    Outlook(Box<Report>),
    /// It is carried out; `resumes` if a process before this one was told the same.
    Given { resumes: bool },
}

/// Looks, unless a process before this one was told to carry out the same: then the target may have been written, and what was agreed
/// to stands. What would be done in `scratch`, made for this alone, needs nobody's agreement.
///
/// # Errors
/// When it is another plan by now, something is in the way, or the folder cannot be written.
pub(crate) fn agreement(
    state_dir: &Path,
    agreed: Option<&str>,
    scratch: bool,
    look: impl FnOnce() -> Result<Report, Ended>,
) -> Result<Agreement, Ended> {
    let kept = state_dir.join("agreed");
    let before = fs::read_to_string(&kept).ok();
    if before.is_some() && (before.as_deref() == agreed || (agreed.is_none() && scratch)) {
        return Ok(Agreement::Given { resumes: true });
    }
    let outlook = look()?;
    let own = outlook.digest.clone();
    let Some(agreed) = agreed.or_else(|| scratch.then_some(own.as_str())) else {
        return Ok(Agreement::Outlook(Box::new(outlook)));
    };
    if outlook.digest != *agreed {
        let message = format!(
            "/spec/planDigest: the plan is {} by now, agreed was {agreed}: plan again, and look at what changed",
            outlook.digest
        );
        return Err(Ended::Refused(vec![Finding::new("/spec/planDigest", Reason::PlanChanged.as_str(), message)]));
    }
    if let Some(first) = outlook.failures.first() {
        let finding = Finding::new("/spec/existing", Reason::TargetConflict.as_str(), first.message.clone());
        return Err(Ended::Refused(vec![finding]));
    }
    let staged = state_dir.join("agreed.next");
    fs::write(&staged, agreed).and_then(|()| fs::rename(&staged, &kept)).map_err(|e| WorkerError::local(&kept, e))?;
    Ok(Agreement::Given { resumes: false })
}
