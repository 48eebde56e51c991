//! ResourceRequest: one change order of a department, from draft to result.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amounts::{Amounts, amounts_schema, any_object};
use crate::condition::{Condition, conditions_schema};
use crate::grant::{Bundle, GrantClass};
use crate::ledger::ObjectCharge;
use crate::wire::wire_enum;

wire_enum! {
    /// What an order asks for.
    pub enum Action {
        /// A new grant.
        Create = "Create",
        /// Another size of a grant.
        Change = "Change",
        /// A longer lease.
        Renew = "Renew",
        /// The end of a grant.
        Revoke = "Revoke",
    }
}

wire_enum! {
    /// Where a request stands.
    pub enum RequestPhase {
        /// Being written.
        Draft = "Draft",
        /// Before an approver.
        InReview = "InReview",
        /// Sent back to the department.
        ReturnedForCorrection = "ReturnedForCorrection",
        /// All stages approved; being carried out.
        Approved = "Approved",
        /// Carried out.
        Applied = "Applied",
        /// Refused by an approver.
        Rejected = "Rejected",
        /// Taken back.
        Withdrawn = "Withdrawn",
        /// Ran out of time.
        Expired = "Expired",
    }
}

impl RequestPhase {
    /// Whether nothing changes any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Applied | Self::Rejected | Self::Withdrawn | Self::Expired)
    }
}

wire_enum! {
    /// What happens to data when a grant is revoked.
    pub enum Disposition {
        /// Data is deleted.
        Delete = "Delete",
        /// Data is kept as a proven backup; not available in this version.
        KeepBackup = "KeepBackup",
    }
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// Catalogue item.
    #[schemars(length(min = 1, max = 40))]
    pub item: String,
    /// Name within the grant, a DNS label; delivered objects are named after it.
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// How many of it.
    #[serde(default = "OrderItem::one")]
    #[schemars(range(min = 1, max = 100))]
    pub count: i32,
    /// Parameters by the item's schema.
    #[serde(default)]
    #[schemars(schema_with = "any_object")]
    pub parameters: Map<String, Value>,
}

impl OrderItem {
    fn one() -> i32 {
        1
    }
}

/// An order of the cloud authority itself, which needs its reason and its legal basis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityOrder {
    /// Why.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// The rule that allows it, with its clause.
    #[schemars(length(min = 1, max = 512))]
    pub legal_basis: String,
}

/// What is asked for. Frozen by the API server while it is under review.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.action == 'Create' ? !has(self.grant) : has(self.grant)").message("grant must name the grant that is changed, renewed or revoked; a Create order names none"))]
#[x_kube(validation = Rule::new("self.action != 'Create' || size(self.items) > 0").message("items must hold at least one line in a Create order"))]
#[x_kube(validation = Rule::new("self.action != 'Create' || has(self.system)").message("system must name the information system that the resources are for"))]
pub struct Order {
    /// What is asked for.
    pub action: Action,
    /// Information system that the resources are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 58))]
    pub system: Option<String>,
    /// Site.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// Grant that the order is about; not for Create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub grant: Option<String>,
    /// Revision of the grant that the order starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub base_revision: Option<i64>,
    /// Class of the grant.
    #[serde(default = "Order::standard")]
    pub class: GrantClass,
    /// Lines of the order.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub items: Vec<OrderItem>,
    /// Day on which the lease ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub lease_end: Option<String>,
    /// What happens to data (Revoke).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// Set when the authority itself orders a Revoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_order: Option<AuthorityOrder>,
    /// Why it is needed.
    #[schemars(length(min = 1, max = 2048))]
    pub justification: String,
}

impl Order {
    fn standard() -> GrantClass {
        GrantClass::Standard
    }
}

/// A document that goes with a request, kept elsewhere and named by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Material {
    /// What it is: 申请公函, 技术方案, ...
    #[schemars(length(min = 1, max = 64))]
    pub kind: String,
    /// Its title.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// SHA-256 of the document, 64 hexadecimal digits.
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// Where it is kept.
    #[schemars(length(min = 1, max = 512))]
    pub reference: String,
}

/// A change order of a department (资源申请单).
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "ResourceRequest", plural = "resourcerequests", singular = "resourcerequest",
    shortname = "rr", category = "zhengyun", namespaced, status = "ResourceRequestStatus", derive = "PartialEq",
    doc = "A change order of a department (资源申请单): request, review, result.",
    selectable = ".status.phase", selectable = ".spec.order.site", selectable = ".spec.order.action",
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.order.action", description = "What is asked for"),
    printcolumn(name = "Site", type_ = "string", json_path = ".spec.order.site", description = "Where"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where it stands"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage.name", description = "Stage that is open"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Grant", type_ = "string", json_path = ".status.grant", description = "Grant that came of it"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 63 characters"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase in ['Draft', 'ReturnedForCorrection'] || (self.spec.order == oldSelf.spec.order && self.spec.materials == oldSelf.spec.materials)")
        .message("spec.order and spec.materials are frozen while the request is under review and after it: ask the approver to return it, or withdraw it and write a new one"),
    validation = Rule::new("self.spec.submission >= oldSelf.spec.submission").message("spec.submission may only rise: raise it by one to submit or to resubmit"),
    validation = Rule::new("self.spec.submission <= oldSelf.spec.submission + 1").message("spec.submission rises by one at a time"),
    validation = Rule::new("self.spec.withdrawn || !oldSelf.spec.withdrawn").message("spec.withdrawn cannot be taken back: write a new request"),
    validation = Rule::new("self.spec.deliveryConfirmed || !oldSelf.spec.deliveryConfirmed").message("spec.deliveryConfirmed cannot be taken back"),
    validation = Rule::new("self.spec.editedBy == oldSelf.spec.editedBy || (has(oldSelf.status) && oldSelf.spec.editedBy in oldSelf.status.editors)")
        .message("the previous editor is not recorded yet, and an editor may never approve: try again in a moment"),
    validation = Rule::new("self.spec.requestedBy == oldSelf.spec.requestedBy").message("spec.requestedBy is who created the request and does not change"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.charge) || (has(self.status) && has(self.status.charge) && self.status.charge.sequence >= oldSelf.status.charge.sequence)")
        .message("status.charge.sequence never falls")
)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRequestSpec {
    /// What is asked for.
    pub order: Order,
    /// Documents that go with it.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub materials: Vec<Material>,
    /// Raised by one to submit, and to resubmit after a correction or a refusal.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub submission: i64,
    /// Set to take the request back; on a Revoke in its hold, set by the authority to undo it.
    #[serde(default)]
    pub withdrawn: bool,
    /// Set by the department to confirm the delivery (交付确认).
    #[serde(default)]
    pub delivery_confirmed: bool,
    /// Username of the person who created it; the API server refuses any other.
    #[schemars(length(min = 1, max = 256))]
    pub requested_by: String,
    /// Username of the person who wrote the spec last; the API server refuses any other.
    #[schemars(length(min = 1, max = 256))]
    pub edited_by: String,
}

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
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
