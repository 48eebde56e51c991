//! What moves, how far it is, and what was found of it.

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::migration as crd;
use zhengyun_crds::migration::{MigrationSource, MigrationTarget};

use crate::routes::recovery::Failure;
use crate::shapes;
use crate::words::{FreezeStrengthWord, MigrationVerbWord, PartyWord, SeverityWord};

/// How far a copy has come.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CopyProgress {
    /// How much is copied, in percent: 100 only when everything is, and never less than before. While a copy is made anew it is what the
    /// one before had reached.
    percent: i32,
    /// How often the copy was begun anew; what is done and what is left count from then on.
    repeats: i32,
    /// Files, rows or other items that are done.
    objects_done: i64,
    /// Items in all, as far as known.
    objects_total: i64,
    /// Bytes that are done.
    bytes_done: i64,
    /// Bytes in all, as far as known.
    bytes_total: i64,
    /// Bytes a second of late.
    bytes_per_second: i64,
    /// How far the target is behind; absent before it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<String>,
    /// Estimate of what is left, such as `4m30s`; absent while it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left: Option<String>,
    /// The least that it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left_low: Option<String>,
    /// The most that it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_left_high: Option<String>,
}

/// A database or a file tree that moves.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Workload {
    /// Its name.
    name: String,
    /// `database` or `files`.
    #[schema(example = "database")]
    kind: &'static str,
    /// Where it is in its room.
    source: Place,
    /// Where it goes; absent for a system that is retired.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Place>,
    /// What was begun last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MigrationVerbWord>)]
    verb: Option<String>,
    /// How far its copy is.
    progress: CopyProgress,
    /// Since when the target was not further behind than it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    in_step_since: Option<String>,
    /// How its source was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FreezeStrengthWord>)]
    freeze_strength: Option<String>,
    /// Place in the source up to which everything was brought over.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    /// Why its last process could not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

/// A database or folder under the name that its room or site declares.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    /// Site that declares it; absent in a room.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    /// Name under which the server or file root is declared.
    declared_as: String,
    /// Database.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// Folder below the file root; empty for all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
}

/// What was found of a workload.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MigrationFinding)]
pub(crate) struct Finding {
    /// Workload.
    workload: String,
    /// What found it.
    #[schema(value_type = MigrationVerbWord)]
    found_by: String,
    /// Stable code.
    code: String,
    /// How much it weighs.
    #[schema(value_type = SeverityWord)]
    severity: String,
    /// What it is about, such as a table or a folder.
    subject: String,
    /// What was seen.
    evidence: String,
    /// What to do.
    remedy: String,
    /// Who can do it.
    #[schema(value_type = PartyWord)]
    owner: String,
}

impl Workload {
    /// A workload of the spec, with what the operator says about it.
    pub(super) fn new(workload: &crd::Workload, statuses: &[crd::WorkloadStatus]) -> Self {
        let status = statuses.iter().find(|status| status.name == workload.name).cloned().unwrap_or_default();
        Self {
            name: workload.name.clone(),
            kind: match workload.source {
                MigrationSource::Database(_) => "database",
                MigrationSource::Files(_) => "files",
            },
            source: (&workload.source).into(),
            target: workload.target.as_ref().map(Into::into),
            verb: status.verb.map(|verb| verb.to_string()),
            progress: (&status.progress).into(),
            in_step_since: status.in_step_since.as_ref().map(shapes::moment),
            freeze_strength: status.freeze_strength.map(|strength| strength.to_string()),
            position: status.position.clone(),
            failure: status.failure.as_ref().map(Into::into),
        }
    }
}

impl From<&MigrationSource> for Place {
    fn from(source: &MigrationSource) -> Self {
        match source {
            MigrationSource::Database(at) => {
                Self { site: None, declared_as: at.endpoint.clone(), database: Some(at.database.clone()), folder: None }
            }
            MigrationSource::Files(at) => {
                Self { site: None, declared_as: at.root.clone(), database: None, folder: Some(at.subpath.clone()) }
            }
        }
    }
}

impl From<&MigrationTarget> for Place {
    fn from(target: &MigrationTarget) -> Self {
        let (site, declared_as, database, folder) = match target {
            MigrationTarget::Database(at) => (&at.site, &at.endpoint, Some(at.database.clone()), None),
            MigrationTarget::Files(at) => (&at.site, &at.root, None, Some(at.subpath.clone())),
        };
        Self { site: Some(site.clone()), declared_as: declared_as.clone(), database, folder }
    }
}

impl From<&crd::CopyProgress> for CopyProgress {
    fn from(progress: &crd::CopyProgress) -> Self {
        Self {
            percent: progress.percent,
            repeats: progress.repeats,
            objects_done: progress.objects_done,
            objects_total: progress.objects_total,
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
            bytes_per_second: progress.bytes_per_second,
            lag: progress.lag.as_ref().map(ToString::to_string),
            time_left: progress.time_left.as_ref().map(ToString::to_string),
            time_left_low: progress.time_left_low.as_ref().map(ToString::to_string),
            time_left_high: progress.time_left_high.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&crd::MigrationFinding> for Finding {
    fn from(finding: &crd::MigrationFinding) -> Self {
        Self {
            workload: finding.workload.clone(),
            found_by: finding.found_by.to_string(),
            code: finding.code.clone(),
            severity: finding.severity.to_string(),
            subject: finding.subject.clone(),
            evidence: finding.evidence.clone(),
            remedy: finding.remedy.clone(),
            owner: finding.owner.to_string(),
        }
    }
}
