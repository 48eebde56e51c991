//! What the operator says about a request: preview, review, decisions, charge.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RequestPhase;
use crate::amounts::{Amounts, amounts_schema};
use crate::condition::{Condition, conditions_schema};
use crate::grant::Bundle;
use crate::ledger::ObjectCharge;

/// What stands in the way, or what a reader should know before submitting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// JSON pointer to the field.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub pointer: String,
    /// Stable name of the rule.
    #[schemars(length(max = 63))]
    pub rule: String,
    /// What is wrong, the value, and the fix.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The effect of a charge on one node of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AncestorEffect {
    /// Department; empty for the site's capacity.
    #[schemars(length(max = 58))]
    pub department: String,
    /// Resource.
    #[schemars(length(max = 63))]
    pub resource: String,
    /// Limit in force, or `unlimited`.
    #[schemars(length(max = 40))]
    pub limit: String,
    /// Used before.
    #[schemars(length(max = 40))]
    pub used: String,
    /// Asked for.
    #[schemars(length(max = 40))]
    pub asked: String,
    /// How much is missing; 0 when it fits.
    #[schemars(length(max = 40))]
    pub short_by: String,
}

/// A stage of the approval path as it applies to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageRef {
    /// Stage name; the right is `decide` on `resourcerequests/<name>`.
    #[schemars(length(max = 40))]
    pub name: String,
    /// How many people must approve.
    #[serde(default)]
    pub quorum: i32,
    /// Working days in which a decision is due.
    #[serde(default)]
    pub deadline_working_days: i32,
    /// Whether the request expires when the deadline passes; otherwise it is shown as overdue.
    #[serde(default)]
    pub expires: bool,
}

/// What would happen on submission.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Digest of the order and materials that it is about.
    #[schemars(length(max = 71))]
    pub order_digest: String,
    /// What would be charged.
    #[schemars(schema_with = "amounts_schema")]
    pub charge: Amounts,
    /// Effect at the department, each ancestor and the site.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub ancestors: Vec<AncestorEffect>,
    /// Approval path.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub stages: Vec<StageRef>,
    /// What stands in the way.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub findings: Vec<Finding>,
}

/// An item revision that a review is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemRevision {
    /// Catalogue item.
    #[schemars(length(max = 40))]
    pub item: String,
    /// Its generation.
    pub generation: i64,
    /// SHA-256 of its spec.
    #[schemars(length(max = 71))]
    pub digest: String,
}

/// The policy that a review follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// Name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// UID.
    #[schemars(length(max = 63))]
    pub uid: String,
    /// Generation.
    pub generation: i64,
}

/// What was submitted, pinned: it is what is decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Digest of the order and materials.
    #[schemars(length(max = 71))]
    pub order_digest: String,
    /// Counts submissions that entered review.
    pub round: i64,
    /// Revisions of the catalogue items.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub items: Vec<ItemRevision>,
    /// Policy.
    pub policy: PolicyRef,
    /// Stages that apply.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub stages: Vec<StageRef>,
    /// Charge.
    #[schemars(schema_with = "amounts_schema")]
    pub charge: Amounts,
    /// What will be delivered, rendered from the pinned item revisions.
    #[serde(default)]
    pub bundle: Bundle,
    /// Whether the department must confirm the delivery.
    #[serde(default)]
    pub confirm: bool,
    /// Seconds that a revocation is held frozen before removal begins.
    #[serde(default)]
    pub hold_seconds: i64,
    /// Days after which a returned request loses its reservation.
    #[serde(default)]
    pub correction_days: i64,
}

/// The stage that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenStage {
    /// Its name.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Its place in `review.stages`, from 0.
    pub index: i32,
    /// When it was opened.
    pub opened_at: Time,
}

/// A decision that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Round of the review.
    pub round: i64,
    /// Stage.
    #[schemars(length(max = 40))]
    pub stage: String,
    /// Name of the Approval.
    #[schemars(length(max = 63))]
    pub approval: String,
    /// UID of the Approval.
    #[schemars(length(max = 63))]
    pub uid: String,
    /// Who decided.
    #[schemars(length(max = 256))]
    pub approver: String,
    /// Verdict.
    pub verdict: crate::approval::Verdict,
    /// Order digest that was decided on.
    #[schemars(length(max = 71))]
    pub order_digest: String,
    /// Reason given.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// When the Approval was created.
    pub at: Time,
}

/// Why a submission was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Submission that was refused.
    pub submission: i64,
    /// Stable code.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// What is missing where, with the numbers and the fix.
    #[schemars(length(max = 2048))]
    pub message: String,
    /// Every node at which it does not fit.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub shortfalls: Vec<AncestorEffect>,
}

/// What the operator says about a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRequestStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,
    /// Last submission that was dealt with.
    #[serde(default)]
    pub submission: i64,
    /// What would happen on submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// What is under review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// The open stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<OpenStage>,
    /// Decisions that counted, oldest first.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub decisions: Vec<Decision>,
    /// Everybody who ever wrote the spec.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub editors: Vec<String>,
    /// Why the last submission was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// When it was returned for correction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<Time>,
    /// What it holds in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ObjectCharge>,
    /// Grant that came of it, or that it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub grant: Option<String>,
    /// Whether that grant is `Revoked`: nothing rests on this record any more, and it may be deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grant_ended: bool,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
