//! Opening a repository: which keys there are, and what is believed of it.

use std::path::PathBuf;

use tokio::runtime::Handle;

use super::verify::own_objects;
use crate::control::Control;
use crate::engine::backend::Access;
use crate::engine::rustic::Rustic;
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{Chain, KnownHead};
use crate::evidence::heads;
use crate::secret::{DepartmentKey, PublicKey, Wrapped, read_secret};
use crate::store::open::{Place, StoreArgs};
use crate::store::{OWN, Store};

/// How the repository is opened.
#[derive(Clone, Debug, clap::Args)]
pub struct KeyArgs {
    /// File with the department's key: 32 bytes in base64.
    #[arg(long, env = "ZHENGYUN_KEY_FILE", value_name = "FILE", required_unless_present = "escrow_file")]
    pub key_file: Option<PathBuf>,
    /// File with the escrow password, when there is no department's key any more.
    #[arg(long, env = "ZHENGYUN_ESCROW_FILE", value_name = "FILE", conflicts_with = "key_file")]
    pub escrow_file: Option<PathBuf>,
}

/// What is known of the repository from elsewhere.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TrustArgs {
    /// File with the public key that must have signed the repository's chain.
    #[arg(long, env = "ZHENGYUN_PUBLIC_KEY_FILE", value_name = "FILE")]
    pub public_key_file: Option<PathBuf>,
    /// File with a head of the chain as another store keeps it: an old copy of the repository shows.
    #[arg(long, env = "ZHENGYUN_KNOWN_HEAD_FILE", value_name = "FILE")]
    pub known_head_file: Option<PathBuf>,
    /// Directory of another repository of the same department: what it remembers of this one must still hold. May be given several
    /// times.
    #[arg(long = "peer", value_name = "DIR")]
    pub peers: Vec<PathBuf>,
}

/// The name of the wrapped key in the store.
pub fn wrapped_name() -> String {
    format!("{OWN}/key.json")
}

impl KeyArgs {
    /// Opens the repository.
    pub fn open(&self, store: &Store, access: Access, control: &Control) -> Result<Rustic> {
        match self.try_open(store, access, control) {
            // The right key does not open what was changed, and looks like a wrong one then.
            Err(wrong @ WorkerError::WrongKey { .. }) => Err(changed(store).unwrap_or(wrong)),
            other => other,
        }
    }

    fn try_open(&self, store: &Store, access: Access, control: &Control) -> Result<Rustic> {
        if store.get("config")?.is_none() {
            return Err(WorkerError::NoRepository { store: store.location().to_owned() });
        }
        if let Some(file) = &self.escrow_file {
            let password = read_secret("--escrow-file", file)?;
            return Rustic::open_with_password(store, password.trim(), access, control);
        }
        let file = self
            .key_file
            .as_ref()
            .ok_or_else(|| WorkerError::input("--key-file", "is missing", "give it, or --escrow-file"))?;
        let key = DepartmentKey::read("--key-file", file)?;
        let name = wrapped_name();
        let bytes = store.get(&name)?.ok_or_else(|| WorkerError::damaged(&name, "it is missing; use --escrow-file"))?;
        let wrapped: Wrapped = serde_json::from_slice(&bytes)
            .map_err(|_| WorkerError::damaged(&name, "it is not readable; use --escrow-file"))?;
        let secret = key.unwrap(&wrapped)?.ok_or_else(|| WorkerError::WrongKey {
            key: "the department's key".to_owned(),
            store: store.location().to_owned(),
            problem: format!("{name} does not open with it"),
        })?;
        Rustic::open(store, &secret, access, control)
    }
}

/// What the key has to open is not what was signed when it was stored; none if it is, or if nothing tells.
fn changed(store: &Store) -> Option<WorkerError> {
    let chain = Chain::read(store, None).ok()?;
    let lease = format!("{OWN}/lease");
    let finding = own_objects(store, &chain).ok()?.into_iter().find(|finding| !finding.part.starts_with(&lease))?;
    Some(WorkerError::Damaged { part: finding.part, problem: finding.problem })
}

impl TrustArgs {
    /// Reads the chain and holds it against what is known from elsewhere.
    pub fn chain(&self, store: &Store) -> Result<Chain> {
        self.signed_by(store, self.signer()?.as_ref())
    }

    /// The same for whoever continues the chain: it must be signed with that key, and an old copy is not written on.
    pub fn own(&self, store: &Store, signing: &PublicKey) -> Result<Chain> {
        if self.signer()?.is_some_and(|known| known != *signing) {
            return Err(WorkerError::input(
                "--public-key-file",
                "is not the public half of --signing-key-file",
                "give the key that signed the repository, or leave --public-key-file out",
            ));
        }
        self.signed_by(store, Some(signing))
    }

    /// The head that is known from elsewhere, if one is given.
    pub fn known_head(&self) -> Result<Option<KnownHead>> {
        let Some(file) = &self.known_head_file else { return Ok(None) };
        let text = read_secret("--known-head-file", file)?;
        KnownHead::parse("--known-head-file", file, &text).map(Some)
    }

    fn signer(&self) -> Result<Option<PublicKey>> {
        self.public_key_file.as_ref().map(|file| PublicKey::read("--public-key-file", file)).transpose()
    }

    fn signed_by(&self, store: &Store, key: Option<&PublicKey>) -> Result<Chain> {
        let chain = Chain::read(store, key)?;
        if let Some(known) = self.known_head()? {
            chain.continues(&known)?;
        }
        for peer in &self.peers {
            heads::check(&store.beside(peer)?, &chain)?;
        }
        Ok(chain)
    }
}

/// Opens a store for reading.
pub fn existing(store: &StoreArgs, runtime: &Handle) -> Result<Store> {
    store.open(Place::Existing, runtime)
}
