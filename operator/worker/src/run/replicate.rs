//! `replicate`: copies a backup from one repository to another, which stands and proves by itself.
//!
//! Packs are decrypted and encrypted anew, trees stay what they are: the manifest is in the tree, so the same root proves it. The copy is
//! read back before it is signed. Each of the two stores then remembers the head of the other's chain.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use tokio::runtime::Handle;

use super::manifest::{self, Items};
use super::open::{KeyArgs, existing};
use super::verify::Scratch;
use super::writing::{Ours, WriteArgs, writing};
use crate::control::Control;
use crate::engine::backend::Access;
use crate::engine::rustic::Rustic;
use crate::engine::{Engine, Snapshot};
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{BackupStatement, Chain, Event, KnownHead, Origin};
use crate::evidence::heads;
use crate::evidence::items::path_text;
use crate::secret::read_secret;
use crate::store::open::StoreArgs;
use crate::store::room::RoomArgs;
use crate::store::{Store, lease};

/// Copy a backup to another repository.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplicateArgs {
    /// Where to: a repository of the same department, with the same signing key.
    #[command(flatten)]
    pub write: WriteArgs,
    /// How much there is room for.
    #[command(flatten)]
    pub room: RoomArgs,
    /// Where from: a directory, or s3://BUCKET/PREFIX.
    #[arg(long, value_name = "PLACE")]
    pub from: String,
    /// Address of the S3 server where it comes from.
    #[arg(long, value_name = "URL")]
    pub from_s3_endpoint: Option<String>,
    /// Region that requests to that server are signed for; the same as of the target unless given.
    #[arg(long, value_name = "NAME")]
    pub from_s3_region: Option<String>,
    /// PEM file of the authority that signed that server's certificate.
    #[arg(long, value_name = "FILE")]
    pub from_s3_ca_file: Option<PathBuf>,
    /// Allow that server to be without TLS: for laboratories.
    #[arg(long)]
    pub from_s3_allow_http: bool,
    /// File with the access key of the bucket where it comes from.
    #[arg(long, value_name = "FILE")]
    pub from_s3_credentials_file: Option<PathBuf>,
    /// File with the escrow password of the repository where it comes from, when there is no department's key any more.
    #[arg(long, value_name = "FILE")]
    pub from_escrow_file: Option<PathBuf>,
    /// File with a head of the chain where it comes from, as it is known elsewhere.
    #[arg(long, value_name = "FILE")]
    pub from_known_head_file: Option<PathBuf>,
    /// Snapshot of the backup where it comes from.
    #[arg(long, value_name = "SNAPSHOT")]
    pub backup: String,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicateReport {
    /// The snapshot of the copy.
    snapshot: String,
    root: String,
    items: u64,
    bytes: u64,
    uploaded: u64,
    /// Bytes of everything in the repository when it was done.
    stored: u64,
    /// To be kept elsewhere: with it an old copy of the repository with the copy shows.
    chain: KnownHead,
    /// The head that was known before, if one was given: the chain continues it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_against: Option<KnownHead>,
}

/// Copies a backup.
pub fn replicate(args: &ReplicateArgs, runtime: &Handle, control: &Control) -> Result<ReplicateReport> {
    writing(&args.write, runtime, control, |ours| {
        args.room.put_in_force(&ours.store)?;
        let store = Source::store(args, runtime)?;
        // Others may write to where it comes from.
        let read = || {
            control.take_failure();
            copied(args, ours, &store, control)
        };
        let (copied, origin) = lease::steady(&store, read, |_| BTreeSet::new())?;
        control.enter("remembering");
        heads::remember(&ours.store, &ours.signing, &origin)?;
        if let Err(error) = remembered_there(ours, &store, &origin) {
            if matches!(error, WorkerError::Evidence { .. }) {
                return Err(error);
            }
            // The copy stands and proves; the next one makes up for it.
            control.note(format!("the repository that it comes from does not remember the copy's head: {error}"));
        }
        Ok(ReplicateReport {
            snapshot: copied.snapshot,
            root: copied.root,
            items: copied.items,
            bytes: copied.bytes,
            uploaded: control.standing().uploaded,
            stored: ours.store.measure()?,
            chain: ours.chain.known_head(),
            held_against: ours.held_against.clone(),
        })
    })
}

/// Tells the repository where it comes from what the copy's chain is, and passes on what both know of others.
fn remembered_there(ours: &Ours, store: &Store, origin: &Chain) -> Result<()> {
    heads::remember(store, &ours.signing, &ours.chain)?;
    let both = [origin.repository()?, ours.chain.repository()?];
    let signer = ours.chain.signer.text();
    heads::pass_on(store, &ours.store, &both, &signer)?;
    heads::pass_on(&ours.store, store, &both, &signer)
}

/// One reading: the copy, and the chain that it comes from.
fn copied(args: &ReplicateArgs, ours: &mut Ours, store: &Store, control: &Control) -> Result<(BackupStatement, Chain)> {
    let origin = Source::open(args, ours, store, control)?;
    // An old copy of either is noticed by the other before anything is copied.
    heads::agrees(store, &ours.chain)?;
    let statement = origin.backup(&args.backup)?;
    let repository = origin.chain.repository()?.to_owned();
    if repository == ours.chain.repository()? {
        return Err(WorkerError::input("--from", "is the repository that is copied to", "name another one"));
    }
    let copied = match signed(ours, &statement, &repository) {
        Some(copied) => copied,
        None => copy(ours, &origin, statement, repository, control)?,
    };
    Ok((copied, origin.chain))
}

