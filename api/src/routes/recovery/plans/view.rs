//! A recovery plan as it stands in answers.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use zhengyun_crds::recovery as crd;
use zhengyun_crds::recovery::{RecoveryPlan as Resource, SourceOrigin};

use super::content::PlanContent;
use crate::etag::Tag;
use crate::names::department_of;
use crate::shapes::{self, Condition, Readiness};
use crate::words::{BasisWord, EditionWord, ElementWord};

/// A recovery plan in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoveryPlanSummary {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// What was seen, for If-Match.
    etag: String,
    /// Information system that is protected.
    system: String,
    /// Recovery level asked for (GB/T 20988).
    level: i32,
    /// Recovery level that the evidence supports; 0 for none.
    achieved_level: i32,
    /// Recovery point objective.
    rpo: String,
    /// Data that a disaster could have cost at worst, measured, by the worst copy; absent while a copy proves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    worst_rpo: Option<String>,
    /// Recovery time objective.
    rto: String,
    /// Recovery time of the last passed drills, by the worst copy; absent while a copy was not drilled.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_measured_rto: Option<String>,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was written.
    #[schema(format = DateTime)]
    created_at: String,
}

/// What of an information system is protected, where, for how long, and what was measured of it (灾备方案).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoveryPlan {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// What was seen, for If-Match.
    etag: String,
    /// Information system that is protected.
    system: String,
    /// Recovery level asked for (GB/T 20988).
    level: i32,
    /// Recovery level that the evidence supports; 0 for none.
    achieved_level: i32,
    /// Recovery point objective.
    rpo: String,
    /// Data that a disaster could have cost at worst, measured, by the worst copy; absent while a copy proves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    worst_rpo: Option<String>,
    /// Recovery time objective.
    rto: String,
    /// Recovery time of the last passed drills, by the worst copy; absent while a copy was not drilled.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_measured_rto: Option<String>,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was written.
    #[schema(format = DateTime)]
    created_at: String,
    /// Its UID.
    uid: String,
    /// What people wrote, whole: changed and sent back with PUT, it replaces what is there.
    #[schema(value_type = PlanContent)]
    plan: Value,
    /// What is protected.
    sources: Vec<PlanSource>,
    /// Stores; the first is written first, the others are copied from it.
    stores: Vec<String>,
    /// When a backup is due.
    schedule: PlanSchedule,
    /// How many backups are kept.
    retention: PlanRetention,
    /// Bytes that the backups may take up in each store.
    ceiling: String,
    /// Edition of the standard that defines the level.
    #[schema(value_type = EditionWord)]
    edition: String,
    /// Whether no further run is started.
    paused: bool,
    /// Copies by store.
    copies: Vec<PlanCopy>,
    /// How each element of the level stands.
    elements: Vec<ElementStanding>,
    /// Clauses up to the level asked for that are not met, the first one first.
    unmet: Vec<UnmetClause>,
    /// Due time of the last backup that was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_due: Option<String>,
    /// When the next backup starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_run: Option<String>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
}

/// One thing that is protected.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanSource {
    /// Name within the plan.
    name: String,
    /// `namespace`, `item`, `database` or `files`.
    #[schema(example = "namespace")]
    kind: &'static str,
    /// Grant that it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// Order line of the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    /// Site that declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    /// Name under which the site declares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    declared_as: Option<String>,
    /// Database, or folder below the declared root.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<String>,
}

/// When a backup is due.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanSchedule {
    /// Five fields, as in crontab.
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    /// Interval since the plan was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<String>,
    /// IANA time zone in which `cron` is read.
    time_zone: String,
}

/// How many backups are kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanRetention {
    /// How many of the newest.
    last: i32,
    /// Of how many days.
    daily: i32,
    /// Of how many weeks.
    weekly: i32,
    /// Of how many months.
    monthly: i32,
    /// Of how many years.
    yearly: i32,
    /// Verified backups that are kept in any case.
    minimum: i32,
    /// Records of backups without data that are kept.
    history: i32,
}

/// What is known of the copies in one store.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanCopy {
    /// Store.
    store: String,
    /// Last backup of which this store holds a verified copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_good: Option<String>,
    /// Moment whose data that backup holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    captured_at: Option<String>,
    /// When it was last read back and compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    verified_at: Option<String>,
    /// Data that a disaster could have cost at worst, measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    rpo: Option<String>,
    /// Recovery time of the last passed drill from this copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    rto: Option<String>,
    /// Bytes that the copies take up.
    bytes: i64,
}

/// How an element of the level stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ElementStanding {
    /// Element.
    #[schema(value_type = ElementWord)]
    element: String,
    /// Highest level whose clauses it meets, with those below; 0 for none.
    level: i32,
    /// What that rests on.
    #[schema(value_type = BasisWord)]
    basis: String,
}

/// A clause of the standard that is not met.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnmetClause {
    /// Clause, as the level table names it.
    clause: String,
    /// Element that it belongs to.
    #[schema(value_type = ElementWord)]
    element: String,
    /// Level that asks for it.
    level: i32,
    /// What is required.
    required: String,
    /// What was measured or attested; what is missing.
    reason: String,
    /// What to do.
    remedy: String,
}

