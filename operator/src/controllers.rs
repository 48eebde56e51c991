//! One controller per noun. Each reconcile reads as observe → plan → apply → report.

pub mod approval;
pub mod backup;
pub mod catalog;
pub mod department;
pub mod drill;
pub mod enforcement;
pub mod grant;
pub mod ledger;
pub mod migration;
pub mod plan;
pub mod policy;
pub mod quota;
pub mod recovery;
pub mod request;
pub mod restore;
pub mod room;
pub mod site;
pub mod store;
pub mod system;
pub mod wave;

use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::Api;
use zhengyun_crds::{
    Approval, ApprovalPolicy, BackupStore, CatalogItem, Department, DepartmentQuota, InformationSystem, Ledger,
    MachineRoom, MigrationWave, RecoveryDrill, RecoveryPlan, ResourceGrant, ResourceRequest, Site, SystemBackup,
    SystemMigration, SystemRestore, marks,
};

use crate::ledger::LedgerService;
use crate::runtime::clock::Clock;
use crate::runtime::events::Events;
use crate::runtime::hub::Hub;
use crate::runtime::metrics::Metrics;
use crate::runtime::watches::Watched;
use crate::site::link::SiteLinks;

/// Everything watched on the hub.
#[derive(Debug, Clone)]
pub struct Watches {
    /// Departments.
    pub departments: Watched<Department>,
    /// Quotas.
    pub quotas: Watched<DepartmentQuota>,
    /// Sites.
    pub sites: Watched<Site>,
    /// Catalogue items.
    pub items: Watched<CatalogItem>,
    /// Information systems.
    pub systems: Watched<InformationSystem>,
    /// Requests.
    pub requests: Watched<ResourceRequest>,
    /// Approvals.
    pub approvals: Watched<Approval>,
    /// Approval policies.
    pub policies: Watched<ApprovalPolicy>,
    /// Grants.
    pub grants: Watched<ResourceGrant>,
    /// Ledgers.
    pub ledgers: Watched<Ledger>,
    /// Backup stores.
    pub stores: Watched<BackupStore>,
    /// Recovery plans.
    pub plans: Watched<RecoveryPlan>,
    /// Backups.
    pub backups: Watched<SystemBackup>,
    /// Restores.
    pub restores: Watched<SystemRestore>,
    /// Drills.
    pub drills: Watched<RecoveryDrill>,
    /// Machine rooms.
    pub rooms: Watched<MachineRoom>,
    /// Waves.
    pub waves: Watched<MigrationWave>,
    /// Migrations.
    pub migrations: Watched<SystemMigration>,
    /// The API server's admission policies.
    pub admission: Watched<ValidatingAdmissionPolicy>,
    /// Their bindings.
    pub bindings: Watched<ValidatingAdmissionPolicyBinding>,
}

/// What every controller works with.
#[derive(Debug)]
pub struct Context {
    /// Clients of the hub.
    pub hub: Hub,
    /// UID of the hub's `kube-system` namespace: which hub this is.
    pub hub_uid: String,
    /// What is watched.
    pub watches: Watches,
    /// The ledgers.
    pub ledger: Arc<LedgerService>,
    /// Connections to sites.
    pub links: Arc<SiteLinks>,
    /// What runs of disaster recovery are carried out with, if this operator does that.
    pub recovery: Option<Arc<recovery::Recovery>>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// When grants in service were last looked at.
    pub looked: grant::Looked,
    /// Events.
    pub events: Events,
    /// Name of this operator.
    pub identity: String,
    /// What tells this process from every other, also from a former one of the same name.
    pub run: String,
    /// What time it is.
    pub clock: Clock,
    /// Places in the tree are decided one at a time, so that two moves cannot close a circle together.
    pub placement: tokio::sync::Mutex<()>,
    /// Charges of recovery plans are decided one at a time: what one look lowers, another one may be about to rest on.
    pub charging: tokio::sync::Mutex<()>,
}

impl Context {
    /// The API of a kind in one namespace.
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.hub.calls.clone(), namespace)
    }

    /// The API of a cluster-scoped kind.
    pub fn cluster<K: kube::Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.hub.calls.clone())
    }
}

/// The department that a namespace belongs to.
pub fn department_of(namespace: &str) -> &str {
    namespace.strip_prefix(marks::DEPARTMENT_NAMESPACE_PREFIX).unwrap_or(namespace)
}
