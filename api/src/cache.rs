//! Watch caches: what the API reads, kept current by one watch per kind.
//!
//! An object that cannot be decoded is left out, counted and logged; it never sticks the stream of its kind.

mod feed;

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zhengyun_crds::{
    ApprovalPolicy, CatalogItem, Department, DepartmentQuota, InformationSystem, Ledger, ResourceGrant,
    ResourceRequest, Site,
};

use crate::metrics::Metrics;

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
        self.spec.bundle = zhengyun_crds::grant::Bundle::default();
    }
}

/// Every object of one kind at the hub, as last seen.
#[derive(Clone, Debug)]
pub(crate) struct Cache<K: Cached> {
    store: Store<K>,
    synced: watch::Receiver<bool>,
}

impl<K: Cached> Cache<K> {
    fn start(client: &Client, metrics: &Metrics, stopping: &CancellationToken) -> Self {
        let (store, writer) = store::<K>();
        let (announce, synced) = watch::channel(false);
        let feed = feed::Feed::new(store.clone(), writer, metrics.clone(), announce);
        tokio::spawn(stopping.clone().run_until_cancelled_owned(feed.run(client.clone())));
        Self { store, synced }
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

    fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    async fn synced(&self) {
        // The other end lives as long as the process watches; when it goes, nobody is served any more.
        self.synced.clone().wait_for(|synced| *synced).await.ok();
    }
}

macro_rules! caches {
    ($($(#[$doc:meta])* $field:ident: $kind:ty),+ $(,)?) => {
        /// The caches of all kinds.
        #[derive(Clone, Debug)]
        pub(crate) struct Caches { $($(#[$doc])* pub(crate) $field: Cache<$kind>),+ }

        impl Caches {
            /// Starts one watch per kind; they end when `stopping` is cancelled.
            pub(crate) fn start(client: &Client, metrics: &Metrics, stopping: &CancellationToken) -> Self {
                Self { $($field: Cache::start(client, metrics, stopping)),+ }
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
    departments: Department,
    /// What departments may hold.
    quotas: DepartmentQuota,
    /// Member clusters.
    sites: Site,
    /// What can be ordered.
    items: CatalogItem,
    /// What resources are for.
    systems: InformationSystem,
    /// Change orders.
    requests: ResourceRequest,
    /// Who must agree to what.
    policies: ApprovalPolicy,
    /// What departments hold.
    grants: ResourceGrant,
    /// The books of the sites, for the effect of a draft.
    ledgers: Ledger,
    /// Where a caller may have a role.
    bindings: RoleBinding,
}
