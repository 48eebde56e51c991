//! What the processes of backup and restore are told alike: which repository, with which keys; and why there may be none.

use zhengyun_crds::Reason;
use zhengyun_crds::recovery::StoreBackend;
use zhengyun_domain::recovery::run::Fault;

use super::super::Context;
use super::home::{self, Home};
use super::{Recovery, keys, reach};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// Why a run is not carried out.
#[derive(Debug)]
pub enum Refusal {
    /// Something has to pass first.
    Waits(String),
    /// It never will be.
    Final(Fault),
}

/// It never will be carried out, for this reason.
pub fn refused(reason: Reason, message: impl Into<String>) -> Refusal {
    Refusal::Final(Fault { reason: reason.as_str().to_owned(), message: message.into(), ..Fault::default() })
}

/// What is refused is refused for good, so that never rests on what a watch has not shown yet: then it waits.
///
/// # Errors
/// When the hub does not answer.
pub async fn confirmed(context: &Context, namespace: &str, refusal: Refusal) -> Result<Refusal, ReconcileError> {
    match refusal {
        Refusal::Final(_) if !reach::is_shown(context, namespace).await? => {
            Ok(Refusal::Waits("what it names may have changed a moment ago; it is looked at again".to_owned()))
        }
        other => Ok(other),
    }
}

/// The repository of a department in a store.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Department.
    pub department: String,
    /// Secret with the department's key.
    pub key: String,
    /// Store.
    pub store: String,
    /// Where the store keeps its bytes.
    pub backend: StoreBackend,
}

impl Repository {
    /// The repository of a department in a store, once it stands; or what that waits for.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn standing(
        context: &Context,
        recovery: &Recovery,
        (store, department, key): (&str, &str, &str),
    ) -> Result<Result<Self, String>, ReconcileError> {
        let Some(backend) = reach::backend_of(context, store) else {
            return Ok(Err(format!("store {store} is not registered here any more")));
        };
        let home = match Home::of(recovery, &backend) {
            Ok(home) => home,
            Err(message) => return Ok(Err(message)),
        };
        if super::super::store::standing(context, store, &home, department).await?.is_none() {
            return Ok(Err(format!("the repository of department {department} does not stand in store {store}")));
        }
        let (department, key, store) = (department.to_owned(), key.to_owned(), store.to_owned());
        Ok(Ok(Self { department, key, store, backend }))
    }

    /// Tells a process that copies that this is what it copies from; or what is missing for that.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn copied_from(
        &self,
        context: &Context,
        recovery: &Recovery,
        task: &mut Task,
    ) -> Result<Result<(), String>, ReconcileError> {
        let home = match Home::of(recovery, &self.backend) {
            Ok(home) => home,
            Err(message) => return Ok(Err(message)),
        };
        home.tell(context, recovery, &self.department, &home::FROM, task).await
    }

    /// A task on the repository, with the key that opens it; or what it waits for.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn task(
        &self,
        context: &Context,
        recovery: &Recovery,
        program: &'static str,
        command: &str,
    ) -> Result<Result<Task, String>, ReconcileError> {
        let home = match Home::of(recovery, &self.backend) {
            Ok(home) => home,
            Err(message) => return Ok(Err(message)),
        };
        let key = match keys::department(context, &self.key, &self.department).await? {
            Ok(key) => key,
            Err(message) => return Ok(Err(message)),
        };
        let mut task = Task::of(program, command);
        if let Err(message) = home.tell(context, recovery, &self.department, &home::STORE, &mut task).await? {
            return Ok(Err(message));
        }
        task.secret("--key-file", "department-key", key);
        Ok(Ok(task))
    }

    /// Adds what was known of the repository before: who signs it, and the last head of its chain; or says what is missing.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn trust(&self, context: &Context, task: &mut Task) -> Result<Result<(), String>, ReconcileError> {
        let Some(known) = keys::repository(context, &self.store, &self.department).await? else {
            return Ok(Err(format!("nothing is known of the repository in store {}", self.store)));
        };
        task.secret("--public-key-file", "public-key", known.public_key.into());
        task.secret("--known-head-file", "known-head", known.known_head.into());
        Ok(Ok(()))
    }
}
