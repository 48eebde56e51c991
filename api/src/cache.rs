//! Watch caches: what the API reads, kept current by one watch per kind.
//!
//! An object that cannot be decoded is left out, counted and logged; it never sticks the stream of its kind.
//!
//! Whoever writes through this API reads the own write: the answer to a write is held back until the cache has seen it.

mod feed;
mod teller;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zhengyun_crds::migration::{MachineRoom, MigrationWave, SystemMigration};
use zhengyun_crds::recovery::{BackupStore, RecoveryDrill, RecoveryPlan, SystemBackup, SystemRestore};
use zhengyun_crds::{
    Approval, ApprovalPolicy, CatalogItem, Department, DepartmentQuota, InformationSystem, Ledger, ResourceGrant,
    ResourceRequest, Site,
};
use zhengyun_domain::recovery::backup::is_database;

use crate::events::{Log, Told};
use crate::metrics::Metrics;
use teller::Teller;

/// Longest time for which the answer to a write is held back; a watch is behind for longer only when it is broken.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What a cache can hold.
pub(crate) trait Cached:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// The plural, for people and figures.
    const PLURAL: &'static str;

    /// Drops what no answer shows, which is most of an object's size.
    fn trim(&mut self) {}
}

macro_rules! cached {
    ($($kind:ty = $plural:literal),+ $(,)?) => { $(impl Cached for $kind { const PLURAL: &'static str = $plural; })+ };
}

cached! {
    Department = "departments", DepartmentQuota = "departmentquotas", Site = "sites", CatalogItem = "catalogitems",
    InformationSystem = "informationsystems", ApprovalPolicy = "approvalpolicies", Ledger = "ledgers", RoleBinding = "rolebindings",
    BackupStore = "backupstores", RecoveryPlan = "recoveryplans", SystemBackup = "systembackups", SystemRestore = "systemrestores",
    RecoveryDrill = "recoverydrills", SystemMigration = "systemmigrations", MigrationWave = "migrationwaves", MachineRoom = "machinerooms",
}

impl Cached for ResourceRequest {
    const PLURAL: &'static str = "resourcerequests";

    fn trim(&mut self) {
        if let Some(review) = self.status.as_mut().and_then(|s| s.review.as_mut()) {
            review.bundle = zhengyun_crds::grant::Bundle::default();
        }
    }
}

impl Cached for ResourceGrant {
    const PLURAL: &'static str = "resourcegrants";

    fn trim(&mut self) {
        // Of what was delivered, the names of databases stay: a recovery plan may have them as sources.
        let delivered = std::mem::take(&mut self.spec.bundle).objects.into_iter().filter(is_database);
        self.spec.bundle.objects = delivered.map(named_only).collect();
    }
}

/// An object without anything but what it is and what it is called.
fn named_only(object: Map<String, Value>) -> Map<String, Value> {
    let name = object.get("metadata").and_then(|metadata| metadata.get("name")).cloned().unwrap_or_default();
    let mut left: Map<String, Value> =
        object.into_iter().filter(|(key, _)| key == "apiVersion" || key == "kind").collect();
    left.insert("metadata".to_owned(), json!({ "name": name }));
    left
}

/// How far a cache has come; told anew after every event that it took in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Whether the first list has arrived.
    synced: bool,
    /// The newest revision of the hub that it has seen of its kind.
    revision: u64,
}

/// Every object of one kind at the hub, as last seen.
#[derive(Clone, Debug)]
pub(crate) struct Cache<K: Cached> {
    store: Store<K>,
    progress: watch::Receiver<Progress>,
    metrics: Metrics,
}

impl<K: Cached> Cache<K> {
    fn start(client: &Client, metrics: &Metrics, stopping: &CancellationToken, teller: Option<Teller<K>>) -> Self {
        let (store, writer) = store::<K>();
        let (announce, progress) = watch::channel(Progress::default());
        let feed = feed::Feed::new(store.clone(), writer, metrics.clone(), announce).telling(teller);
        tokio::spawn(stopping.clone().run_until_cancelled_owned(feed.run(client.clone())));
        Self { store, progress, metrics: metrics.clone() }
    }

    /// A cluster-wide object.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name))
    }

    /// An object of a namespace.
    pub(crate) fn get_in(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// Every object, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// Every object that fits, in no order.
    pub(crate) fn filter(&self, fits: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.store.state_filter(fits)
    }

    /// Waits until the cache has seen an object as it was just written, or whatever became of it since.
    ///
    /// A watch that is far behind does not hold the answer back for ever; that is counted.
    async fn catch_up(&self, written: &ObjectMeta) {
        self.wait(|revision| self.has_seen(written, revision)).await;
    }

    /// Waits until the cache holds an object no more that was just deleted, or holds it as one that is being ended.
    async fn let_go(&self, deleted: &ObjectMeta) {
        let is_gone = |held: Arc<K>| held.meta().uid != deleted.uid || held.meta().deletion_timestamp.is_some();
        self.wait(|_| self.held(deleted).is_none_or(is_gone)).await;
    }

    async fn wait(&self, is_shown: impl Fn(u64) -> bool) {
        let mut progress = self.progress.clone();
        let seen = progress.wait_for(|progress| is_shown(progress.revision));
        // A closed channel means that the process stops: what is under way is answered with what there is.
        if tokio::time::timeout(CATCH_UP, seen).await.is_err() {
            self.metrics.not_caught_up(K::PLURAL);
            tracing::warn!(
                kind = K::PLURAL,
                "a write of {} is answered before the watch has shown it; a read may still find the former state",
                K::PLURAL
            );
        }
    }

    /// Whether an object as it was written is among what the cache has seen up to a revision.
    ///
    /// The events of one kind arrive in the order of their revisions, so a cache that has come as far as the write has seen
    /// the object, or a later state of it, its deletion, or another object under its name.
    fn has_seen(&self, written: &ObjectMeta, up_to: u64) -> bool {
        match revision(written) {
            Some(revision) => up_to >= revision,
            // A hub whose revisions are not numbers: then only the very state that was written is recognised.
            None => self.held(written).is_some_and(|held| {
                (&held.meta().uid, &held.meta().resource_version) == (&written.uid, &written.resource_version)
            }),
        }
    }

    fn held(&self, written: &ObjectMeta) -> Option<Arc<K>> {
        let mut reference = ObjectRef::new(written.name.as_deref()?);
        reference.namespace.clone_from(&written.namespace);
        self.store.get(&reference)
    }

    fn is_synced(&self) -> bool {
        self.progress.borrow().synced
    }

    async fn synced(&self) {
        // The other end lives as long as the process watches; when it goes, nobody is served any more.
        self.progress.clone().wait_for(|progress| progress.synced).await.ok();
    }
}

/// A resourceVersion as a number: within one kind it orders what happened.
fn revision(metadata: &ObjectMeta) -> Option<u64> {
    metadata.resource_version.as_ref()?.parse().ok()
}

/// What people write through this API.
pub(crate) trait Written: Resource<DynamicType = ()> {
    /// Waits until answers of this API show what was written.
    fn shown(&self, caches: &Caches) -> impl Future<Output = ()> + Send;
}

/// What people delete through this API.
pub(crate) trait Deleted: Resource<DynamicType = ()> {
    /// Waits until answers of this API show it no more.
    fn gone(&self, caches: &Caches) -> impl Future<Output = ()> + Send;
}

impl Written for ResourceRequest {
    fn shown(&self, caches: &Caches) -> impl Future<Output = ()> + Send {
        caches.requests.catch_up(&self.metadata)
    }
}

impl Written for RecoveryPlan {
    fn shown(&self, caches: &Caches) -> impl Future<Output = ()> + Send {
        caches.plans.catch_up(&self.metadata)
    }
}

impl Deleted for RecoveryPlan {
    fn gone(&self, caches: &Caches) -> impl Future<Output = ()> + Send {
        caches.plans.let_go(&self.metadata)
    }
}

impl Written for SystemBackup {
    fn shown(&self, caches: &Caches) -> impl Future<Output = ()> + Send {
        caches.backups.catch_up(&self.metadata)
    }
}

impl Written for SystemRestore {
    fn shown(&self, caches: &Caches) -> impl Future<Output = ()> + Send {
        caches.restores.catch_up(&self.metadata)
    }
}

impl Written for RecoveryDrill {
    fn shown(&self, caches: &Caches) -> impl Future<Output = ()> + Send {
        caches.drills.catch_up(&self.metadata)
    }
}

impl Written for SystemMigration {
    fn shown(&self, caches: &Caches) -> impl Future<Output = ()> + Send {
        caches.migrations.catch_up(&self.metadata)
    }
}

impl Written for Approval {
    /// No answer is made of approvals: what came of one stands in its request, where the operator writes it.
    fn shown(&self, _: &Caches) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// What tells the changes of a kind: nothing, where no list shows it.
macro_rules! teller {
    ($log:ident told) => {
        Some(Teller::new($log))
    };
    ($log:ident) => {
        None
    };
}

/// The noun of a kind whose changes are told, and its plural at the hub.
macro_rules! noun {
    (told $kind:ty) => {
        (<$kind as Told>::NOUN, <$kind as Cached>::PLURAL)
    };
}

macro_rules! caches {
    ($($(#[$doc:meta])* $field:ident: $kind:ty $(, $told:ident)?);+ $(;)?) => {
        /// The caches of all kinds.
        #[derive(Clone, Debug)]
        pub(crate) struct Caches { $($(#[$doc])* pub(crate) $field: Cache<$kind>),+ }

        impl Caches {
            /// Starts one watch per kind; they end when `stopping` is cancelled. What changes is told to `log`.
            pub(crate) fn start(
                client: &Client,
                metrics: &Metrics,
                stopping: &CancellationToken,
                log: &Arc<Log>,
            ) -> Self {
                Self { $($field: Cache::start(client, metrics, stopping, teller!(log $($told)?))),+ }
            }

            /// The nouns whose changes are told, each with its plural at the hub.
            pub(crate) fn told() -> Vec<(&'static str, &'static str)> {
                vec![$($(noun!($told $kind),)?)+]
            }

            /// The kinds whose first list has not arrived yet.
            pub(crate) fn waiting(&self) -> Vec<&'static str> {
                let mut waiting = Vec::new();
                $(if !self.$field.is_synced() { waiting.push(<$kind as Cached>::PLURAL); })+
                waiting
            }

            /// Waits for the first list of every kind.
            pub(crate) async fn synced(&self) {
                $(self.$field.synced().await;)+
            }
        }
    };
}

caches! {
    /// The tenancy tree.
    departments: Department;
    /// What departments may hold.
    quotas: DepartmentQuota, told;
    /// Member clusters.
    sites: Site, told;
    /// What can be ordered.
    items: CatalogItem;
    /// What resources are for.
    systems: InformationSystem, told;
    /// Change orders.
    requests: ResourceRequest, told;
    /// Who must agree to what.
    policies: ApprovalPolicy;
    /// What departments hold.
    grants: ResourceGrant, told;
    /// The books of the sites, for the effect of a draft.
    ledgers: Ledger;
    /// Repositories for backups.
    stores: BackupStore, told;
    /// What is protected.
    plans: RecoveryPlan, told;
    /// Runs of plans.
    backups: SystemBackup, told;
    /// Backups that are brought back.
    restores: SystemRestore, told;
    /// Copies that are tried.
    drills: RecoveryDrill, told;
    /// Systems on their way onto the cloud.
    migrations: SystemMigration, told;
    /// Migrations that go together.
    waves: MigrationWave, told;
    /// What is to be emptied and closed.
    rooms: MachineRoom, told;
    /// Where a caller may have a role.
    bindings: RoleBinding;
}
