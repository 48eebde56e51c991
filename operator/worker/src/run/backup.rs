//! `backup`: captures sources into one snapshot with a signed manifest.
//!
//! The order is what makes a kill at any point harmless: batches, each journalled once it is stored; the whole snapshot; it is read
//! back; the signed link of the chain; only then are the batches forgotten. A backup without a link is none.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::Serialize;
use tokio::runtime::Handle;

use super::manifest::{self, Items, Sum};
use super::open::{KeyArgs, TrustArgs, existing};
use crate::control::Control;
use crate::engine::backend::Access;
use crate::engine::{Engine, Entry, Label, Snapshot};
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{BackupStatement, Chain, Event, KnownHead};
use crate::evidence::items::{FORMAT, Head, SourceRecord, path_of, path_text};
use crate::journal::{BatchRecord, Journal, Run};
use crate::secret::{SigningKey, random};
use crate::source::args::{Opened, SourceArgs};
use crate::source::batcher::{Batcher, Bounds};
use crate::store::Store;
use crate::store::lease::{Claim, Fence, Lease};
use crate::store::open::StoreArgs;
use crate::store::room::RoomArgs;

/// Capture sources into a repository.
#[derive(Clone, Debug, clap::Args)]
pub struct BackupArgs {
    /// Where to.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which key.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What is known: an old copy of the repository is not written on.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// File with the control plane's Ed25519 key as PKCS#8 in PEM; it signs the manifest.
    #[arg(long, env = "ZHENGYUN_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: PathBuf,
    /// What.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Name of the run; the same name, attempt and sources go on where a killed process stopped.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// A higher attempt begins anew.
    #[arg(long, default_value_t = 1)]
    pub attempt: u32,
    /// Directory for the journal of runs.
    #[arg(long, env = "ZHENGYUN_STATE_DIR", value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Seconds to wait while another run holds the repository.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub lease_wait: u64,
    /// How much there is room for.
    #[command(flatten)]
    pub room: RoomArgs,
    /// Bytes of a batch, in MiB.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub batch_mib: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupReport {
    run: String,
    attempt: u32,
    /// The snapshot.
    pub snapshot: String,
    root: String,
    items: u64,
    bytes: u64,
    uploaded: u64,
    /// Bytes of everything in the repository when it was done.
    stored: u64,
    batches: usize,
    resumed_batches: usize,
    captured_at: String,
    sources: Vec<SourceRecord>,
    /// To be kept elsewhere: with it an old copy of this repository shows.
    chain: KnownHead,
    /// The head that was known before, if one was given: the chain continues it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_against: Option<KnownHead>,
}

struct Backup<'a> {
    engine: &'a mut dyn Engine,
    journal: Journal,
    label: Label,
    control: Control,
    bounds: Bounds,
    store: Store,
    fence: Fence,
    /// Names of the sources, in order.
    sources: Vec<String>,
}

/// Runs a backup to its end, or resumes one.
pub fn backup(args: &BackupArgs, runtime: &Handle, control: &Control) -> Result<BackupReport> {
    control.enter("opening");
    let args = &BackupArgs { sources: args.sources.loaded()?, ..args.clone() };
    let store = existing(&args.store, runtime)?;
    let signing = SigningKey::read("--signing-key-file", &args.signing_key_file)?;
    args.sources.check(store.directory())?;
    let run = match &args.run {
        Some(run) if run.is_empty() || run.len() > 253 || run.contains([',', '=']) => {
            return Err(WorkerError::input("--run", format!("\"{run}\" is no name"), "use letters, digits, - and ."));
        }
        Some(run) => run.clone(),
        None => HEXLOWER.encode(&random::<8>()?),
    };
    // The key is tried before the lease is taken: a wrong one writes nothing at all.
    args.keys.open(&store, Access::Read, control)?;
    // So is the chain: an old copy of the repository gets no lease either.
    let mut chain = args.trust.own(&store, &signing.public())?;
    let claim = Claim::new(run.clone(), args.attempt, Duration::from_secs(args.lease_wait));
    let lease = Lease::take(&store, &claim, chain.epoch())?;
    // Somebody may have appended between reading and taking.
    if lease.inherited || chain.last().is_some() {
        chain = args.trust.own(&store, &signing.public())?;
    }
    match under_lease(args, store, &signing, chain, run, &lease, runtime, control) {
        Ok(report) => lease.release(true).map(|()| report),
        Err(error) => {
            // What made the run fail is what counts. The next one need not wait until this one falls silent.
            let _ = lease.release(false);
            Err(error)
        }
    }
}

