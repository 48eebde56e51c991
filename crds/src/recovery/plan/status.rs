//! What the operator says about a plan: copies, measurements, level.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Element;
use crate::condition::{Condition, conditions_schema};
use crate::duration::DurationText;
use crate::ledger::ObjectCharge;
use crate::wire::wire_enum;

wire_enum! {
    /// What a judgement on an element rests on.
    pub enum Basis {
        /// On measurements alone.
        Measured = "Measured",
        /// In part on a person's word, with a document.
        Attested = "Attested",
        /// On nothing that counts.
        Missing = "Missing",
    }
}

/// What is known of the copies in one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CopyStatus {
    /// Store.
    #[schemars(length(max = 40))]
    pub store: String,
    /// Last backup of which this store holds a verified copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub last_good: Option<String>,
    /// Moment whose data that backup holds: the oldest of its sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<Time>,
    /// When it was last read back and compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    /// Data that a disaster could have cost at worst: from the moment that the backup before holds to the verification of this one. Measured when it was verified; it does not age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<DurationText>,
    /// Recovery time of the last passed drill from this copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<DurationText>,
    /// When that drill ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drilled_at: Option<Time>,
    /// When the last drill of this copy that says something ended, passed or not. It stays when that drill is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_ended_at: Option<Time>,
    /// Site at which that drill was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub drill_site: Option<String>,
    /// Due time of the last drill of this copy that the schedule started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_due: Option<Time>,
    /// Fingerprint of the repository's password key, to be put into a safe place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub escrow_fingerprint: Option<String>,
    /// Bytes that the copies take up.
    #[serde(default)]
    pub bytes: i64,
}

/// How an element of the level stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ElementStatus {
    /// Element.
    pub element: Element,
    /// Highest level whose clauses it meets, with those below; 0 for none.
    pub level: i32,
    /// What that rests on.
    pub basis: Basis,
}

/// A clause of the standard that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnmetClause {
    /// Clause, as the level table names it.
    #[schemars(length(max = 63))]
    pub clause: String,
    /// Element that it belongs to.
    pub element: Element,
    /// Level that asks for it.
    pub level: i32,
    /// What is required.
    #[schemars(length(max = 512))]
    pub required: String,
    /// What was measured or attested; what is missing.
    #[schemars(length(max = 512))]
    pub reason: String,
    /// What to do.
    #[schemars(length(max = 512))]
    pub remedy: String,
}

/// What the operator says about a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryPlanStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Due time of the last backup that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_due: Option<Time>,
    /// When the next backup starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run: Option<Time>,
    /// Due time of the last drill that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill_due: Option<Time>,
    /// When the next drill starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_drill: Option<Time>,
    /// Copies by store.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["store"]))]
    pub copies: Vec<CopyStatus>,
    /// The longest `copies[].rpo`; absent while a copy proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_rpo: Option<DurationText>,
    /// Recovery time of the last passed drills, by the worst copy; absent while a copy was not drilled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_measured_rto: Option<DurationText>,
    /// Recovery level that the evidence supports: the lowest of the seven elements; 0 for none.
    #[serde(default)]
    pub achieved_level: i32,
    /// How each element stands.
    #[serde(default)]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["element"]))]
    pub elements: Vec<ElementStatus>,
    /// Clauses up to the level asked for that are not met, the first one first.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub unmet: Vec<UnmetClause>,
    /// What it holds in the ledgers of its stores' sites.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["site"]))]
    pub charges: Vec<ObjectCharge>,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
