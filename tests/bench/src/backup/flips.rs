//! One bit after the other is flipped in a repository: a restore must refuse, and write nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use zhengyun_tests::figures::Gate;

use super::repository::Repository;
use crate::chance::Chance;
use crate::outcome::Outcome;
use crate::program;
use crate::run::Run;
use crate::tree::files_below;

const SEED: u64 = 1_000_003;
const FILES: usize = 40;

pub(super) fn measure(outcome: &mut Outcome, run: &Run<'_>, work: &Path, flips: usize) -> Result<()> {
    run.say(&format!("{flips} bits are flipped in a repository, one at a time"));
    let tree = work.join("small-tree");
    fs::create_dir_all(&tree)?;
    let mut chance = Chance::new(SEED);
    for number in 0..FILES {
        let content: Vec<u8> = (0..500).flat_map(|_| chance.below(u64::MAX).to_le_bytes()).collect();
        fs::write(tree.join(format!("file-{number}")), content)?;
    }
    let repository = Repository::create(work.join("small-repository"))?;
    let mut backup = repository.backup();
    program::run(backup.arg("--files").arg(format!("tree={}", tree.display())))?.succeeded("backup")?;
    let files = files_below(&repository.store())?;
    let total: u64 = files.iter().map(|(_, bytes)| *bytes).sum();
    let (mut refused, mut wrote, mut silent) = (0_u32, 0_u32, 0_u32);
    for flip in 0..flips {
        let mut at = chance.below(total);
        let (path, _) = files
            .iter()
            .find(|(_, bytes)| {
                let here = at < *bytes;
                if !here {
                    at -= bytes;
                }
                here
            })
            .context("a byte of the repository")?;
        let bit = chance.below(8);
        flip_bit(path, at, bit)?;
        let target = work.join(format!("flipped-{flip}"));
        let mut restore = repository.command("restore");
        restore.arg("--target").arg(&target);
        let took = program::run(&mut restore)?;
        if took.refusal().is_some() {
            refused += 1;
            wrote += u32::from(target.exists() && !files_below(&target)?.is_empty());
        } else {
            // What no restore needs, such as who held the lease, stops nothing; all that came back must be right then.
            let same = |n: usize| is_same(&tree, &target, &format!("file-{n}"));
            silent += u32::from(!(0..FILES).all(same));
        }
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        flip_bit(path, at, bit)?;
    }
    let share = f64::from(refused) / flips as f64 * 100.0;
    outcome.figure(
        "flipped bits, refused",
        share,
        "%",
        None,
        "the others hit what a restore does not need, and everything came back right",
    );
    outcome.figure(
        "flipped bits, not seen",
        silent.into(),
        "restores",
        Some(Gate::AtMost(0.0)),
        "something came back changed, without an error",
    );
    outcome.figure(
        "flipped bits, seen late",
        wrote.into(),
        "restores",
        Some(Gate::AtMost(0.0)),
        "refused after something was written",
    );
    Ok(())
}

fn is_same(tree: &Path, target: &Path, name: &str) -> bool {
    matches!((fs::read(tree.join(name)), fs::read(target.join(name))), (Ok(before), Ok(after)) if before == after)
}

fn flip_bit(path: &Path, at: u64, bit: u64) -> Result<()> {
    let mut content = fs::read(path)?;
    let place = usize::try_from(at)?;
    *content.get_mut(place).context("a byte of the file")? ^= 1 << bit;
    // Packs are written once and are read-only.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    fs::write(path, content)?;
    Ok(())
}
