//! `verify`: reads everything and recomputes the evidence. It needs the store and a key, and nothing of the hub.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::manifest;
use super::open::{KeyArgs, TrustArgs, existing, wrapped_name};
use crate::control::Control;
use crate::engine::backend::{Access, digest};
use crate::engine::{Engine, Finding, Label, Stored};
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{BackupStatement, Chain, Event, KnownHead};
use crate::evidence::heads;
use crate::evidence::items::{Item, ItemKind, path_text};
use crate::store::lease::Writer;
use crate::store::open::StoreArgs;
use crate::store::{Store, lease};

/// Read everything and recompute the evidence.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which key.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What is known.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Recompute the content of this backup only; files of the repository are read all the same.
    #[arg(long, value_name = "SNAPSHOT")]
    pub backup: Option<String>,
    /// End with 0 whatever is found: the report tells. What cannot be verified at all still fails.
    #[arg(long)]
    pub report_only: bool,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// Backups that hold in every part.
    pub intact: Vec<String>,
    /// Everything that does not.
    pub findings: Vec<Finding>,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Whether the signer was known from elsewhere, or only from the repository itself.
    pub signer_known: bool,
    signer: String,
    chain: KnownHead,
}

/// Verifies a repository. Findings are the caller's to judge; an error means that it could not be verified at all.
pub fn verify(args: &VerifyArgs, runtime: &Handle, control: &Control) -> Result<VerifyReport> {
    let store = existing(&args.store, runtime)?;
    let parts = |report: &VerifyReport| report.findings.iter().map(|finding| finding.part.clone()).collect();
    lease::steady(&store, || verified(args, &store, control), parts)
}

/// One reading.
fn verified(args: &VerifyArgs, store: &Store, control: &Control) -> Result<VerifyReport> {
    control.enter("opening");
    // Of a reading before.
    control.take_failure();
    let engine = args.keys.open(store, Access::Read, control)?;
    let chain = args.trust.chain(store)?;
    let wanted = select(&chain, args.backup.as_deref())?;
    control.enter("reading");
    let mut findings = Vec::new();
    collect(&mut findings, own_objects(store, &chain))?;
    let holder = Writer::of(store)?.holder;
    let is_head_known = args.trust.known_head_file.is_some();
    collect(&mut findings, listed(&engine, &chain, holder.as_deref(), is_head_known))?;
    collect(&mut findings, engine.check_files(true))?;
    control.enter("verifying");
    let (mut intact, mut read) = (Vec::new(), Read::new());
    for statement in wanted {
        control.check()?;
        let before = findings.len();
        collect(&mut findings, contents(&engine, statement, &chain, &mut read, control))?;
        if findings.len() == before {
            intact.push(statement.snapshot.clone());
        }
    }
    Ok(VerifyReport {
        intact,
        findings,
        bytes_read: control.standing().bytes,
        signer_known: args.trust.public_key_file.is_some() || args.trust.known_head_file.is_some(),
        signer: chain.signer.text(),
        chain: chain.known_head(),
    })
}

fn select<'a>(chain: &'a Chain, wanted: Option<&str>) -> Result<Vec<&'a BackupStatement>> {
    let all = chain.backups();
    let Some(wanted) = wanted else { return Ok(all) };
    let found: Vec<_> = all.into_iter().filter(|b| b.snapshot.starts_with(wanted)).collect();
    if found.len() == 1 { Ok(found) } else { Err(WorkerError::NoBackup { wanted: wanted.to_owned() }) }
}

/// Damage is a finding; everything else ends the verification.
fn collect(findings: &mut Vec<Finding>, step: Result<Vec<Finding>>) -> Result<()> {
    match step {
        Ok(more) => findings.extend(more),
        Err(error) => findings.push(as_finding(error)?),
    }
    Ok(())
}

/// Damage as a finding.
pub(super) fn as_finding(error: WorkerError) -> Result<Finding> {
    match error {
        WorkerError::Damaged { part, problem } | WorkerError::Evidence { part, problem, .. } => {
            Ok(Finding { part, problem, needed: true })
        }
        WorkerError::Engine { action, cause } => Ok(Finding { part: action, problem: cause, needed: true }),
        other => Err(other),
    }
}

/// Config, keys and lease against the first link of the chain.
pub(super) fn own_objects(store: &Store, chain: &Chain) -> Result<Vec<Finding>> {
    let Some(Event::Created { config, escrow_key, wrapped_key }) = chain.statements.first().map(|s| &s.event) else {
        return Err(WorkerError::damaged("the chain", "it does not begin with the creation of the repository"));
    };
    let mut findings = Vec::new();
    for (name, expected) in
        [("config".to_owned(), config), (wrapped_name(), wrapped_key), (format!("keys/{escrow_key}"), escrow_key)]
    {
        let problem = match store.get(&name)? {
            None => "it is missing",
            Some(bytes) if digest(&bytes) != *expected => "its content is not what was signed",
            Some(_) => continue,
        };
        findings.push(Finding { part: name, problem: problem.to_owned(), needed: false });
    }
    for inspected in [lease::inspect(store, chain.epoch()), heads::inspect(store)] {
        if let Err(error) = inspected {
            findings.push(Finding { needed: false, ..as_finding(error)? });
        }
    }
    Ok(findings)
}

