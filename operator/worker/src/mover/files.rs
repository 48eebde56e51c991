//! A file tree: from one mounted directory to another, by repeated passes that read what changed, with digests.

mod attributes;
mod carry;
mod compare;
mod each;
mod findings;
mod follow;
mod freeze;
mod gate;
mod inventory;
mod known;
mod pass;
mod place;
mod prepare;
mod probe;
mod proof;
mod put;
mod quiet;
mod record;
mod switch;
mod walk;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::{Finding, Ticket, Told, done, told};
use crate::control::Control;
use crate::error::Result;
use crate::source::files::directory_flags;
use follow::{CompareArgs, CopyArgs, Copying};
use freeze::{FreezeArgs, ThawArgs};
use place::Sides;
use prepare::PrepareArgs;
use probe::ProbeArgs;
use switch::DropArgs;

/// What to do with a file tree.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what is in the source and what stands in the way; nothing is changed.
    Assess(AssessArgs),
    /// Make the target ready: closed, empty or ours, able to take what is in the source.
    Prepare(PrepareArgs),
    /// Copy everything, or what changed since; --follow keeps in step.
    Copy(CopyArgs),
    /// Read and compare both sides while the source is in use.
    Compare(CompareArgs),
    /// Close the source, proven or declared.
    Freeze(FreezeArgs),
    /// Under the freeze: copy the last changes, then read and compare both sides.
    Finish(Copying),
    /// Look at single files of the target while it is closed.
    Probe(ProbeArgs),
    /// Give the target to applications.
    Open(Sides),
    /// Take the target from applications, and prove it.
    Close(Sides),
    /// Open the source as it was, once the target is proved closed.
    Thaw(ThawArgs),
    /// Take away what the migration made, and with --data what it copied.
    Drop(DropArgs),
}

/// What to look at.
#[derive(Clone, Debug, Args)]
pub struct AssessArgs {
    /// In whose name.
    #[command(flatten)]
    pub ticket: Ticket,
    /// Root of the source.
    #[arg(long, value_name = "DIR")]
    pub source: PathBuf,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Assessed {
    migration: String,
    source: String,
    inventory: inventory::Inventory,
    findings: Vec<Finding>,
}

/// Carries out a verb. Some report and fail: the report says why.
pub fn carry_out(verb: Verb, control: &Control) -> Result<Told> {
    many_descriptors();
    match verb {
        Verb::Assess(args) => done(&assess(&args, control)?),
        Verb::Prepare(args) => {
            let (report, outcome) = prepare::prepare(&args, control)?;
            Ok((told(&report)?, outcome))
        }
        Verb::Copy(args) => done(&follow::copy(&args, control)?),
        Verb::Compare(args) => done(&follow::compare_now(&args, control)?),
        Verb::Freeze(args) => done(&freeze::freeze(&args, control)?),
        Verb::Finish(args) => {
            let (report, outcome) = follow::finish(&args, control)?;
            Ok((told(&report)?, outcome))
        }
        Verb::Probe(args) => done(&probe::probe(&args, control)?),
        Verb::Open(sides) => done(&switch::open(&sides, control)?),
        Verb::Close(sides) => done(&switch::close(&sides, control)?),
        Verb::Thaw(args) => done(&freeze::thaw(&args, control)?),
        Verb::Drop(args) => done(&switch::drop_all(&args, control)?),
    }
}

fn assess(args: &AssessArgs, control: &Control) -> Result<Assessed> {
    control.enter("assessing");
    let source = place::open_source(&args.source)?;
    let left_out = if place::is_mount(&source) { vec![place::LOST_FOUND] } else { Vec::new() };
    let inventory = inventory::count(&args.source, source, &left_out, None, control)?;
    let findings = findings::of_source(&inventory);
    let source = crate::evidence::items::path_text(&args.source);
    Ok(Assessed { migration: args.ticket.migration.clone(), source, inventory, findings })
}

/// Each directory of a batch is open on both sides, so as many descriptors as may be had are taken.
fn many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, small batches still do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Opens a directory below another without following links.
fn open_below(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let mut directory = rustix::fs::openat(root, c".", directory_flags(), Mode::empty())?;
    for name in path {
        directory = rustix::fs::openat(&directory, name, directory_flags(), Mode::empty())?;
    }
    Ok(directory)
}
