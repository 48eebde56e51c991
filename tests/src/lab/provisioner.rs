//! The **simulated provisioner** of a site: what its databases, buckets and volumes would be made by.
//!
//! A lab site has the real schemas of CloudNativePG, COSI and PersistentVolumes, but no machine to run
//! anything. This stand-in moves their status to ready after a short delay, or to a fault where the
//! object carries the annotation `zhengyun.io/simulate: fail`. Every name and message it writes says that it is simulated.

mod bucket;
mod database;
mod volume;

use std::{fmt::Debug, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream::BoxStream};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use tokio::task::JoinSet;

use super::install;

/// The provisioner of the lab's storage classes and the driver of its bucket class.
pub const DRIVER: &str = "simulated.zhengyun.io";
/// The default storage class of a lab site; its volumes go with their claims.
pub const STORAGE_CLASS: &str = "zhengyun-simulated";
/// The storage class whose volumes outlive their claims (`Retain`).
pub const STORAGE_CLASS_RETAIN: &str = "zhengyun-simulated-retain";
/// The bucket class of a lab site.
pub const BUCKET_CLASS: &str = "zhengyun-simulated";
/// Set to `fail`, it asks for a fault; removed, the object becomes ready.
pub const SIMULATE: &str = "zhengyun.io/simulate";

const NAME: &str = "simulated-provisioner";
const SAID_BY: &str = "simulated provisioner of the lab";
const FAULT: &str = "simulated provisioner of the lab: fault asked for by annotation zhengyun.io/simulate";

/// The CRDs that a site gets out of those the projects ship: each costs an apiserver megabytes and start-up time.
const WANTED: [&str; 5] = [
    "clusters.postgresql.cnpg.io",
    "backups.postgresql.cnpg.io",
    "databases.postgresql.cnpg.io",
    ".objectstorage.k8s.io",
    ".snapshot.storage.k8s.io",
];

/// How the simulated provisioner behaves.
#[derive(Clone, Copy, Debug)]
pub struct ProvisionerOptions {
    /// How long a thing takes to become ready.
    pub delay: Duration,
}

impl Default for ProvisionerOptions {
    fn default() -> Self {
        Self { delay: Duration::from_millis(300) }
    }
}

/// Gives a site the real CRDs of CloudNativePG, COSI and snapshots.
pub(super) async fn install_schemas(site: &Client, schemas: &Path) -> Result<()> {
    let mut objects = Vec::new();
    let wanted = |object: &DynamicObject| WANTED.iter().any(|end| object.name_any().ends_with(end));
    for project in ["cloudnative-pg", "container-object-storage-interface-api", "external-snapshotter"] {
        objects.extend(install::read_folder(&schemas.join(project))?.into_iter().filter(wanted));
    }
    for object in &mut objects {
        // COSI ships its *.k8s.io CRDs without the annotation that the apiserver asks of that domain.
        if object.name_any().ends_with(".objectstorage.k8s.io") {
            object.annotations_mut().insert(
                "api-approved.kubernetes.io".to_owned(),
                "https://github.com/kubernetes/enhancements/tree/master/keps/sig-storage/1979-object-storage-support"
                    .to_owned(),
            );
        }
    }
    install::apply(site, objects).await
}

/// Gives an in-memory site what a lab site has: the same schemas and classes.
pub async fn install_simulated(site: &Client) -> Result<()> {
    let assets = super::assets::Assets::find()?;
    install_schemas(site, &assets.schemas).await?;
    install_classes(site).await
}

/// Gives a site the storage and bucket classes that the simulated provisioner serves.
pub(super) async fn install_classes(site: &Client) -> Result<()> {
    let storage_class = |name: &str, policy: &str, default: &str| {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": { "name": name, "annotations": { "storageclass.kubernetes.io/is-default-class": default } },
            "provisioner": DRIVER, "reclaimPolicy": policy, "volumeBindingMode": "Immediate",
        })
    };
    let classes = [
        storage_class(STORAGE_CLASS, "Delete", "true"),
        storage_class(STORAGE_CLASS_RETAIN, "Retain", "false"),
        json!({
            "apiVersion": "objectstorage.k8s.io/v1alpha1", "kind": "BucketClass",
            "metadata": { "name": BUCKET_CLASS }, "driverName": DRIVER, "deletionPolicy": "Delete",
        }),
    ];
    let objects = classes.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
    install::apply(site, objects).await
}

/// Runs the simulated provisioner of one site until the future is dropped.
pub async fn run(site: Client, options: ProvisionerOptions) {
    tokio::join!(
        each(NAME, dynamic(&site, &database::kind()), options, |object| database::provision(&site, object)),
        each(NAME, dynamic(&site, &bucket::kind()), options, |object| bucket::provision(&site, object)),
        each(NAME, Api::<PersistentVolumeClaim>::all(site.clone()), options, |claim| volume::provision(&site, claim)),
        each(NAME, Api::<PersistentVolume>::all(site.clone()), options, |volume| volume::reclaim(&site, volume)),
    );
}

/// Hands every object, new or changed, to `act` after the delay; an error is tried again with the next change or after a pause.
async fn each<K, F>(name: &str, api: Api<K>, options: ProvisionerOptions, act: impl Fn(K) -> F)
where
    K: kube::Resource + Clone + Debug + Send + serde::de::DeserializeOwned + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    const RETRY: Duration = Duration::from_secs(2);
    let mut objects: BoxStream<'_, watcher::Result<K>> =
        watcher::watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            object = objects.next() => match object {
                Some(Ok(object)) => {
                    // Built here, run there: an attempt made anew needs the future made anew.
                    let attempts = [act(object.clone()), act(object.clone()), act(object)];
                    tasks.spawn(async move {
                        tokio::time::sleep(options.delay).await;
                        for attempt in attempts {
                            match attempt.await {
                                Ok(()) => return,
                                Err(error) => tracing::debug!(error = format!("{error:#}"), "simulated provisioner: again soon"),
                            }
                            tokio::time::sleep(RETRY).await;
                        }
                    });
                }
                // The watcher goes on by itself after its backoff; a stopped site is no news here.
                Some(Err(error)) => tracing::debug!(%error, "{name}: watch interrupted"),
                None => return,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

fn dynamic(site: &Client, kind: &ApiResource) -> Api<DynamicObject> {
    Api::all_with(site.clone(), kind)
}

fn in_namespace(site: &Client, object: &DynamicObject, kind: &ApiResource) -> Result<Api<DynamicObject>> {
    let namespace = object.namespace().context("a namespaced object without a namespace")?;
    Ok(Api::namespaced_with(site.clone(), &namespace, kind))
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn wants_fault(object: &impl ResourceExt) -> bool {
    object.annotations().get(SIMULATE).is_some_and(|value| value == "fail")
}

/// `None` when the object is gone: then there is nothing left to do.
fn unless_gone<T>(result: kube::Result<T>) -> kube::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The present moment as Kubernetes writes it, to the second.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
