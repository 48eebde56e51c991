//! What the backup holds, read and proved as far as the plan needs it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zhengyun_crds::marks;
use zhengyun_domain::quantity::Quantity;
use zhengyun_domain::recovery::restore::{ObjectKey, SourceObject, content_digest};
use zhengyun_worker::cluster::text;
use zhengyun_worker::control::Control;
use zhengyun_worker::engine::{Engine, Kind, Snapshot, Stored};
use zhengyun_worker::error::{Result, WorkerError};
use zhengyun_worker::evidence::items::{Item, path_text};
use zhengyun_worker::run::manifest::Proved;
use zhengyun_worker::secret::sha256_hex;
use zhengyun_worker::source::DATA_DIR;

/// The objects of one source.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// As the planner sees them.
    pub objects: Vec<SourceObject>,
    /// Directories of their kinds, such as `deployments.apps`.
    pub directories: BTreeSet<String>,
    /// Directory and name of each: that is how a request names it.
    pub places: HashMap<ObjectKey, (String, String)>,
    /// Bytes of each, by the manifest.
    pub sizes: HashMap<ObjectKey, u64>,
}

/// Reads every object of a source. Every part that it lies in is compared with its name first, so that damage has one.
pub(crate) fn read(
    engine: &dyn Engine,
    snapshot: &Snapshot,
    proved: &Proved,
    source: &str,
    control: &Control,
) -> Result<Content> {
    let top = Path::new(DATA_DIR).join(source);
    let mut packs: BTreeSet<String> = engine.packs_of_root(snapshot)?.into_iter().collect();
    let mut files: Vec<(Stored, Item)> = Vec::new();
    proved.compare(engine, snapshot, |stored, item| {
        if stored.path.starts_with(&top) {
            packs.extend(engine.packs_of(&stored)?);
            if stored.kind == Kind::File {
                files.push((stored, item));
            }
        }
        Ok(())
    })?;
    for pack in &packs {
        control.check()?;
        if let Some(finding) = engine.check_pack(pack)? {
            let first = format!("{}: {}", finding.part, finding.problem);
            return Err(WorkerError::NotIntact { findings: 1, first });
        }
    }
    let mut found = Content::default();
    let mut owners: Vec<(usize, String)> = Vec::new();
    let mut by_uid: HashMap<String, ObjectKey> = HashMap::new();
    for (stored, item) in files {
        control.check()?;
        control.count_item();
        let object = object(engine, &stored, &item)?;
        let directory = directory_of(&stored.path);
        let key = key_of(&object);
        by_uid.insert(text(&object, "/metadata/uid").to_owned(), key.clone());
        if let Some(owner) = controller(&object) {
            owners.push((found.objects.len(), owner));
        }
        found.places.insert(key.clone(), (directory.clone(), key.name.clone()));
        found.sizes.insert(key.clone(), item.size);
        found.objects.push(SourceObject {
            takes: takes(&directory, &object),
            version: text(&object, "/apiVersion").rsplit('/').next().unwrap_or_default().to_owned(),
            delivered: is_delivered(&object),
            digest: content_digest(object),
            owner: None,
            key,
        });
        found.directories.insert(directory);
    }
    for (at, owner) in owners {
        if let (Some(object), Some(key)) = (found.objects.get_mut(at), by_uid.get(&owner)) {
            object.owner = Some(key.clone());
        }
    }
    Ok(found)
}

fn object(engine: &dyn Engine, stored: &Stored, item: &Item) -> Result<Value> {
    let mut bytes = Vec::new();
    engine.read(stored, &mut bytes)?;
    let damaged = |problem: &str| WorkerError::damaged(path_text(&stored.path), problem);
    if sha256_hex(&bytes) != item.digest {
        return Err(damaged("its content is not what the manifest says"));
    }
    serde_json::from_slice(&bytes).map_err(|_| damaged("it is no object"))
}

fn directory_of(path: &Path) -> String {
    path.parent().and_then(Path::file_name).map(PathBuf::from).unwrap_or_default().to_string_lossy().into_owned()
}

/// Which object it is.
pub(crate) fn key_of(object: &Value) -> ObjectKey {
    let group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    ObjectKey {
        group: group.to_owned(),
        kind: text(object, "/kind").to_owned(),
        name: text(object, "/metadata/name").to_owned(),
    }
}

/// Whether Zhengyun delivered it.
pub(crate) fn is_delivered(object: &Value) -> bool {
    object.pointer("/metadata/labels").and_then(|labels| labels.get(marks::LABEL_GRANT_UID)).is_some()
}

fn controller(object: &Value) -> Option<String> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    owners.first().map(|owner| text(owner, "/uid").to_owned())
}

/// Keys of a quota that count an object when it is made. What pods will take is counted when they are.
fn takes(directory: &str, object: &Value) -> BTreeMap<String, Quantity> {
    let mut takes = BTreeMap::new();
    let Ok(one) = Quantity::try_from(1_i64) else { return takes };
    takes.insert(format!("count/{directory}"), one);
    if matches!(
        directory,
        "configmaps" | "secrets" | "services" | "persistentvolumeclaims" | "pods" | "replicationcontrollers"
    ) {
        takes.insert(directory.to_owned(), one);
    }
    if directory == "persistentvolumeclaims"
        && let Ok(size) = text(object, "/spec/resources/requests/storage").parse()
    {
        takes.insert("requests.storage".to_owned(), size);
    }
    takes
}
