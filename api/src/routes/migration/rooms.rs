//! Machine rooms: what is to be emptied and closed.

mod get;
mod list;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::migration as crd;
use zhengyun_crds::migration::{MachineRoom as Resource, RoomDecision, RoomPhase};

use crate::events::Told;
use crate::shapes::{self, Condition, DisplayNames};
use crate::state::AppState;
use crate::words::{MigrationStageWord, RoomPhaseWord, SystemOutcomeWord};

const PLURAL: &str = "machinerooms";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get))
}

/// Where the operator says that it stands; one that it has not seen yet is registered.
fn phase(room: &Resource) -> RoomPhase {
    room.status.as_ref().and_then(|s| s.phase).unwrap_or(RoomPhase::Registered)
}

/// A department's machine room (部门机房). Its addresses and folders are the administrators' business.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Room {
    /// Department that owns it.
    department: String,
    /// Its name.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// Where it is.
    address: String,
    /// Where it stands.
    #[schema(value_type = RoomPhaseWord)]
    phase: String,
    /// Day by which it is to be closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    withdraw_by: Option<String>,
    /// Last day of a room that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    retained_until: Option<String>,
    /// Day on which the last system is expected to have left it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    forecast: Option<String>,
    /// Systems in all.
    total: i64,
    /// Systems that it still hosts.
    left: i64,
    /// By system; of the departments that the caller may see.
    systems: Vec<RoomSystem>,
    /// What proves the steps of its closure.
    records: Vec<RoomRecord>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was registered.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A system of the room.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoomSystem {
    /// Department.
    department: String,
    /// System.
    system: String,
    /// What came of it.
    #[schema(value_type = SystemOutcomeWord)]
    outcome: String,
    /// Migration that brings it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    migration: Option<String>,
    /// Where that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MigrationStageWord>)]
    stage: Option<String>,
    /// Digest of what was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
}

/// A document that says that a step of the closure was done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoomRecord {
    /// Phase that it proves.
    #[schema(value_type = RoomPhaseWord)]
    phase: String,
    /// What it is.
    title: String,
    /// Digest of the document.
    digest: String,
    /// Who answers for it.
    by: String,
}

impl Room {
    /// A room with those of its systems that whoever asks may see.
    fn seen(room: &Resource, may_see: impl Fn(&str) -> bool) -> Self {
        let (spec, status) = (&room.spec, room.status.clone().unwrap_or_default());
        let (withdraw_by, retained_until) = match &spec.decision {
            Some(RoomDecision::Withdraw(withdrawn)) => (Some(withdrawn.by.clone()), None),
            Some(RoomDecision::Retain(kept)) => (None, Some(kept.until.clone())),
            None => (None, None),
        };
        Self {
            department: spec.department.clone(),
            name: shapes::name(&room.metadata),
            display_names: (&spec.display_names).into(),
            address: spec.location.address.clone(),
            phase: phase(room).to_string(),
            withdraw_by,
            retained_until,
            forecast: status.forecast,
            total: status.total,
            left: status.left,
            systems: status.systems.iter().filter(|s| may_see(&s.department)).map(Into::into).collect(),
            records: spec.records.iter().map(Into::into).collect(),
            conditions: shapes::conditions(Some(&status.conditions)),
            created_at: shapes::created(&room.metadata),
        }
    }
}

impl From<&crd::RoomSystemStatus> for RoomSystem {
    fn from(status: &crd::RoomSystemStatus) -> Self {
        Self {
            department: status.department.clone(),
            system: status.system.clone(),
            outcome: status.outcome.to_string(),
            migration: status.migration.clone(),
            stage: status.stage.map(|stage| stage.to_string()),
            evidence: status.evidence.clone(),
        }
    }
}

impl From<&crd::ClosureRecord> for RoomRecord {
    fn from(record: &crd::ClosureRecord) -> Self {
        Self {
            phase: record.phase.to_string(),
            title: record.title.clone(),
            digest: record.digest.clone(),
            by: record.by.clone(),
        }
    }
}

impl Told for Resource {
    const NOUN: &'static str = "rooms";

    fn department(&self) -> Option<&str> {
        Some(&self.spec.department)
    }

    fn item(&self) -> serde_json::Value {
        // Whoever hears of a room may see what its owner has in it.
        shapes::json(&Room::seen(self, |department| department == self.spec.department))
    }
}
