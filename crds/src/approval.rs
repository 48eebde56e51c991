//! Approval: one immutable decision of one person on one order.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, conditions_schema};
use crate::wire::wire_enum;

wire_enum! {
    /// What was decided.
    pub enum Verdict {
        /// Goes on to the next stage.
        Approve = "Approve",
        /// Back to the department for correction.
        Return = "Return",
        /// Refused.
        Reject = "Reject",
    }
}

/// Who decided, as the API server knows the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approver {
    /// Username.
    #[schemars(length(min = 1, max = 256))]
    pub username: String,
    /// Groups.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub groups: Vec<String>,
}

/// A decision on a request (审批意见), immutable.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "Approval", plural = "approvals", singular = "approval",
    shortname = "appr", category = "zhengyun", namespaced, status = "ApprovalStatus", derive = "PartialEq",
    doc = "A decision on a request (审批意见): one person, one stage, one order. Immutable.",
    selectable = ".spec.request", selectable = ".spec.stage", selectable = ".spec.verdict",
    printcolumn(name = "Request", type_ = "string", json_path = ".spec.request", description = "Request"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage", description = "Stage"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".spec.verdict", description = "Decision"),
    printcolumn(name = "Approver", type_ = "string", json_path = ".spec.approver.username", description = "Who decided"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it counts"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("self.spec == oldSelf.spec").message("an approval cannot be changed: it is a record"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.verdict == 'Approve' || size(self.reason) > 0").message("reason is required to return or to reject a request"))]
pub struct ApprovalSpec {
    /// Name of the request.
    #[schemars(length(min = 1, max = 63))]
    pub request: String,
    /// UID of the request.
    #[serde(rename = "requestUID")]
    #[schemars(length(min = 1, max = 63))]
    pub request_uid: String,
    /// `status.review.orderDigest` that was seen.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub order_digest: String,
    /// Stage.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub stage: String,
    /// Decision.
    pub verdict: Verdict,
    /// Reason; required to return or to reject.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Who decides; the API server refuses any other than the caller.
    pub approver: Approver,
}

/// What the operator says about an approval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