/// Index files and snapshots against the last link of the chain. What the holder of the lease made, it may be about to sign.
///
/// A snapshot of ours that no link names was left by a run that died before it signed, or its link was removed. Who knows the head of
/// the chain from elsewhere can tell the two apart: the chain reaches the head, so no link is gone.
pub(super) fn listed(
    engine: &dyn Engine,
    chain: &Chain,
    holder: Option<&str>,
    is_head_known: bool,
) -> Result<Vec<Finding>> {
    let Some(last) = chain.last() else { return Ok(Vec::new()) };
    let indexes: BTreeSet<String> = engine.indexes()?.into_iter().collect();
    let snapshots: BTreeSet<String> = engine.snapshot_names()?.into_iter().collect();
    let missing = |kind: &str, listed: &[String], there: &BTreeSet<String>| {
        let gone = listed.iter().filter(|id| !there.contains(*id));
        gone.map(|id| Finding { part: format!("{kind}/{id}"), problem: "it is missing".to_owned(), needed: false })
            .collect::<Vec<_>>()
    };
    let mut findings = missing("index", &last.indexes, &indexes);
    findings.extend(missing("snapshots", &last.snapshots, &snapshots));
    // What is forgotten and still stands, the next run removes.
    let gone = chain.forgotten();
    let unsigned = snapshots.into_iter().filter(|id| !last.snapshots.contains(id) && !gone.contains(id.as_str()));
    for id in unsigned {
        // Batches of a run that can go on stand in no link.
        let at_work = |label: &Label| is_head_known || label.batch.is_some() || Some(label.run.as_str()) == holder;
        if engine.snapshot(&id).is_ok_and(|s| !s.label.as_ref().is_some_and(at_work)) {
            let problem = "no link of the chain names it: a link was removed, or its run did not end".to_owned();
            findings.push(Finding { part: format!("snapshots/{id}"), problem, needed: false });
        }
    }
    Ok(findings)
}

/// Recomputes the digest of everything in a backup.
fn contents(
    engine: &dyn Engine,
    statement: &BackupStatement,
    chain: &Chain,
    read: &mut Read,
    control: &Control,
) -> Result<Vec<Finding>> {
    let scratch = Scratch::new()?;
    let snapshot = engine.snapshot(&statement.snapshot)?;
    let proved = manifest::fetch(engine, &snapshot, statement, chain, &scratch.file())?;
    let mut findings = Vec::new();
    proved.compare(engine, &snapshot, |stored, item| {
        control.count_item();
        if item.kind == ItemKind::File
            && let Some(finding) = content(engine, &stored, &item, read, control)?
        {
            findings.push(finding);
        }
        Ok(())
    })?;
    Ok(findings)
}

/// Contents that were read, by their pieces: most of a backup is that of the backup before.
type Read = HashMap<[u8; 32], [u8; 32]>;
/// How many of them are kept, at about 100 bytes each; the others are read once for every backup they are in.
const MAX_READ: usize = 500_000;

fn content(
    engine: &dyn Engine,
    stored: &Stored,
    item: &Item,
    read: &mut Read,
    control: &Control,
) -> Result<Option<Finding>> {
    let pieces: [u8; 32] = Sha256::digest(stored.pieces.concat()).into();
    let expected: [u8; 32] = Sha256::digest(format!("{} {}", item.size, item.digest)).into();
    let mut sink = Digesting::new(std::io::sink());
    let seen = match read.get(&pieces) {
        Some(seen) => Ok(*seen),
        None => engine.read(stored, &mut sink).map(|()| {
            let (digest, size) = sink.finish();
            control.count_bytes(size);
            Sha256::digest(format!("{size} {digest}")).into()
        }),
    };
    let problem = match seen {
        Ok(seen) if seen == expected => {
            if read.len() < MAX_READ {
                read.insert(pieces, seen);
            }
            return Ok(None);
        }
        Ok(_) => "its content is not what the manifest says".to_owned(),
        Err(error) => as_finding(error)?.problem,
    };
    Ok(Some(Finding { part: path_text(&item.path), problem, needed: true }))
}

/// Passes bytes on and keeps their digest.
#[derive(Debug)]
pub(super) struct Digesting<W> {
    inner: W,
    digest: Sha256,
    size: u64,
}

impl<W: Write> Digesting<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, digest: Sha256::new(), size: 0 }
    }

    pub(super) fn finish(self) -> (String, u64) {
        let (_, digest, size) = self.into_parts();
        (digest, size)
    }

    pub(super) fn into_parts(self) -> (W, String, u64) {
        (self.inner, data_encoding::HEXLOWER.encode(&self.digest.finalize()), self.size)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(buffer.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// A directory of this process's own that goes away with it.
#[derive(Debug)]
pub(crate) struct Scratch(std::path::PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let name = format!("zhengyun-worker-{}", data_encoding::HEXLOWER.encode(&crate::secret::random::<8>()?));
        let path = std::env::temp_dir().join(name);
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|e| WorkerError::local(&path, e))?;
        Ok(Self(path))
    }

    pub(super) fn file(&self) -> std::path::PathBuf {
        self.0.join("manifest.jsonl")
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
