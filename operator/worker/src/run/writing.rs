//! Working on a repository while it is ours: the lease is taken, what a killed run left is settled, the work is done, the lease is
//! given back.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::runtime::Handle;

use super::open::{KeyArgs, existing};
use super::prune;
use crate::control::Control;
use crate::engine::Engine;
use crate::engine::backend::Access;
use crate::engine::rustic::Rustic;
use crate::error::Result;
use crate::evidence::chain::{Chain, Event};
use crate::secret::{SigningKey, random};
use crate::store::Store;
use crate::store::lease::{Claim, Fence, Lease};
use crate::store::open::StoreArgs;

/// Where, with which keys, and in whose name.
#[derive(Clone, Debug, clap::Args)]
pub struct WriteArgs {
    /// The repository.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which key.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// File with the control plane's Ed25519 key as PKCS#8 in PEM; it signs the chain.
    #[arg(long, env = "ZHENGYUN_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: PathBuf,
    /// Name of the run; the same name takes over from a killed process at once.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Seconds to wait while another run holds the repository.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub lease_wait: u64,
}

/// A repository that is ours.
#[derive(Debug)]
pub struct Ours {
    /// The store.
    pub store: Store,
    /// The repository.
    pub engine: Rustic,
    /// Its chain.
    pub chain: Chain,
    /// Who signs.
    pub signing: SigningKey,
    /// Looked at before each write.
    pub fence: Fence,
}

/// Does work on a repository while it is ours.
pub fn writing<T>(
    args: &WriteArgs,
    runtime: &Handle,
    control: &Control,
    work: impl FnOnce(&mut Ours) -> Result<T>,
) -> Result<T> {
    control.enter("opening");
    let store = existing(&args.store, runtime)?;
    let signing = SigningKey::read("--signing-key-file", &args.signing_key_file)?;
    // The key is tried before the lease is taken: a wrong one writes nothing at all.
    args.keys.open(&store, Access::Read, control)?;
    let floor = Chain::read(&store, Some(&signing.public()))?.epoch();
    let run = match &args.run {
        Some(run) => run.clone(),
        None => HEXLOWER.encode(&random::<8>()?),
    };
    let lease = Lease::take(&store, &Claim::new(run, 1, Duration::from_secs(args.lease_wait)), floor)?;
    let outcome = under_lease(args, store, signing, &lease, control, work);
    match outcome {
        Ok(done) => lease.release(true).map(|()| done),
        Err(error) => {
            // What made it fail is what counts. The next run need not wait until this one falls silent.
            let _ = lease.release(false);
            Err(error)
        }
    }
}

fn under_lease<T>(
    args: &WriteArgs,
    store: Store,
    signing: SigningKey,
    lease: &Lease,
    control: &Control,
    work: impl FnOnce(&mut Ours) -> Result<T>,
) -> Result<T> {
    // Somebody may have appended until the lease was ours.
    let chain = Chain::read(&store, Some(&signing.public()))?;
    let fence = lease.fence();
    let mut engine = args.keys.open(&store, Access::Write(fence.clone()), control)?;
    if lease.inherited {
        control.enter("adopting");
        prune::settle(&store, &chain, &fence)?;
        engine.adopt()?;
    }
    work(&mut Ours { store, engine, chain, signing, fence })
}

impl Ours {
    /// Signs what happened. The backups that the chain knows are in force from now on, and these index files.
    pub fn sign(&mut self, event: Event, indexes: Vec<String>) -> Result<()> {
        let mut snapshots = self.chain.snapshots();
        match &event {
            Event::Backup(backup) => snapshots.push(backup.snapshot.clone()),
            Event::Forgotten { snapshots: gone } => snapshots.retain(|kept| !gone.contains(kept)),
            Event::Created { .. } | Event::Pruned { .. } => {}
        }
        let next = self.chain.next(self.fence.epoch(), event, indexes, snapshots);
        self.fence.check()?;
        self.chain.append(&self.store, &self.signing, next)
    }
}
