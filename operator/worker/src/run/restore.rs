//! `restore`: proves a backup in every part that will be used, and only then writes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::runtime::Handle;

use super::manifest::{self, Proved};
use super::open::{KeyArgs, TrustArgs, existing};
use super::verify::{Scratch, as_finding, listed, own_objects};
use super::{restore_database, restore_files, restore_objects};
use crate::cluster::ClusterArgs;
use crate::control::Control;
use crate::database::DatabaseTargetArgs;
use crate::engine::backend::Access;
use crate::engine::{Engine, Finding, Snapshot};
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{BackupStatement, Chain};
use crate::evidence::items::{SourceKind, SourceRecord, path_text};
use crate::source::DATA_DIR;
use crate::store::Store;
use crate::store::lease::Writer;
use crate::store::open::StoreArgs;

/// How many failures the report names; the file of outcomes names all.
const MAX_FAILURES: usize = 1000;

/// Restore a source of a backup.
#[derive(Clone, Debug, clap::Args)]
pub struct RestoreArgs {
    /// From where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which key.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What is known.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Which backup, by the beginning of its snapshot's name; the last one unless given.
    #[arg(long, value_name = "SNAPSHOT")]
    pub backup: Option<String>,
    /// Which source of it; may be left out if there is one.
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Directory that receives a file tree.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["target_namespace", "target_database_file", "target_cluster_database"])]
    pub target: Option<PathBuf>,
    /// Namespace that receives the objects of one; it must exist.
    #[arg(long, value_name = "NAME", requires = "server", conflicts_with = "target")]
    pub target_namespace: Option<String>,
    /// Its API server.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// A database that receives one.
    #[command(flatten)]
    pub database: DatabaseTargetArgs,
    /// What to do about things that are there already.
    #[arg(long, value_enum, default_value_t = Existing::Fail)]
    pub existing: Existing,
    /// Restore what can be restored of a damaged backup; what cannot is named.
    #[arg(long)]
    pub despite_damage: bool,
    /// Read a file tree back at the end, and compare it with the manifest.
    #[arg(long)]
    pub compare: bool,
    /// File for the outcome of every item, a JSON object a line. It takes its place when the restore came to its end.
    #[arg(long, value_name = "FILE")]
    pub outcomes: Option<PathBuf>,
}

/// What to do about things that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Existing {
    /// Refuse a target with anything in it; a restore that was killed goes on.
    Fail,
    /// Leave them as they are.
    Skip,
    /// Replace them.
    Replace,
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It was not there and is now.
    Created,
    /// It took the place of another.
    Replaced,
    /// It was there with the same content.
    Same,
    /// Another one was there and stays.
    Skipped,
    /// It cannot be restored by its nature, such as a socket.
    LeftOut,
    /// It was not restored.
    Failed,
}

/// What came of a restore.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    /// The backup.
    pub backup: String,
    source: String,
    captured_at: String,
    target: String,
    /// Items that were created.
    pub created: u64,
    /// Items that took the place of others.
    pub replaced: u64,
    /// Items that were there with the same content.
    pub same: u64,
    /// Items whose place was taken and left.
    pub skipped: u64,
    /// Items that cannot be restored by their nature.
    pub left_out: u64,
    /// Items that were not restored.
    pub failed: u64,
    /// What failed, and why.
    pub failures: Vec<Failure>,
    /// What was restored without all of its owner, mode, times or attributes.
    pub without_meta: u64,
    /// What is wrong elsewhere in the repository.
    pub findings: Vec<Finding>,
    /// What there is to say of a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<restore_database::DatabaseReport>,
    /// What there is to say of a file tree that was looked at or compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<restore_files::FilesReport>,
}

/// An item that was not restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which.
    pub item: String,
    /// Why.
    pub cause: String,
}

/// Collects outcomes.
#[derive(Debug)]
pub struct Tally {
    report: RestoreReport,
    outcomes: Option<(PathBuf, BufWriter<File>)>,
}