/// The repository that is copied from.
struct Source {
    engine: Rustic,
    chain: Chain,
}

impl Source {
    fn store(args: &ReplicateArgs, runtime: &Handle) -> Result<Store> {
        let place = StoreArgs {
            store: args.from.clone(),
            s3_endpoint: args.from_s3_endpoint.clone(),
            s3_region: args.from_s3_region.clone().unwrap_or_else(|| args.write.store.s3_region.clone()),
            s3_ca_file: args.from_s3_ca_file.clone(),
            s3_allow_http: args.from_s3_allow_http,
            s3_credentials_file: args.from_s3_credentials_file.clone(),
            crash_after_store_write: None,
        };
        existing(&place, runtime)
    }

    fn open(args: &ReplicateArgs, ours: &Ours, store: &Store, control: &Control) -> Result<Self> {
        let keys = match &args.from_escrow_file {
            Some(file) => KeyArgs { key_file: None, escrow_file: Some(file.clone()) },
            None => args.write.keys.clone(),
        };
        let engine = keys.open(store, Access::Read, control)?;
        let read = || -> Result<Chain> {
            let chain = Chain::read(store, Some(&ours.signing.public()))?;
            heads::agrees(&ours.store, &chain)?;
            Ok(chain)
        };
        // What is remembered may have been passed on after the chain was read.
        let chain = read().or_else(|_| read())?;
        if let Some(file) = &args.from_known_head_file {
            let known =
                KnownHead::parse("--from-known-head-file", file, &read_secret("--from-known-head-file", file)?)?;
            chain.continues(&known)?;
        }
        Ok(Self { engine, chain })
    }

    fn backup(&self, wanted: &str) -> Result<BackupStatement> {
        let found = self.chain.backups().into_iter().find(|backup| backup.snapshot == wanted);
        found.cloned().ok_or_else(|| WorkerError::NoBackup { wanted: wanted.to_owned() })
    }
}

/// The copy, if it was made and signed already.
fn signed(ours: &Ours, wanted: &BackupStatement, repository: &str) -> Option<BackupStatement> {
    let is_it = |backup: &&BackupStatement| {
        let from = backup.origin.as_ref().map(|origin| (origin.repository.as_str(), origin.snapshot.as_str()));
        from == Some((repository, wanted.snapshot.as_str())) && backup.root == wanted.root
    };
    ours.chain.backups().into_iter().find(is_it).cloned()
}

fn copy(
    ours: &mut Ours,
    origin: &Source,
    wanted: BackupStatement,
    repository: String,
    control: &Control,
) -> Result<BackupStatement> {
    control.enter("copying");
    let there = origin.engine.snapshot(&wanted.snapshot)?;
    if there.tree != wanted.tree {
        let problem = format!("its tree is {}, signed was {}", there.tree, wanted.tree);
        return Err(WorkerError::damaged(format!("snapshots/{}", wanted.snapshot), problem));
    }
    let here = match unsigned(ours, &wanted)? {
        Some(here) => here,
        None => ours.engine.replicate(&origin.engine, &there)?,
    };
    let from = Origin {
        repository,
        snapshot: wanted.snapshot.clone(),
        counter: origin.chain.known_head().counter,
        head: origin.chain.head.clone(),
    };
    let statement = BackupStatement { snapshot: here.id.clone(), origin: Some(from), ..wanted };
    read_back(ours, &here, &statement, control)?;
    let indexes = ours.engine.indexes()?;
    ours.sign(Event::Backup(Box::new(statement.clone())), indexes)?;
    Ok(statement)
}

/// A copy that was made by a process that was killed before it signed.
fn unsigned(ours: &Ours, wanted: &BackupStatement) -> Result<Option<Snapshot>> {
    let (kept, gone) = (ours.chain.snapshots(), ours.chain.forgotten());
    for id in ours.engine.snapshot_names()? {
        if kept.contains(&id) || gone.contains(id.as_str()) {
            continue;
        }
        let snapshot = ours.engine.snapshot(&id)?;
        let of_run = snapshot.label.as_ref().is_some_and(|label| label.run == wanted.run && label.batch.is_none());
        if of_run && snapshot.tree == wanted.tree {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

/// Nothing that the copy refers to is missing, and its manifest is the one that was signed.
fn read_back(ours: &Ours, here: &Snapshot, statement: &BackupStatement, control: &Control) -> Result<()> {
    control.enter("reading back");
    let (scratch, engine) = (Scratch::new()?, &ours.engine);
    let file = scratch.file();
    manifest::fetch(engine, here, statement, &ours.chain, &file)?;
    manifest::compare(engine, here, &mut Items::open(&file)?, &mut |stored, item| {
        control.count_item();
        let size = engine.size_of(&stored)?;
        if size == item.size {
            return Ok(());
        }
        let part = format!("{} in snapshot {}", path_text(&item.path), here.id);
        Err(WorkerError::damaged(part, format!("{size} bytes were copied of {}", item.size)))
    })?;
    match engine.check_files(false)?.into_iter().next() {
        None => Ok(()),
        Some(finding) => Err(WorkerError::damaged(finding.part, finding.problem)),
    }
}
