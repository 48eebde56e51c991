//! ResourceRequest: one change order of a department, from draft to result.

mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amounts::any_object;
use crate::grant::GrantClass;
use crate::wire::wire_enum;

pub use status::{
    AncestorEffect, Decision, Finding, ItemRevision, OpenStage, PolicyRef, Preview, Refusal, ResourceRequestStatus,
    Review, StageRef,
};

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
        /// Data is kept as a backup: nothing is removed before one that was made after the order is proven.
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
