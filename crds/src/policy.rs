//! ApprovalPolicy: who must agree to which request, in which order.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, conditions_schema};
use crate::names::DisplayNames;
use crate::wire::wire_enum;

wire_enum! {
    /// What a missed deadline does. It never approves.
    pub enum OnTimeout {
        /// The request stays and is shown as overdue.
        Escalate = "Escalate",
        /// The request expires.
        Expire = "Expire",
    }
}

wire_enum! {
    /// Who says that a delivery is as ordered.
    pub enum Confirmation {
        /// The department.
        Department = "Department",
        /// Nobody: readiness is enough.
        Auto = "Auto",
    }
}

/// One stage of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Name; the right is the verb `decide` on `resourcerequests/<name>`.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// CEL over `request`, `department`, `system`, `charge`, yielding a bool; the stage applies always when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub when: Option<String>,
    /// How many people must approve.
    #[serde(default = "Stage::one")]
    #[schemars(range(min = 1, max = 9))]
    pub quorum: i32,
    /// Working days in which a decision is due.
    #[serde(default = "Stage::five")]
    #[schemars(range(min = 1, max = 250))]
    pub deadline_working_days: i32,
    /// What a missed deadline does.
    #[serde(default = "Stage::escalate")]
    pub on_timeout: OnTimeout,
}

impl Stage {
    fn one() -> i32 {
        1
    }
    fn five() -> i32 {
        5
    }
    fn escalate() -> OnTimeout {
        OnTimeout::Escalate
    }
}

/// Why requests under this policy need no person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoApprove {
    /// The rule or decision that allows it.
    #[schemars(length(min = 1, max = 512))]
    pub basis: String,
}

/// Who must agree to which request (审批流程).
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "ApprovalPolicy", plural = "approvalpolicies", singular = "approvalpolicy",
    shortname = "ap", category = "zhengyun", status = "ApprovalPolicyStatus", derive = "PartialEq",
    doc = "Who must agree to which request, in which order (审批流程).",
    selectable = ".spec.priority",
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.displayNames.zh-CN.full", description = "Name"),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", description = "Higher wins"),
    printcolumn(name = "Stages", type_ = "string", json_path = ".status.summary", description = "Stages in order"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is in force"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("size(self.stages) > 0 ? !has(self.autoApprove) : has(self.autoApprove)").message("a policy has either stages or autoApprove with its basis"))]
pub struct ApprovalPolicySpec {
    /// Names for people.
    pub display_names: DisplayNames,
    /// CEL over `request`, `department`, `system`, `charge`, yielding a bool.
    #[serde(rename = "match")]
    #[schemars(length(min = 1, max = 1024))]
    pub match_: String,
    /// The matching policy of the highest priority is followed; a tie blocks the request.
    #[schemars(range(min = 0, max = 10000))]
    pub priority: i32,
    /// Stages in order.
    #[serde(default)]
    #[schemars(length(max = 12), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub stages: Vec<Stage>,
    /// Why no person needs to agree; only without stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_approve: Option<AutoApprove>,
    /// Who confirms the delivery.
    #[serde(default = "ApprovalPolicySpec::by_department")]
    pub confirm: Confirmation,
    /// Kinds of documents that a request must carry, such as 申请公函.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub required_materials: Vec<String>,
    /// Days after which a returned request loses its reservation.
    #[serde(default = "ApprovalPolicySpec::ten_days")]
    #[schemars(range(min = 1, max = 365))]
    pub correction_days: i32,
    /// Seconds that a revocation is held frozen before removal begins; 604800 is seven days.
    #[serde(default = "ApprovalPolicySpec::seven_days")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub hold_seconds: i64,
}

impl ApprovalPolicySpec {
    fn by_department() -> Confirmation {
        Confirmation::Department
    }
    fn ten_days() -> i32 {
        10
    }
    fn seven_days() -> i64 {
        604_800
    }
}

/// What the operator says about a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalPolicyStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Stages in one line.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
