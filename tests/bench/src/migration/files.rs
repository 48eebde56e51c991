//! A tree of files moved, and the same tree by rsync.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use zhengyun_tests::figures::Gate;

use super::worker::verb;
use crate::outcome::{Outcome, short};
use crate::program::{self, Took};
use crate::run::Run;
use crate::tree;

/// Seconds between the two readings of a source that somebody declares closed.
const QUIET: &str = "1";

pub(super) fn measure(outcome: &mut Outcome, run: &Run<'_>, files: usize) -> Result<()> {
    run.say(&format!("{files} files are made"));
    let folder = tempfile::Builder::new().prefix("zhengyun-bench-migration-").tempdir()?;
    // The mover keeps a file beside each root.
    let [source, target] = ["source", "target"].map(|side| folder.path().join(side).join("tree"));
    for root in [&source, &target] {
        std::fs::create_dir_all(root)?;
    }
    let bytes = tree::make(&source, files)?;
    run.say("the files by rsync, by the worker, and by rsync");
    let before = rsync(&source, &folder.path().join("rsync-1"))?;
    let verb = |name: &str| -> Result<Command> {
        let mut command = verb("files", name)?;
        command.arg("--source").arg(&source).arg("--target").arg(&target);
        Ok(command)
    };
    let ran = |command: &mut Command, what: &str| program::run(command)?.succeeded(what);
    let prepared = ran(&mut verb("prepare")?, "prepare of files")?;
    settled();
    let copied = ran(&mut verb("copy")?, "copy of files")?;
    let after = rsync(&source, &folder.path().join("rsync-2"))?;
    let closed = Instant::now();
    let mut freeze = verb("freeze")?;
    let frozen = ran(freeze.args(["--declared-by", "a benchmark", "--quiet-seconds", QUIET]), "freeze of files")?;
    let finished = ran(&mut verb("finish")?, "finish of files")?;
    let opened = ran(&mut verb("open")?, "open of files")?;
    let downtime = closed.elapsed().as_secs_f64();
    ensure!(finished.report()?.get("equal") == Some(&Value::Bool(true)), "the files were not found equal");
    ensure!(moved(&target)? == tree::digests(&source)?, "the files that arrived are not what was there");

    let theirs = f64::midpoint(before.wall, after.wall);
    let rate = |seconds: f64| short(bytes as f64 / 1e6 / seconds);
    outcome.figure(
        "files, rate of rsync",
        theirs / copied.wall,
        "×",
        Some(Gate::AtLeast(0.8)),
        format!(
            "copy: {} s, CPU {} s, {} MB/s, digests in it; rsync -a before and after: {} and {} s, CPU {} and {} s, {} MB/s",
            short(copied.wall),
            short(copied.cpu),
            rate(copied.wall),
            short(before.wall),
            short(after.wall),
            short(before.cpu),
            short(after.cpu),
            rate(theirs),
        ),
    );
    let verbs = [&prepared, &copied, &frozen, &finished, &opened];
    let peak = verbs.iter().map(|took| took.peak_mb).fold(0.0, f64::max);
    outcome.figure(
        "files, peak memory",
        peak,
        "MB",
        None,
        format!("of the worker; rsync {} MB", short(before.peak_mb)),
    );
    outcome.figure(
        "files, downtime",
        downtime,
        "s",
        None,
        format!(
            "declared closed, so everything is read twice before, {QUIET} s apart, and both sides after: freeze {} s, finish {} s, open {} s",
            short(frozen.wall),
            short(finished.wall),
            short(opened.wall)
        ),
    );
    Ok(())
}

/// What was written before is on the disk before the next one is measured.
fn settled() {
    rustix::fs::sync();
}

fn rsync(source: &Path, target: &Path) -> Result<Took> {
    settled();
    let mut command = Command::new("rsync");
    command.arg("-a").arg(format!("{}/", source.display())).arg(target);
    let took = program::run(&mut command).context("rsync is missing? `make deps` installs it")?.succeeded("rsync")?;
    ensure!(tree::digests(source)? == tree::digests(target)?, "rsync copied something else");
    std::fs::remove_dir_all(target)?;
    Ok(took)
}

/// Digests of what is in the target, but for the state of the migration.
fn moved(target: &Path) -> Result<std::collections::BTreeMap<std::path::PathBuf, u64>> {
    let mut all = tree::digests(target)?;
    all.retain(|path, _| !path.starts_with(".zhengyun-migration"));
    Ok(all)
}
