//! A cluster: its schemas, its policies, and the objects that stand in it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::{Map, Value, json};
use zhengyun_tests::apiserver::User;
use zhengyun_tests::apiserver::admission::{Admission, Policies};
use zhengyun_tests::apiserver::schema::{Cause, Schema, check_metadata};
use zhengyun_tests::lab::{install, project_root};

use super::callers::may;
use super::case::Call;
use super::objects::{At, at, merge_into};
use super::who::Who;

/// Kinds that the tables speak of.
const KINDS: &[&str] = &[
    "Department",
    "DepartmentQuota",
    "Site",
    "CatalogItem",
    "ApprovalPolicy",
    "Ledger",
    "InformationSystem",
    "ResourceRequest",
    "Approval",
    "ResourceGrant",
    "BackupStore",
    "RecoveryPlan",
    "SystemBackup",
    "SystemRestore",
    "RecoveryDrill",
    "MachineRoom",
    "MigrationWave",
    "SystemMigration",
    "Namespace",
    "Secret",
    "ConfigMap",
    "Pod",
    "Service",
    "ServiceAccount",
    "ResourceQuota",
    "LimitRange",
    "PersistentVolumeClaim",
    "Deployment",
    "DaemonSet",
    "Job",
    "HorizontalPodAutoscaler",
    "Ingress",
    "NetworkPolicy",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "Cluster",
    "BucketClaim",
    "BucketAccess",
];

/// Kind, namespace, name.
type Key = (String, String, String);

/// What an answer is: the object, or code and message of the refusal.
type Answer = Result<Value, (u16, String)>;

pub(crate) struct World {
    schemas: BTreeMap<String, Schema>,
    policies: Policies,
    objects: BTreeMap<Key, Value>,
}

/// What a call is about, by its path.
struct Place {
    kind: String,
    group: String,
    version: String,
    plural: String,
    namespace: String,
    name: String,
    part: String,
}

impl World {
    /// A cluster with the definitions and policies of `deploy/<name>`, in which these objects stand.
    pub(crate) fn of(name: &str, objects: Vec<Value>) -> Result<Self> {
        let mut schemas = BTreeMap::new();
        if name == "hub" {
            for definition in definitions()? {
                let text =
                    |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
                schemas.insert(text("/spec/names/kind"), Schema::of(&definition, &text("/spec/versions/0/name"))?);
            }
        }
        let (policies, bindings) = policies(name)?;
        let policies = Policies::of(&policies, &bindings)?;
        let mut world = Self { schemas, policies, objects: BTreeMap::new() };
        for mut object in objects {
            let at = At::of(&object);
            if let Some(schema) = world.schemas.get(&at.kind) {
                schema.prepare(&mut object);
                let causes = schema.validate(&object, None);
                if !causes.is_empty() {
                    bail!("the standing object {at:?} is wrong: {causes:?}");
                }
            }
            world.objects.insert((at.kind, at.namespace, at.name), object);
        }
        Ok(world)
    }

