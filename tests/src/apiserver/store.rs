//! What is stored: objects, revisions, and the record of every write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use super::admission::Policies;
use super::apply::Ownership;
use super::kinds::{KindInfo, Kinds};

/// Which object, whatever the version it is asked for in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// API group; empty for the core.
    pub group: String,
    /// Plural.
    pub plural: String,
    /// Empty for kinds without namespaces.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    pub(crate) fn of(kind: &KindInfo, namespace: &str, name: &str) -> Self {
        Self {
            group: kind.group.clone(),
            plural: kind.plural.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let space = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{} {}{space}{}", self.plural, self.namespace, self.name)
    }
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The object is new.
    Create,
    /// It changed.
    Update,
    /// It is gone.
    Delete,
}

/// One write, as it was committed.
#[derive(Debug)]
pub struct Commit {
    /// Name of the cluster.
    pub cluster: String,
    /// Revision of the cluster.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// What it did.
    pub verb: Verb,
    /// To which object.
    pub key: Key,
    /// What was there before.
    pub before: Option<Arc<Value>>,
    /// What is there now; what was there last for a deletion, with the revision of the deletion.
    pub after: Arc<Value>,
    /// Who wrote: the account, and which of its processes.
    pub user: String,
    /// Which process of that account, as its client was named.
    pub agent: String,
    /// Whether a deletion, or the mark of one, was asked for with the UID of what is to be deleted.
    pub guarded: bool,
}

/// The record of every write to any of several clusters, in the order in which they took place.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Vec<Arc<Commit>>>>);

impl Journal {
    /// Everything so far.
    pub fn all(&self) -> Vec<Arc<Commit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many so far.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&self, commit: Arc<Commit>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(commit);
    }
}

/// The state of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) cluster: String,
    pub(crate) kinds: Kinds,
    pub(crate) policies: Arc<Policies>,
    pub(crate) ownership: BTreeMap<Key, Ownership>,
    objects: BTreeMap<Key, Arc<Value>>,
    /// Writes of this cluster, for watches; the first is that of revision `begun + 1`.
    log: Vec<Arc<Commit>>,
    /// Revision before the first entry of `log`.
    pub(crate) begun: u64,
    pub(crate) revision: u64,
    /// How many objects of each name there were.
    made: BTreeMap<Key, u32>,
    journal: Journal,
    /// Something that this server cannot do: every further request says so.
    pub(crate) fault: Option<String>,
    /// How often all watches were ended.
    pub(crate) expired: u64,
    /// How many objects were made for show alone.
    rehearsed: u64,
}

/// Who writes.
#[derive(Clone, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) user: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) guarded: bool,
}

impl State {
    pub(crate) fn new(cluster: &str, journal: Journal) -> Self {
        Self {
            cluster: cluster.to_owned(),
            kinds: Kinds::built_in(),
            policies: Arc::default(),
            ownership: BTreeMap::new(),
            objects: BTreeMap::new(),
            log: Vec::new(),
            begun: 1,
            revision: 1,
            made: BTreeMap::new(),
            journal,
            fault: None,
            expired: 0,
            rehearsed: 0,
        }
    }

    /// The same state again, whose writes are recorded elsewhere; nothing was written to it yet.
    pub(crate) fn copy(&self, journal: Journal) -> Self {
        let mut copy = self.clone();
        copy.compact();
        copy.journal = journal;
        copy
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Objects of a kind in their order; of all namespaces if none is named.
    pub(crate) fn of_kind<'a>(
        &'a self,
        kind: &KindInfo,
        namespace: &str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        let from = Key::of(kind, namespace, "");
        let (group, plural, namespace) = (kind.group.clone(), kind.plural.clone(), namespace.to_owned());
        self.objects.range(from..).take_while(move |(k, _)| {
            k.group == group && k.plural == plural && (namespace.is_empty() || k.namespace == namespace)
        })
    }

    /// Every object.
    pub(crate) fn every(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// Writes after a revision, oldest first; none if they are not kept any more.
    pub(crate) fn since(&self, revision: u64) -> Option<&[Arc<Commit>]> {
        let at = usize::try_from(revision.checked_sub(self.begun)?).ok()?;
        self.log.get(at.min(self.log.len())..)
    }

    /// Forgets writes, so that watches from before get 410.
    pub(crate) fn compact(&mut self) {
        self.log.clear();
        self.begun = self.revision;
    }

    /// A UID for a new object: the same for the n-th object of that name in every run, whatever else happened.
    pub(crate) fn uid_for(&self, key: &Key) -> String {
        let nth = self.made.get(key).copied().unwrap_or_default();
        self.uid_of(key, &nth.to_string())
    }

    /// A UID for an object that is not kept.
    pub(crate) fn uid_for_show(&mut self, key: &Key) -> String {
        self.rehearsed = self.rehearsed.saturating_add(1);
        self.uid_of(key, &format!("rehearsal {}", self.rehearsed))
    }

    fn uid_of(&self, key: &Key, nth: &str) -> String {
        let text = format!("{}|{}|{key}|{nth}", self.cluster, key.group);
        let hash = |salt: u64| {
            text.bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64 ^ salt, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
        };
        let (a, b) = (hash(0), hash(0x9e37_79b9_7f4a_7c15));
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            (b >> 48) & 0xfff,
            b & 0xffff_ffff_ffff
        )
    }

    /// Stores an object, or removes it, under a new revision.
    pub(crate) fn commit(&mut self, key: &Key, verb: Verb, mut object: Value, by: &Writer<'_>) -> Arc<Value> {
        self.revision = self.revision.saturating_add(1);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), Value::String(self.revision.to_string()));
        }
        if verb == Verb::Create {
            let made = self.made.entry(key.clone()).or_default();
            *made = made.saturating_add(1);
        }
        let after = Arc::new(object);
        let before = match verb {
            Verb::Delete => {
                self.ownership.remove(key);
                self.objects.remove(key)
            }
            Verb::Create | Verb::Update => self.objects.insert(key.clone(), Arc::clone(&after)),
        };
        let commit = Arc::new(Commit {
            cluster: self.cluster.clone(),
            revision: self.revision,
            at: by.at,
            verb,
            key: key.clone(),
            before,
            after: Arc::clone(&after),
            user: by.user.to_owned(),
            agent: by.agent.to_owned(),
            guarded: by.guarded,
        });
        self.log.push(Arc::clone(&commit));
        self.journal.push(commit);
        if let Err(error) = self.take_effect(key, verb, &after) {
            self.fault = Some(format!("{key}: {error:#}"));
        }
        after
    }

    /// Kinds and policies hold from the moment they are written; the real server takes about a second.
    fn take_effect(&mut self, key: &Key, verb: Verb, object: &Value) -> anyhow::Result<()> {
        match (key.group.as_str(), key.plural.as_str()) {
            ("apiextensions.k8s.io", "customresourcedefinitions") => {
                if verb == Verb::Delete {
                    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                    self.kinds.forget(text("/spec/group"), text("/spec/names/plural"));
                    return Ok(());
                }
                self.kinds.define(object)
            }
            ("admissionregistration.k8s.io", _) => {
                let of = |plural: &str| -> Vec<Value> {
                    let ours = |k: &Key| k.group == "admissionregistration.k8s.io" && k.plural == plural;
                    self.objects.iter().filter(|(k, _)| ours(k)).map(|(_, o)| o.as_ref().clone()).collect()
                };
                let (policies, bindings) = (of("validatingadmissionpolicies"), of("validatingadmissionpolicybindings"));
                self.policies = Arc::new(Policies::of(&policies, &bindings)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
