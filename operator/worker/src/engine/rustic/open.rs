//! Creating a repository, and opening one.

use std::sync::OnceLock;

use rustic_core::repofile::MasterKey;
use rustic_core::{ConfigOptions, Credentials, KeyOptions, Repository, RusticError};

use super::{PACK, Rustic, TREE_PACK, backends, options, told};
use crate::control::Control;
use crate::engine::backend::{Access, Backend, digest};
use crate::error::{Result, WorkerError};
use crate::store::Store;

/// What is known of a repository that was just created.
#[derive(Debug)]
pub struct Created {
    /// SHA-256 of its config.
    pub config: String,
    /// Its escrow key.
    pub escrow_key: String,
    /// The key of the repository, to be wrapped.
    pub key: Vec<u8>,
}

impl Rustic {
    /// Whether there is a repository, ours or not.
    pub fn exists(store: &Store) -> Result<bool> {
        Ok(store.get("config")?.is_some() || !store.list("keys")?.is_empty())
    }

    /// Creates a repository with an escrow password that plain restic opens it with.
    pub fn create(store: &Store, password: &str, control: &Control) -> Result<Created> {
        if Self::exists(store)? {
            return Err(WorkerError::RepositoryExists { store: store.location().to_owned() });
        }
        let backend = Backend::new(store.clone(), Access::Create, control.clone());
        let mut config = ConfigOptions::default();
        config.set_datapack_size = PACK.parse().ok();
        config.set_treepack_size = TREE_PACK.parse().ok();
        config.set_datapack_growfactor = Some(0);
        config.set_treepack_growfactor = Some(0);
        let key = MasterKey::new();
        let secret = serde_json::to_vec(&key).map_err(|e| WorkerError::engine("keeping the key", e))?;
        let explain = |e: Box<RusticError>| control.explain(told("creating the repository", &e));
        let repository = Repository::new(&options(), &backends(&backend)).map_err(explain)?;
        let repository =
            repository.init(&Credentials::Masterkey(key), &KeyOptions::default(), &config).map_err(explain)?;
        let escrow = repository.add_key(password, &KeyOptions::default()).map_err(explain)?;
        let config = store.get("config")?.ok_or_else(|| WorkerError::damaged("config", "it is missing"))?;
        Ok(Created { config: digest(&config), escrow_key: escrow.to_hex().to_string(), key: secret })
    }

    /// Opens a repository with its own key.
    pub fn open(store: &Store, key: &[u8], access: Access, control: &Control) -> Result<Self> {
        let key = serde_json::from_slice(key).map_err(|_| wrong_key("the unwrapped key", store, "it is no key"))?;
        Self::open_with(store, key, access, control, "the key of the repository")
    }

    /// Opens a repository with the escrow password.
    pub fn open_with_password(store: &Store, password: &str, access: Access, control: &Control) -> Result<Self> {
        let backend = Backend::new(store.clone(), Access::Read, control.clone());
        if store.get("config")?.is_none() {
            return Err(WorkerError::NoRepository { store: store.location().to_owned() });
        }
        let opened = Repository::new(&options(), &backends(&backend))
            .and_then(|repository| repository.open(&Credentials::password(password)));
        let key = match opened {
            Ok(repository) => repository.key(),
            Err(error) if error.is_incorrect_password() => {
                return Err(wrong_key("the escrow password", store, "no key of the repository opens with it"));
            }
            Err(error) => return Err(control.explain(told("opening the repository", &error))),
        };
        Self::open_with(store, key, access, control, "the escrow password")
    }

    fn open_with(store: &Store, key: MasterKey, access: Access, control: &Control, named: &str) -> Result<Self> {
        if store.get("config")?.is_none() {
            return Err(WorkerError::NoRepository { store: store.location().to_owned() });
        }
        let backend = Backend::new(store.clone(), access, control.clone());
        let engine = Self { backend, control: control.clone(), key, readable: OnceLock::new() };
        engine.repository().map_err(|error| match error {
            WorkerError::Engine { .. } | WorkerError::Damaged { .. } => {
                wrong_key(named, store, "the repository's config does not decrypt")
            }
            other => other,
        })?;
        Ok(engine)
    }
}

fn wrong_key(key: &str, store: &Store, problem: &str) -> WorkerError {
    WorkerError::WrongKey { key: key.to_owned(), store: store.location().to_owned(), problem: problem.to_owned() }
}