    /// Object by kind, namespace and name.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn answer(&mut self, who: Who, call: &Call, dry: bool) -> Result<Answer> {
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let mut place = place_of(path).with_context(|| format!("the path {path}"))?;
        if let Some((_, name)) = query.split_once("metadata.name%3D") {
            name.clone_into(&mut place.name);
        }
        let body = call.body.clone().unwrap_or_default();
        if call.method == Method::POST && place.part.is_empty() {
            place.name = At::of(&body).name;
        }
        let key = (place.kind.clone(), place.namespace.clone(), place.name.clone());
        let old = self.objects.get(&key).cloned();
        let next = match (&call.method, &old) {
            (&Method::DELETE, Some(old)) => {
                let decided = self.admit(who, &place, "DELETE", None, Some(old), dry, Some(&body));
                if decided.is_ok() && !dry {
                    self.objects.remove(&key);
                }
                return Ok(decided.map(|()| old.clone()));
            }
            (&Method::POST, _) | (&Method::PUT, Some(_)) => body,
            (&Method::PATCH, Some(old)) if call.content_type.contains("merge") => merged(old, &body),
            (&Method::PATCH, old) => {
                let mut applied = old.clone().unwrap_or_else(|| json!({}));
                merge_into(&mut applied, &body);
                applied
            }
            (method, _) => bail!("{method} of {key:?}, which does not stand here"),
        };
        if place.part == "eviction" {
            return Ok(self.admit(who, &place, "CREATE", Some(&next), None, dry, None).map(|()| next));
        }
        let old = if call.method == Method::POST { None } else { old };
        let mut next = next;
        if let Err(refusal) = self.check(&place, &mut next, old.as_ref()) {
            return Ok(Err(refusal));
        }
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let decided = self.admit(who, &place, operation, Some(&next), old.as_ref(), dry, None);
        if decided.is_ok() && !dry {
            // Whoever changes it later says so of a version, as of everything that stands.
            if old.is_none() {
                next["metadata"]["resourceVersion"] = json!("5");
            }
            self.objects.insert(key, next.clone());
        }
        Ok(decided.map(|()| next))
    }

    /// Brings an object into form, and checks it.
    fn check(&self, place: &Place, next: &mut Value, old: Option<&Value>) -> Result<(), (u16, String)> {
        let Some(schema) = self.schemas.get(&place.kind) else { return Ok(()) };
        schema.prepare(next);
        let status = place.part == "status";
        let mut causes = Vec::new();
        match old {
            None => {
                next.as_object_mut().map(|o| o.remove("status"));
                causes.extend(check_metadata(next, !place.namespace.is_empty()));
            }
            Some(old) => {
                if next.pointer("/metadata/resourceVersion").is_none() {
                    return Err((
                        422,
                        "metadata.resourceVersion: Invalid value: 0: must be specified for an update".to_owned(),
                    ));
                }
                let kept: &[&str] = if status { &["metadata", "spec"] } else { &["status"] };
                for part in kept {
                    match old.get(part) {
                        Some(value) => next[part] = value.clone(),
                        None => drop(next.as_object_mut().map(|o| o.remove(*part))),
                    }
                }
            }
        }
        causes.extend(match old {
            Some(old) if status => schema.validate_status(next, old),
            old => schema.validate(next, old),
        });
        if causes.is_empty() { Ok(()) } else { Err((422, told(place, &causes))) }
    }

    #[expect(clippy::too_many_arguments, reason = "what a request is, and nothing else")]
    fn admit(
        &self,
        who: Who,
        place: &Place,
        operation: &str,
        object: Option<&Value>,
        old: Option<&Value>,
        dry_run: bool,
        options: Option<&Value>,
    ) -> Result<(), (u16, String)> {
        let user: User = who.user();
        let is_namespace = place.kind == "Namespace";
        let space = self.get("Namespace", "", if is_namespace { &place.name } else { &place.namespace });
        let params = |_: &str, kind: &str, namespace: &str, name: &str| self.get(kind, namespace, name).cloned();
        let authorizer = |access: &_| may(who, access);
        let kind = if place.part == "eviction" { "Eviction" } else { &place.kind };
        let request = Admission {
            operation,
            group: &place.group,
            version: &place.version,
            resource: &place.plural,
            subresource: &place.part,
            kind,
            name: &place.name,
            namespace: &place.namespace,
            object,
            old,
            namespace_object: space,
            user: &user,
            dry_run,
            options,
            params: &params,
            authorizer: &authorizer,
        };
        self.policies.check(&request).map_err(|denied| (denied.code, denied.message))
    }
}

fn told(place: &Place, causes: &[Cause]) -> String {
    let said: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
    format!("{}.{} \"{}\" is invalid: [{}]", place.kind, place.group, place.name, said.join(", "))
}

fn place_of(path: &str) -> Result<Place> {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let core = parts.first() == Some(&"api");
    parts.drain(..1);
    let group = if core { String::new() } else { parts.remove(0).to_owned() };
    let version = parts.remove(0).to_owned();
    let namespace = if parts.len() > 2 && parts.first() == Some(&"namespaces") {
        parts.drain(..2).nth(1).unwrap_or_default()
    } else {
        ""
    };
    let collection = |kind: &&&str| {
        let of = at(kind, "", "").collection();
        of.ends_with(&format!("/{}", parts.first().unwrap_or(&""))) && of.contains(&format!("/{version}/"))
    };
    let kind = KINDS.iter().find(collection).context("no such kind")?;
    let part = |at: usize| (*parts.get(at).unwrap_or(&"")).to_owned();
    Ok(Place {
        kind: (*kind).to_owned(),
        group,
        version: version.clone(),
        plural: part(0),
        namespace: namespace.to_owned(),
        name: part(1),
        part: part(2),
    })
}

/// A merge patch, applied.
fn merged(old: &Value, patch: &Value) -> Value {
    let Some(patch) = patch.as_object() else { return patch.clone() };
    let mut map: Map<String, Value> = old.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        if value.is_null() {
            map.remove(name);
        } else {
            let before = map.get(name).cloned().unwrap_or_default();
            map.insert(name.clone(), merged(&before, value));
        }
    }
    Value::Object(map)
}

/// The product's definitions.
pub(crate) fn definitions() -> Result<Vec<Value>> {
    plain(install::read_folder(&project_root().join("crds/yaml"))?)
}

/// Policies and bindings of the hub or of a site.
pub(crate) fn policies(name: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    let all = plain(install::read_file(&project_root().join("deploy").join(name).join("policies.yaml"))?)?;
    Ok(all.into_iter().partition(|object| object["kind"] == "ValidatingAdmissionPolicy"))
}

fn plain(objects: Vec<kube::core::DynamicObject>) -> Result<Vec<Value>> {
    objects.into_iter().map(|object| Ok(serde_json::to_value(object)?)).collect()
}