/// Everything that is done while the repository is ours.
#[expect(clippy::too_many_arguments, reason = "what was read before the lease was taken")]
fn under_lease(
    args: &BackupArgs,
    store: Store,
    signing: &SigningKey,
    mut chain: Chain,
    run: String,
    lease: &Lease,
    runtime: &Handle,
    control: &Control,
) -> Result<BackupReport> {
    args.room.put_in_force(&store)?;
    let mut engine = args.keys.open(&store, Access::Write(lease.fence()), control)?;
    let journal = Journal::open(
        &args.state_dir,
        &Run {
            run: run.clone(),
            attempt: args.attempt,
            store: store.location().to_owned(),
            sources: args.sources.origins(),
        },
    )?;
    if lease.inherited {
        control.enter("adopting");
        super::prune::settle(&store, &chain, &lease.fence())?;
        engine.adopt()?;
    }
    let label = Label { run, attempt: args.attempt, batch: None };
    let bounds = Bounds { bytes: args.batch_mib << 20, ..Bounds::default() };
    let (control, fence) = (control.clone(), lease.fence());
    let sources = args.sources.names();
    let mut work = Backup { engine: &mut engine, journal, label, control, bounds, store, fence, sources };
    let mut report = work.run(args, signing, &mut chain, runtime)?;
    report.held_against = args.trust.known_head()?;
    work.forget_batches()?;
    report.stored = work.store.measure()?;
    work.journal.finish()?;
    Ok(report)
}