impl RestoreReport {
    /// Where it went.
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl Tally {
    /// Enters the outcome of an item.
    pub fn enter(&mut self, item: &Path, outcome: Outcome, cause: Option<String>) -> Result<()> {
        let report = &mut self.report;
        let count = match outcome {
            Outcome::Created => &mut report.created,
            Outcome::Replaced => &mut report.replaced,
            Outcome::Same => &mut report.same,
            Outcome::Skipped => &mut report.skipped,
            Outcome::LeftOut => &mut report.left_out,
            Outcome::Failed => &mut report.failed,
        };
        *count += 1;
        let item = path_text(item);
        if let Some((file, writer)) = &mut self.outcomes {
            let line = serde_json::json!({ "item": item, "outcome": outcome, "cause": cause });
            writeln!(writer, "{line}").map_err(|e| WorkerError::local(&*file, e))?;
        }
        if outcome == Outcome::Failed && report.failures.len() < MAX_FAILURES {
            report.failures.push(Failure { item, cause: cause.unwrap_or_default() });
        }
        Ok(())
    }

    /// Enters what there is to say of a database.
    pub fn database(&mut self, report: restore_database::DatabaseReport) {
        self.report.database = Some(report);
    }

    /// What there is to say of a file tree.
    pub fn files(&mut self) -> &mut restore_files::FilesReport {
        self.report.files.get_or_insert_default()
    }

    /// Counts an item that lacks a part of its owner, mode, times or attributes.
    pub const fn without_meta(&mut self) {
        self.report.without_meta += 1;
    }

    fn finish(mut self) -> Result<RestoreReport> {
        if let Some((file, writer)) = &mut self.outcomes {
            let done = writer.flush().and_then(|()| std::fs::rename(staged(file), &*file));
            done.map_err(|e| WorkerError::local(&*file, e))?;
        }
        Ok(self.report)
    }
}

/// A backup that was proved.
pub(super) struct Ready<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) snapshot: Snapshot,
    pub(super) proved: Proved,
    pub(super) source: SourceRecord,
    pub(super) control: &'a Control,
    pub(super) existing: Existing,
}

impl Ready<'_> {
    /// The directory of the source in the snapshot.
    pub(super) fn top(&self) -> PathBuf {
        Path::new(DATA_DIR).join(&self.source.name)
    }
}

/// Restores one source. Items that failed are in the report; the caller decides by it.
pub fn restore(args: &RestoreArgs, runtime: &Handle, control: &Control) -> Result<RestoreReport> {
    control.enter("opening");
    let login = args.database.login(&args.cluster, runtime)?;
    let store = existing(&args.store, runtime)?;
    let engine = args.keys.open(&store, Access::Read, control)?;
    let chain = args.trust.chain(&store)?;
    let statement = select(&chain, args.backup.as_deref())?;
    control.enter("verifying");
    let scratch = Scratch::new()?;
    let snapshot = engine.snapshot(&statement.snapshot)?;
    let proved = manifest::fetch(&engine, &snapshot, statement, &chain, &scratch.file())?;
    let source = pick(&proved, args.source.as_deref())?;
    let ready = Ready { engine: &engine, snapshot, proved, source, control, existing: args.existing };
    let findings = prove(&ready, &store, &chain, args.trust.known_head_file.is_some())?;
    for finding in &findings {
        control.note(format!("{}: {}", finding.part, finding.problem));
    }
    let needed: Vec<&Finding> = findings.iter().filter(|finding| finding.needed).collect();
    if let Some(first) = needed.first()
        && !args.despite_damage
    {
        let first = format!("{}: {}", first.part, first.problem);
        return Err(WorkerError::NotIntact { findings: needed.len(), first });
    }
    let mut tally = Tally {
        report: RestoreReport {
            backup: statement.snapshot.clone(),
            source: ready.source.name.clone(),
            captured_at: ready.source.captured_at.clone(),
            target: match (&args.target, &login) {
                (Some(directory), _) => directory.display().to_string(),
                (None, Some(login)) => login.shown(),
                (None, None) => args.target_namespace.clone().unwrap_or_default(),
            },
            created: 0,
            replaced: 0,
            same: 0,
            skipped: 0,
            left_out: 0,
            failed: 0,
            failures: Vec::new(),
            without_meta: 0,
            findings,
            database: None,
            files: None,
        },
        outcomes: args.outcomes.as_ref().map(|file| create(file)).transpose()?,
    };
    let wrong = |what: &str, fix: &str| {
        WorkerError::input("--source", format!("\"{}\" is a {what}", ready.source.name), format!("give {fix} instead"))
    };
    if login.is_some() && (args.target.is_some() || args.target_namespace.is_some()) {
        return Err(WorkerError::input("--target-database-file", "is there beside another target", "give one of them"));
    }
    if args.database.dry_run && ready.source.kind == SourceKind::Namespace {
        return Err(WorkerError::input("--dry-run", "is for databases and file trees", "leave it out"));
    }
    match ready.source.kind {
        SourceKind::FileTree => {
            let target = args.target.as_ref().ok_or_else(|| wrong("file tree", "--target"))?;
            if args.database.dry_run {
                restore_files::look(&ready, target, &mut tally)?;
            } else {
                control.enter("restoring");
                restore_files::restore(&ready, target, args.compare, &mut tally)?;
            }
        }
        SourceKind::Namespace => {
            let namespace = args.target_namespace.as_ref().ok_or_else(|| wrong("namespace", "--target-namespace"))?;
            control.enter("restoring");
            restore_objects::restore(&ready, &args.cluster.connect(runtime)?, namespace, &mut tally)?;
        }
        SourceKind::Database => {
            let login = login.ok_or_else(|| wrong("database", "--target-database-file"))?;
            let to = &args.database;
            let target = restore_database::Target {
                login,
                args: &to.databases,
                without_roles: to.without_roles,
                dry_run: to.dry_run,
                resumes: to.resumes,
                writing: to.writing.as_deref(),
                scratch: to.scratch.as_ref(),
                runtime,
            };
            restore_database::restore(&ready, &target, &mut tally)?;
        }
    }
    tally.finish()
}

