//! Working on a repository while it is ours: the lease is taken, what a killed run left is settled, the work is done, the lease is
//! given back.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::runtime::Handle;

use super::open::{KeyArgs, TrustArgs, existing};
use super::prune;
use crate::control::Control;
use crate::engine::Engine;
use crate::engine::backend::Access;
use crate::engine::rustic::Rustic;
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{Chain, Event, KnownHead};
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
    /// What is known: an old copy of the repository is not written on.
    #[command(flatten)]
    pub trust: TrustArgs,
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
    /// The head that the chain was held against, if one was given.
    pub held_against: Option<KnownHead>,
    /// Whether everything that was begun came to its end; otherwise the next holder settles and adopts what is left.
    pub settled: bool,
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
    // So is the chain: an old copy of the repository gets no lease either.
    let floor = args.trust.own(&store, &signing.public())?.epoch();
    let run = match &args.run {
        Some(run) => run.clone(),
        None => HEXLOWER.encode(&random::<8>()?),
    };
    let lease = Lease::take(&store, &Claim::new(run, 1, Duration::from_secs(args.lease_wait)), floor)?;
    let outcome = under_lease(args, store, signing, &lease, control, work);
    match outcome {
        Ok((done, settled)) => lease.release(settled).map(|()| done),
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
) -> Result<(T, bool)> {
    // Somebody may have appended until the lease was ours.
    let chain = args.trust.own(&store, &signing.public())?;
    let fence = lease.fence();
    let mut engine = args.keys.open(&store, Access::Write(fence.clone()), control)?;
    if lease.inherited {
        control.enter("adopting");
        prune::settle(&store, &chain, &fence)?;
        engine.adopt()?;
    }
    let held_against = args.trust.known_head()?;
    let mut ours = Ours { store, engine, chain, signing, fence, held_against, settled: true };
    let done = work(&mut ours)?;
    Ok((done, ours.settled))
}

impl Ours {
    /// Fails if a backup or an index file that the chain says is in force is missing. But for these snapshots: they are to go.
    ///
    /// The library takes for needed what the snapshots that stand refer to. Beside one that was taken away it would delete the data by
    /// which it can still be made anew; and a new link would list what is left as all there is.
    pub fn in_force(&self, but: &[String]) -> Result<()> {
        let indexes: BTreeSet<String> = self.engine.indexes()?.into_iter().collect();
        let snapshots: BTreeSet<String> = self.engine.snapshot_names()?.into_iter().collect();
        let listed = self.chain.last().map(|last| last.indexes.clone()).unwrap_or_default();
        let missing = |kind: &str, all: Vec<String>, there: &BTreeSet<String>| {
            let gone = all.into_iter().find(|id| !there.contains(id) && !but.contains(id));
            gone.map(|id| format!("{kind}/{id}"))
        };
        let part =
            missing("snapshots", self.chain.snapshots(), &snapshots).or_else(|| missing("index", listed, &indexes));
        match part {
            None => Ok(()),
            Some(part) => Err(WorkerError::damaged(
                part,
                "it is missing, and no link says that it was forgotten; nothing is removed, so that its data stays",
            )),
        }
    }

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
