//! A tree of files there and back, beside restic on the same tree in the same run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use zhengyun_tests::figures::Gate;

use super::repository::Repository;
use crate::outcome::{Outcome, short};
use crate::program::{self, Took};
use crate::run::Run;
use crate::tree::{self, digests, files_below};

/// The tree.
#[derive(Clone, Debug)]
pub(super) struct Tree<'a> {
    pub(super) root: PathBuf,
    pub(super) files: usize,
    pub(super) work: &'a Path,
}

/// Backup, the same again, and restore by both, ours first in the one and second in the other.
pub(super) fn measure(outcome: &mut Outcome, run: &Run<'_>, tree: &Tree<'_>) -> Result<()> {
    run.say(&format!("{} files are made", tree.files));
    let bytes = tree::make(&tree.root, tree.files)?;
    let repository = Repository::create(tree.work.join("files-repository"))?;
    let restic = Restic::create(tree.work)?;
    run.say("backups of the files by the worker and by restic");
    let ours = |what: &str| -> Result<Took> {
        let mut command = repository.backup();
        command.arg("--files").arg(format!("tree={}", tree.root.display()));
        program::run(&mut command)?.succeeded(what)
    };
    let first = (ours("backup of files")?, restic.backup(tree)?);
    let unchanged_theirs = restic.backup(tree)?;
    let unchanged = (ours("unchanged backup of files")?, unchanged_theirs);
    let verified = (repository.verify()?, restic.run(&["check", "--read-data"])?);
    run.say("restores of the files");
    let (back, theirs) = (tree.work.join("tree-back"), tree.work.join("tree-restic"));
    // Both prove what they wrote: the worker always does.
    let target = theirs.display().to_string();
    let restored_theirs = restic.run(&["restore", "latest", "--verify", "--target", &target])?;
    let mut restore = repository.command("restore");
    restore.arg("--target").arg(&back);
    let restored = (program::run(&mut restore)?.succeeded("restore of files")?, restored_theirs);
    ensure!(digests(&tree.root)? == digests(&back)?, "files that came back are not what was there");

    let stored = (repository.stored_mb()?, size_mb(&restic.store)?);
    for (name, (ours, theirs), gate) in [
        ("files, backup", &first, Some(Gate::AtMost(1.0))),
        ("files, unchanged", &unchanged, Some(Gate::AtMost(1.0))),
        ("files, restore", &restored, Some(Gate::AtMost(1.0))),
        ("files, verify", &verified, None),
    ] {
        let cost =
            |took: &Took| format!("{} s, CPU {} s, {} MB", short(took.wall), short(took.cpu), short(took.peak_mb));
        let what = format!("of restic's time: {} against {}", cost(ours), cost(theirs));
        outcome.figure(name, ours.wall / theirs.wall, "×", gate, what);
    }
    outcome.note(format!(
        "{} files, {} MB: stored {} MB, by restic {} MB; restic restores with --verify and checks with --read-data",
        tree.files,
        short(bytes as f64 / 1e6),
        short(stored.0),
        short(stored.1)
    ));
    Ok(())
}

struct Restic {
    store: PathBuf,
    password: PathBuf,
    cache: PathBuf,
}

impl Restic {
    fn create(work: &Path) -> Result<Self> {
        let path = |name: &str| work.join(name);
        let restic =
            Self { store: path("restic-store"), password: path("restic-password"), cache: path("restic-cache") };
        fs::write(&restic.password, "a benchmark")?;
        restic.run(&["init"])?;
        Ok(restic)
    }

    fn backup(&self, tree: &Tree<'_>) -> Result<Took> {
        self.run(&["backup", &tree.root.display().to_string()])
    }

    fn run(&self, arguments: &[&str]) -> Result<Took> {
        let mut command = Command::new("restic");
        command.arg("--repo").arg(&self.store).arg("--password-file").arg(&self.password);
        command.arg("--cache-dir").arg(&self.cache).arg("--quiet").args(arguments);
        let took = program::run(&mut command).context("restic is missing? `make deps` installs it")?;
        took.succeeded(&format!("restic {}", arguments.join(" ")))
    }
}

fn size_mb(folder: &Path) -> Result<f64> {
    Ok(files_below(folder)?.iter().map(|(_, bytes)| *bytes).sum::<u64>() as f64 / 1e6)
}