impl From<&Resource> for RecoveryPlanSummary {
    fn from(plan: &Resource) -> Self {
        let (spec, status) = (&plan.spec, plan.status.as_ref());
        Self {
            department: plan.metadata.namespace.as_deref().and_then(department_of).unwrap_or_default().to_owned(),
            name: shapes::name(&plan.metadata),
            etag: Tag::of_plan(plan).as_str().to_owned(),
            system: spec.system.clone(),
            level: spec.level,
            achieved_level: status.map(|s| s.achieved_level).unwrap_or_default(),
            rpo: spec.objectives.rpo.to_string(),
            worst_rpo: status.and_then(|s| s.worst_rpo.as_ref()).map(ToString::to_string),
            rto: spec.objectives.rto.to_string(),
            last_measured_rto: status.and_then(|s| s.last_measured_rto.as_ref()).map(ToString::to_string),
            ready: shapes::readiness(status.map(|s| &s.conditions)),
            created_at: shapes::created(&plan.metadata),
        }
    }
}

impl From<&Resource> for RecoveryPlan {
    fn from(plan: &Resource) -> Self {
        let (spec, status) = (&plan.spec, plan.status.clone().unwrap_or_default());
        let short = RecoveryPlanSummary::from(plan);
        Self {
            department: short.department,
            name: short.name,
            etag: short.etag,
            system: short.system,
            level: short.level,
            achieved_level: short.achieved_level,
            rpo: short.rpo,
            worst_rpo: short.worst_rpo,
            rto: short.rto,
            last_measured_rto: short.last_measured_rto,
            ready: short.ready,
            created_at: short.created_at,
            uid: plan.metadata.uid.clone().unwrap_or_default(),
            // A spec is maps, strings and numbers, which always have a JSON form.
            plan: serde_json::to_value(spec).unwrap_or_default(),
            sources: spec.sources.iter().map(PlanSource::from).collect(),
            stores: spec.copies.iter().map(|copy| copy.store.clone()).collect(),
            schedule: PlanSchedule {
                cron: spec.schedule.cron.clone(),
                every: spec.schedule.every.as_ref().map(ToString::to_string),
                time_zone: spec.schedule.time_zone.clone(),
            },
            retention: PlanRetention {
                last: spec.retention.last,
                daily: spec.retention.daily,
                weekly: spec.retention.weekly,
                monthly: spec.retention.monthly,
                yearly: spec.retention.yearly,
                minimum: spec.retention.minimum,
                history: spec.retention.history,
            },
            ceiling: spec.ceiling.0.clone(),
            edition: spec.edition.to_string(),
            paused: spec.paused,
            copies: status.copies.into_iter().map(PlanCopy::from).collect(),
            elements: status.elements.iter().map(ElementStanding::from).collect(),
            unmet: status.unmet.into_iter().map(UnmetClause::from).collect(),
            last_due: status.last_due.as_ref().map(shapes::moment),
            next_run: status.next_run.as_ref().map(shapes::moment),
            conditions: shapes::conditions(Some(&status.conditions)),
        }
    }
}

impl From<&crd::PlanSource> for PlanSource {
    fn from(source: &crd::PlanSource) -> Self {
        let none = Self {
            name: source.name.clone(),
            kind: "",
            grant: None,
            item: None,
            site: None,
            declared_as: None,
            part: None,
        };
        match source.origin.clone() {
            SourceOrigin::Namespace(at) => Self { kind: "namespace", grant: Some(at.grant), ..none },
            SourceOrigin::Item(at) => Self { kind: "item", grant: Some(at.grant), item: Some(at.item), ..none },
            SourceOrigin::Database(at) => Self {
                kind: "database",
                site: Some(at.site),
                declared_as: Some(at.endpoint),
                part: Some(at.database),
                ..none
            },
            SourceOrigin::Files(at) => {
                Self { kind: "files", site: Some(at.site), declared_as: Some(at.root), part: Some(at.subpath), ..none }
            }
        }
    }
}

impl From<crd::CopyStatus> for PlanCopy {
    fn from(copy: crd::CopyStatus) -> Self {
        Self {
            captured_at: copy.captured_at.as_ref().map(shapes::moment),
            verified_at: copy.verified_at.as_ref().map(shapes::moment),
            rpo: copy.rpo.map(|rpo| rpo.to_string()),
            rto: copy.rto.map(|rto| rto.to_string()),
            store: copy.store,
            last_good: copy.last_good,
            bytes: copy.bytes,
        }
    }
}

impl From<&crd::ElementStatus> for ElementStanding {
    fn from(element: &crd::ElementStatus) -> Self {
        Self { element: element.element.to_string(), level: element.level, basis: element.basis.to_string() }
    }
}

impl From<crd::UnmetClause> for UnmetClause {
    fn from(clause: crd::UnmetClause) -> Self {
        Self {
            element: clause.element.to_string(),
            clause: clause.clause,
            level: clause.level,
            required: clause.required,
            reason: clause.reason,
            remedy: clause.remedy,
        }
    }
}