/// What the file of outcomes is called until the restore came to its end: one that was killed begins it anew.
fn staged(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

fn create(file: &Path) -> Result<(PathBuf, BufWriter<File>)> {
    let next = staged(file);
    let broken = |e: std::io::Error| WorkerError::local(&next, e);
    match std::fs::remove_file(&next) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(broken(error)),
        _ => {}
    }
    let open = File::create_new(&next).map_err(broken)?;
    Ok((file.to_owned(), BufWriter::new(open)))
}

fn select<'a>(chain: &'a Chain, wanted: Option<&str>) -> Result<&'a BackupStatement> {
    let mut all = chain.backups();
    let shown = wanted.unwrap_or("(the last)");
    if let Some(wanted) = wanted {
        all.retain(|backup| backup.snapshot.starts_with(wanted));
    }
    match (wanted, all.as_slice()) {
        (Some(_), [one]) | (None, [.., one]) => Ok(one),
        _ => Err(WorkerError::NoBackup { wanted: shown.to_owned() }),
    }
}

fn pick(proved: &Proved, wanted: Option<&str>) -> Result<SourceRecord> {
    let sources = &proved.head.sources;
    let names = || sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    match wanted {
        None => match sources.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(WorkerError::input("--source", "is missing", format!("name one of {}", names()))),
        },
        Some(name) => sources.iter().find(|s| s.name == name).cloned().ok_or_else(|| {
            WorkerError::input(
                "--source",
                format!("\"{name}\" is not in the backup"),
                format!("name one of {}", names()),
            )
        }),
    }
}

/// Reads every pack that will be used, and looks at the rest of the repository.
fn prove(ready: &Ready<'_>, store: &Store, chain: &Chain, is_head_known: bool) -> Result<Vec<Finding>> {
    let mut findings = own_objects(store, chain)?;
    let holder = Writer::of(store)?.holder;
    for step in [listed(ready.engine, chain, holder.as_deref(), is_head_known), ready.engine.check_files(false)] {
        match step {
            Ok(more) => findings.extend(more),
            Err(error) => findings.push(as_finding(error)?),
        }
    }
    let mut packs: BTreeSet<String> = ready.engine.packs_of_root(&ready.snapshot)?.into_iter().collect();
    let top = ready.top();
    ready.proved.compare(ready.engine, &ready.snapshot, |stored, _| {
        // The trees of other sources were read by coming here; their content is not needed.
        if stored.path.starts_with(&top) || stored.subtree.is_some() {
            packs.extend(ready.engine.packs_of(&stored)?);
        }
        Ok(())
    })?;
    for pack in &packs {
        findings.extend(ready.engine.check_pack(pack)?);
    }
    findings.extend(elsewhere(ready, &packs)?);
    Ok(findings)
}

/// Reads the packs that are not needed as well, unless they are more than those that are: then it would be them that a restore waits
/// for, and `verify` reads them.
fn elsewhere(ready: &Ready<'_>, needed: &BTreeSet<String>) -> Result<Vec<Finding>> {
    let (needed, others): (Vec<_>, Vec<_>) =
        ready.engine.packs()?.into_iter().partition(|(pack, _)| needed.contains(pack));
    let bytes = |packs: &[(String, u64)]| packs.iter().map(|(_, size)| size).sum::<u64>();
    if bytes(&others) > bytes(&needed) {
        ready.control.note(format!("{} packs that are not needed were not read; verify reads them", others.len()));
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    for (pack, _) in others {
        let found = ready.engine.check_pack(&pack)?;
        findings.extend(found.map(|finding| Finding { needed: false, ..finding }));
    }
    Ok(findings)
}
