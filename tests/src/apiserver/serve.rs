//! The server: its state, its clock, and whom it knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use serde_json::{Value, json};
use zhengyun_operator::runtime::clock::Clock;

use super::ask::Place;
use super::door::Service;
use super::list::Snapshots;
use super::pulse::{Changes, Pulse};
use super::store::{Journal, Key, State};
use super::user::User;
use super::write::Write;

/// Who may do what, as `SubjectAccessReview` answers it.
pub trait Rights: Send + Sync + 'static {
    /// Whether a user has a right.
    fn may(&self, user: &User, verb: &str, group: &str, resource: &str, subresource: &str, namespace: &str) -> bool;
}

/// Everybody may do everything.
#[derive(Clone, Copy, Debug)]
pub struct Everything;

impl Rights for Everything {
    fn may(&self, _: &User, _: &str, _: &str, _: &str, _: &str, _: &str) -> bool {
        true
    }
}

/// How a server is made.
pub struct ApiserverOptions {
    /// Name of the cluster, in the record and in UIDs.
    pub name: String,
    /// Its clock.
    pub clock: Clock,
    /// Where its writes are recorded.
    pub journal: Journal,
    /// Who may do what.
    pub rights: Box<dyn Rights>,
}

impl ApiserverOptions {
    /// A server of its own, in which everybody may do everything.
    pub fn new(name: &str, clock: Clock) -> Self {
        Self { name: name.to_owned(), clock, journal: Journal::default(), rights: Box::new(Everything) }
    }
}

impl std::fmt::Debug for ApiserverOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiserverOptions").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One in-memory API server.
#[derive(Clone)]
pub struct Apiserver(Arc<Inner>);

pub(crate) struct Inner {
    name: String,
    clock: Clock,
    state: Mutex<State>,
    snapshots: Mutex<Snapshots>,
    tokens: Mutex<BTreeMap<String, User>>,
    rights: Box<dyn Rights>,
    pub(crate) woken: Arc<Pulse>,
}

impl std::fmt::Debug for Apiserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apiserver").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn rights(&self) -> &dyn Rights {
        self.rights.as_ref()
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn user_of(&self, token: &str) -> Option<User> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Tells watches of what was written.
    pub(crate) fn wake(&self) {
        let revision = self.state().revision;
        self.woken.at(revision);
    }
}

impl Apiserver {
    /// A new, empty cluster with the namespaces that every cluster has.
    pub fn new(options: ApiserverOptions) -> Self {
        let state = State::new(&options.name, options.journal);
        let server = Self(Arc::new(Inner {
            name: options.name,
            clock: options.clock,
            state: Mutex::new(state),
            snapshots: Mutex::default(),
            tokens: Mutex::default(),
            rights: options.rights,
            woken: Arc::default(),
        }));
        server.begin();
        server
    }

    /// A cluster that stands as another one does now, recorded elsewhere and on another clock.
    #[must_use]
    pub fn copy(&self, options: ApiserverOptions) -> Self {
        let state = self.0.state().copy(options.journal);
        let tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self(Arc::new(Inner {
            name: options.name,
            clock: options.clock,
            state: Mutex::new(state),
            snapshots: Mutex::default(),
            tokens: Mutex::new(tokens),
            rights: options.rights,
            woken: Arc::default(),
        }))
    }

    fn begin(&self) {
        let system = User::system();
        for name in ["default", "kube-system"] {
            let place = Place {
                group: String::new(),
                version: "v1".to_owned(),
                plural: "namespaces".to_owned(),
                namespace: String::new(),
                name: String::new(),
                part: String::new(),
            };
            let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            let mut state = self.0.state();
            if let Some(kind) = state.kinds.get("", "v1", "namespaces") {
                let write = Write {
                    kind: &kind,
                    place: &place,
                    user: &system,
                    agent: "apiserver",
                    manager: "apiserver",
                    dry_run: false,
                    strict: false,
                    at: self.0.clock.now(),
                    rights: self.0.rights(),
                };
                // Cannot be refused: the cluster is empty.
                drop(write.create(&mut state, body));
            }
        }
    }

    /// A client of a user; `agent` tells the user's processes apart in the record. A bearer token in a request goes before the user.
    pub fn client(&self, user: &User, agent: &str) -> Client {
        Client::new(self.service(user, agent), "default")
    }

    /// The service behind [`Apiserver::client`], to put layers on.
    pub fn service(&self, user: &User, agent: &str) -> Service {
        Service::new(Arc::clone(&self.0), user, agent)
    }

    /// Makes a token known.
    pub fn admit(&self, token: &str, user: &User) {
        self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), user.clone());
    }

    /// Forgets what was written so far, so that watches that are behind get 410.
    pub fn compact(&self) {
        self.0.state().compact();
        self.0.snapshots().clear();
    }

    /// Ends every open watch with 410, as it happens to one that is behind a compaction, so that its client lists anew.
    pub fn expire_watches(&self) {
        let mut state = self.0.state();
        state.expired = state.expired.saturating_add(1);
        drop(state);
        self.0.woken.beat();
    }

    /// Every object as it stands.
    pub fn objects(&self) -> Vec<(Key, Arc<Value>)> {
        self.0.state().every().map(|(k, o)| (k.clone(), Arc::clone(o))).collect()
    }

    /// An object as it stands.
    pub fn object(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = Key {
            group: group.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.0.state().get(&key).cloned()
    }

    /// Wakes with every write.
    pub fn changes(&self) -> Changes {
        Changes::of(&self.0.woken)
    }

    /// What was written so far.
    pub fn revision(&self) -> u64 {
        self.0.state().revision
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }
}
