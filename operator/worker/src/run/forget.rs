//! `forget`: takes backups out of a repository, and what unfinished runs left in it.
//!
//! First the signed link that says so, then the snapshots: what is missing without such a link was taken away by somebody else, and
//! what still stands after one is removed by the next run. Once it is signed the report says so, whatever comes after: whoever
//! asked must not go on counting on what is forgotten.

use std::collections::BTreeSet;

use serde::Serialize;
use tokio::runtime::Handle;

use super::prune::{KeepArgs, Pruned, pruned};
use super::writing::{Ours, WriteArgs, writing};
use crate::control::Control;
use crate::engine::Engine;
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{Event, KnownHead};

/// Take backups out of a repository.
#[derive(Clone, Debug, clap::Args)]
pub struct ForgetArgs {
    /// Which repository.
    #[command(flatten)]
    pub write: WriteArgs,
    /// Snapshot of a backup that is forgotten; may be given several times. One that was forgotten already is no error.
    #[arg(long = "snapshot", value_name = "SNAPSHOT")]
    pub snapshots: Vec<String>,
    /// Take out what unfinished runs left, too.
    #[arg(long)]
    pub leftovers: bool,
    /// A run that may still go on: what it left stays. May be given several times.
    #[arg(long = "keep-run", value_name = "RUN", requires = "leftovers")]
    pub keep_runs: Vec<String>,
    /// Prune afterwards.
    #[arg(long)]
    pub prune: bool,
    /// How far that goes.
    #[command(flatten)]
    pub keep: KeepArgs,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForgetReport {
    /// When the repository was looked through.
    at: String,
    /// Snapshots of backups that are forgotten: those that were asked for, and those of earlier runs.
    forgotten: Vec<String>,
    /// Snapshots that unfinished runs left and that are gone.
    leftovers: Vec<String>,
    /// Runs whose leftovers stayed.
    kept_runs: Vec<String>,
    /// Bytes of everything in the repository when it was done.
    stored: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pruned: Option<Pruned>,
    /// What kept the rest from being done after it was signed; the next run does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished: Option<Unfinished>,
    /// To be kept elsewhere: with it an old copy of this repository shows.
    chain: KnownHead,
    /// The head that was known before, if one was given: the chain continues it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_against: Option<KnownHead>,
}

/// What kept a run from its end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unfinished {
    reason: &'static str,
    message: String,
}

/// Forgets backups.
pub fn forget(args: &ForgetArgs, runtime: &Handle, control: &Control) -> Result<ForgetReport> {
    if args.snapshots.is_empty() && !args.leftovers && !args.prune {
        return Err(WorkerError::input("--snapshot", "is missing", "name what is forgotten, or give --leftovers"));
    }
    writing(&args.write, runtime, control, |ours| {
        control.enter("forgetting");
        let at = jiff::Timestamp::now().to_string();
        ours.in_force(&args.snapshots)?;
        control.check()?;
        sign_away(ours, &args.snapshots)?;
        let (tidied, unfinished) = match tidy(ours, args, control) {
            Ok(tidied) => (tidied, None),
            // Nothing was signed that somebody waits for.
            Err(error) if args.snapshots.is_empty() => return Err(error),
            Err(error) => {
                let error = control.explain(error);
                control.note(format!("what was named is forgotten, the rest is left to the next run: {error}"));
                ours.settled = false;
                (Tidied::default(), Some(Unfinished { reason: error.reason(), message: error.to_string() }))
            }
        };
        Ok(ForgetReport {
            at,
            forgotten: ours.chain.forgotten().into_iter().map(str::to_owned).collect(),
            leftovers: tidied.leftovers,
            kept_runs: args.keep_runs.clone(),
            stored: ours.store.measure()?,
            pruned: tidied.pruned,
            unfinished,
            chain: ours.chain.known_head(),
            held_against: ours.held_against.clone(),
        })
    })
}

#[derive(Debug, Default)]
struct Tidied {
    leftovers: Vec<String>,
    pruned: Option<Pruned>,
}

/// Removes what is forgotten, and what else was asked for.
fn tidy(ours: &mut Ours, args: &ForgetArgs, control: &Control) -> Result<Tidied> {
    let leftovers = if args.leftovers { leftovers(ours, &args.keep_runs)? } else { Vec::new() };
    remove(ours, &leftovers)?;
    let pruned = if args.prune { Some(pruned(ours, args.keep, control)?) } else { None };
    Ok(Tidied { leftovers, pruned })
}

/// Signs that backups are forgotten.
fn sign_away(ours: &mut Ours, wanted: &[String]) -> Result<()> {
    let (kept, gone) = (ours.chain.snapshots(), ours.chain.forgotten());
    if let Some(unknown) = wanted.iter().find(|id| !kept.contains(id) && !gone.contains(id.as_str())) {
        return Err(WorkerError::NoBackup { wanted: unknown.clone() });
    }
    let snapshots: Vec<String> = kept.iter().filter(|id| wanted.contains(id)).cloned().collect();
    if snapshots.is_empty() {
        return Ok(());
    }
    if snapshots.len() == kept.len() {
        return Err(WorkerError::input(
            "--snapshot",
            "no backup would be left in the repository",
            "keep at least one; a repository that is not needed any more is removed as a whole",
        ));
    }
    let indexes = ours.engine.indexes()?;
    ours.sign(Event::Forgotten { snapshots }, indexes)
}

/// Snapshots of ours that no link names: batches, and wholes that were never signed.
fn leftovers(ours: &Ours, keep_runs: &[String]) -> Result<Vec<String>> {
    let (kept, gone) = (ours.chain.snapshots(), ours.chain.forgotten());
    let mut found = Vec::new();
    for id in ours.engine.snapshot_names()? {
        if kept.contains(&id) || gone.contains(id.as_str()) {
            continue;
        }
        let label = ours.engine.snapshot(&id)?.label;
        // What somebody made with plain restic is not ours to remove.
        if label.is_some_and(|label| !keep_runs.contains(&label.run)) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Removes what is forgotten and still stands, and what else is given.
fn remove(ours: &mut Ours, others: &[String]) -> Result<()> {
    let gone: BTreeSet<String> = ours.chain.forgotten().into_iter().map(str::to_owned).collect();
    let standing = ours.engine.snapshot_names()?.into_iter().filter(|id| gone.contains(id));
    let doomed: Vec<String> = standing.chain(others.iter().cloned()).collect();
    if doomed.is_empty() { Ok(()) } else { ours.engine.forget(&doomed) }
}
