//! The nouns of Zhengyun (政云) as Kubernetes custom resources in the group `zhengyun.io/v1alpha1`.
//!
//! This crate is vocabulary only: types, columns, validation rules and names. It holds no decisions and does no I/O.
//!
//! `crdgen` writes the YAML that is installed (`crds/yaml/`), after [`definition::finished`] gave every open schema its bound.

#![allow(
    unreachable_pub,
    reason = "the derive repeats each spec privately to read its schema, and the lint cannot see past it"
)]

pub mod amounts;
pub mod approval;
pub mod catalog;
pub mod condition;
pub mod definition;
pub mod department;
pub mod duration;
pub mod grant;
pub mod ledger;
pub mod marks;
pub mod migration;
pub mod names;
pub mod policy;
pub mod quota;
pub mod recovery;
pub mod request;
pub mod site;
pub mod system;
mod wire;

pub use amounts::{AmountText, Amounts};
pub use approval::{Approval, ApprovalSpec, ApprovalStatus, Approver, Verdict};
pub use catalog::{CatalogItem, CatalogItemSpec, CatalogItemStatus};
pub use condition::{Condition, ConditionStatus, ConditionType, Reason};
pub use department::{Department, DepartmentSpec, DepartmentStatus, Level, UnitType};
pub use duration::DurationText;
pub use grant::{GrantPhase, ResourceGrant, ResourceGrantSpec, ResourceGrantStatus};
pub use ledger::{Charge, Ledger, LedgerSpec, LedgerStatus};
pub use migration::{MachineRoom, MigrationWave, SystemMigration};
pub use names::DisplayNames;
pub use policy::{ApprovalPolicy, ApprovalPolicySpec, ApprovalPolicyStatus};
pub use quota::{DepartmentQuota, DepartmentQuotaSpec, DepartmentQuotaStatus};
pub use recovery::{BackupStore, RecoveryDrill, RecoveryPlan, SystemBackup, SystemRestore};
pub use request::{RequestPhase, ResourceRequest, ResourceRequestSpec, ResourceRequestStatus};
pub use site::{Site, SiteSpec, SiteStatus};
pub use system::{InformationSystem, InformationSystemSpec, InformationSystemStatus};

/// The API group of every kind.
pub const GROUP: &str = "zhengyun.io";
/// The only served version.
pub const VERSION: &str = "v1alpha1";