impl Backup<'_> {
    fn run(
        &mut self,
        args: &BackupArgs,
        signing: &SigningKey,
        chain: &mut Chain,
        runtime: &Handle,
    ) -> Result<BackupReport> {
        let ours = |b: &&BackupStatement| b.run == self.label.run && b.attempt == self.label.attempt;
        if let Some(done) = chain.backups().into_iter().find(ours).cloned() {
            // Killed after the link was written: there is nothing left but to clean up. The journal may be gone; the manifest
            // says the same of the sources.
            let file = self.journal.file("manifest.jsonl");
            let snapshot = self.engine.snapshot(&done.snapshot)?;
            let proved = manifest::fetch(self.engine, &snapshot, &done, chain, &file)?;
            return Ok(self.report(&done, proved.head.sources, 0, chain));
        }
        let resumed = self.resume()?;
        let opened = args
            .sources
            .open(runtime, &self.control, &self.journal.file("spool"), |name| self.journal.progress(name))?;
        self.capture(opened, chain)?;
        let head = self.head(signing)?;
        self.control.enter("signing");
        let file = self.journal.file("manifest.jsonl");
        let sum = manifest::write(&self.journal, &head, &file)?;
        let snapshot = self.assemble(&file)?;
        self.read_back(&snapshot, &file)?;
        let statement = self.sign(signing, chain, &snapshot, &sum, &head)?;
        Ok(self.report(&statement, head.sources, resumed, chain))
    }

    /// Brings journal and repository together: a batch counts if both have it.
    fn resume(&mut self) -> Result<usize> {
        let stored = self.engine.snapshots()?;
        let is_stored = |batch: &&BatchRecord| stored.iter().any(|snapshot| snapshot.id == batch.snapshot);
        let known = self.journal.batches().iter().take_while(is_stored).count();
        self.journal.keep(known)?;
        let kept = self.journal.batches();
        // Batches that were stored but not journalled, those of other attempts, and a whole that was never signed.
        let stale: Vec<String> = stored
            .into_iter()
            .filter(|s| s.label.as_ref().is_some_and(|label| label.run == self.label.run))
            .filter(|s| !kept.iter().any(|batch| batch.snapshot == s.id))
            .map(|s| s.id)
            .collect();
        if !stale.is_empty() {
            self.engine.forget(&stale)?;
        }
        Ok(known)
    }

    fn capture(&mut self, sources: Vec<Opened>, chain: &Chain) -> Result<()> {
        self.control.enter("capturing");
        let mut before = self.before(chain);
        for Opened { name, source } in sources {
            let is_first = self.sources.first() == Some(&name);
            let with_parent = before.as_ref().filter(|_| source.has_change_times());
            let parents: Vec<String> = with_parent.map(|(snapshot, _)| snapshot.clone()).into_iter().collect();
            let batcher = Batcher::new(source, self.bounds, self.journal.progress(&name).0, is_first);
            while let Some(entries) = batcher.next_batch() {
                let ended = self.batch(&batcher, entries, &parents, before.as_mut().map(|(_, items)| items))?;
                if ended {
                    break;
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// Stores one batch and enters it in the journal.
    fn batch(
        &mut self,
        batcher: &Batcher,
        entries: impl Iterator<Item = Entry> + Send + 'static,
        parents: &[String],
        mut before: Option<&mut Before>,
    ) -> Result<bool> {
        let number = u32::try_from(self.journal.batches().len() + 1).unwrap_or(u32::MAX);
        let label = Label { batch: Some(number), ..self.label.clone() };
        let batch = self.engine.store(&label, parents, Box::new(entries), &mut |path| match &mut before {
            Some(items) => items.digest(path),
            None => Ok(None),
        })?;
        let ended = batcher.is_at_end();
        // A source that failed looks as if it were at its end.
        self.check()?;
        let mut record = batcher.record();
        let earlier = self.journal.batches().iter().rfind(|b| b.source == record.name);
        // A batch of nothing but files that vanished goes on where the one before ended.
        let last = batch.items.last().map(|item| item.path.clone()).or_else(|| path_of(&earlier?.last));
        record.continue_from(earlier.map(|b| &b.record));
        record.note_changed(&batch.changed);
        let last = last.unwrap_or_default();
        self.journal.enter(BatchRecord::new(number, batch.snapshot.id, &last, record, ended), &batch.items)?;
        Ok(ended)
    }

    fn check(&self) -> Result<()> {
        self.control.check().map_err(|error| self.control.explain(error))
    }

    /// The last backup of the same sources: what is unchanged since is not read again.
    fn before(&mut self, chain: &Chain) -> Option<(String, Before)> {
        let statement = chain.backups().into_iter().rfind(|backup| backup.sources == self.sources)?;
        let file = self.journal.file("before.jsonl");
        let fetched = self
            .engine
            .snapshot(&statement.snapshot)
            .and_then(|snapshot| manifest::fetch(self.engine, &snapshot, statement, chain, &file))
            .and_then(|proved| proved.items());
        match fetched {
            Ok(items) => Some((statement.snapshot.clone(), Before { items, ahead: None })),
            Err(error) => {
                // A damaged predecessor must not keep a new backup from being made.
                self.control.note(format!("everything is read: the backup before cannot be used: {error}"));
                self.control.take_failure();
                None
            }
        }
    }

    fn records(&self) -> Vec<SourceRecord> {
        let ended = self.journal.batches().iter().filter(|batch| batch.ended);
        ended.map(|batch| batch.record.clone()).collect()
    }

    fn head(&self, signing: &SigningKey) -> Result<Head> {
        Ok(Head {
            format: FORMAT.to_owned(),
            digest: "sha256".to_owned(),
            salt: HEXLOWER.encode(&random::<32>()?),
            signer: signing.public().text(),
            run: self.label.run.clone(),
            attempt: self.label.attempt,
            sources: self.records(),
        })
    }

    fn assemble(&mut self, file: &std::path::Path) -> Result<Snapshot> {
        self.control.enter("assembling");
        let batches: Vec<String> = self.journal.batches().iter().map(|batch| batch.snapshot.clone()).collect();
        self.engine.assemble(&self.label, &batches, file)
    }

    /// What the library stored is what was handed to it, and nothing that it refers to is missing.
    fn read_back(&mut self, snapshot: &Snapshot, file: &std::path::Path) -> Result<()> {
        self.control.enter("reading back");
        let engine = &*self.engine;
        manifest::compare(engine, snapshot, &mut Items::open(file)?, &mut |stored, item| {
            let size = engine.size_of(&stored)?;
            if size == item.size {
                return Ok(());
            }
            let part = format!("{} in snapshot {}", path_text(&item.path), snapshot.id);
            Err(WorkerError::damaged(part, format!("{size} bytes are stored of {}", item.size)))
        })?;
        match self.engine.check_files(false)?.into_iter().next() {
            None => Ok(()),
            Some(finding) => Err(WorkerError::damaged(finding.part, finding.problem)),
        }
    }

    fn sign(
        &mut self,
        signing: &SigningKey,
        chain: &mut Chain,
        snapshot: &Snapshot,
        sum: &Sum,
        head: &Head,
    ) -> Result<BackupStatement> {
        let statement = BackupStatement {
            run: self.label.run.clone(),
            attempt: self.label.attempt,
            snapshot: snapshot.id.clone(),
            tree: snapshot.tree.clone(),
            root: sum.root.clone(),
            items: sum.items,
            bytes: sum.bytes,
            captured_at: head.sources.iter().map(|s| s.captured_at.clone()).min().unwrap_or_default(),
            sources: head.sources.iter().map(|s| s.name.clone()).collect(),
            origin: None,
        };
        let mut snapshots = chain.snapshots();
        snapshots.push(snapshot.id.clone());
        let indexes = self.engine.indexes()?;
        let event = Event::Backup(Box::new(statement.clone()));
        let next = chain.next(self.fence.epoch(), event, indexes, snapshots);
        self.fence.check()?;
        chain.append(&self.store, signing, next)?;
        Ok(statement)
    }

    fn forget_batches(&mut self) -> Result<()> {
        self.control.enter("tidying");
        let mine = |s: &Snapshot| s.label.as_ref().is_some_and(|l| l.run == self.label.run && l.batch.is_some());
        let batches: Vec<String> = self.engine.snapshots()?.into_iter().filter(mine).map(|s| s.id).collect();
        if batches.is_empty() { Ok(()) } else { self.engine.forget(&batches) }
    }

    fn report(&self, s: &BackupStatement, sources: Vec<SourceRecord>, resumed: usize, chain: &Chain) -> BackupReport {
        BackupReport {
            run: s.run.clone(),
            attempt: s.attempt,
            snapshot: s.snapshot.clone(),
            root: s.root.clone(),
            items: s.items,
            bytes: s.bytes,
            uploaded: self.control.standing().uploaded,
            stored: 0,
            batches: self.journal.batches().len(),
            resumed_batches: resumed,
            captured_at: s.captured_at.clone(),
            sources,
            chain: chain.known_head(),
            held_against: None,
        }
    }
}

/// The items of the backup before, asked for in ascending order.
struct Before {
    items: Items,
    ahead: Option<crate::evidence::items::Item>,
}

impl Before {
    fn digest(&mut self, path: &std::path::Path) -> Result<Option<(u64, String)>> {
        loop {
            if self.ahead.is_none() {
                self.ahead = self.items.next().transpose()?;
            }
            let Some(item) = &self.ahead else { return Ok(None) };
            match item.path.as_path().cmp(path) {
                std::cmp::Ordering::Less => self.ahead = None,
                std::cmp::Ordering::Equal => return Ok(Some((item.size, item.digest.clone()))),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
    }
}
