//! File trees: folders that the operator was started with, declared by an administrator, backed up, destroyed and brought back; and every
//! way out of them refused.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zhengyun_crds::grant::ZeroProof;
use zhengyun_crds::recovery::{
    BackupPhase, Consistency, DrillPhase, RecoveryDrillStatus, RestorePhase, SystemRestoreStatus,
};
use zhengyun_crds::{RecoveryPlan, Site};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::said;
use zhengyun_tests::world;

use super::ground::{CLERK, DEPARTMENT, Ground, NAMESPACE, PATIENCE};

const PLAN: &str = "trees";
/// Files in the tree, beside those with odd names.
const FILES: usize = 300;

/// What there is to say of something in a tree: kind, mode, time, content.
type Tree = BTreeMap<PathBuf, (String, u32, (i64, i64), Vec<u8>)>;

/// An operator that was not started with the folder says so on the plan and on every run, with the fix.
pub(crate) async fn without_a_folder(ground: &Ground) -> Result<()> {
    let stage = Stage { ground };
    stage.declare().await?;
    let plan = stage.plan_says("--file-root exports=PATH").await?;
    ensure!(plan.contains("ActionNotAvailable"), "{plan}");
    stage.backup_fails("without-a-folder", "ActionNotAvailable", "--file-root exports=PATH").await
}

pub(crate) async fn protected(ground: &Ground) -> Result<()> {
    let stage = Stage { ground };
    make_tree(&stage.scans())?;
    fs::create_dir_all(stage.exports().join("emergency"))?;
    fs::write(stage.exports().join("emergency/precious"), "theirs")?;
    stage.ways_out_are_refused().await?;
    stage.comes_back_in_another_folder().await?;
    stage.ways_out_of_a_restore_are_refused().await?;
    stage.comes_back_where_it_was().await?;
    stage.is_tried_in_drills().await
}

struct Stage<'a> {
    ground: &'a Ground,
}

fn files(root: &str, subpath: &str) -> Value {
    json!({ "site": "hohhot", "root": root, "subpath": subpath })
}

fn source(root: &str, subpath: &str) -> Value {
    json!([{ "name": "scans", "origin": { "files": files(root, subpath) } }])
}

impl Stage<'_> {
    fn exports(&self) -> PathBuf {
        self.ground.folder("exports")
    }

    fn returns(&self) -> PathBuf {
        self.ground.folder("returns")
    }

    fn scans(&self) -> PathBuf {
        self.exports().join("finance/scans")
    }

    /// What the administrator declares, and what the department plans.
    async fn declare(&self) -> Result<()> {
        let admin = self.ground.town.client_of("cloud-admin")?;
        let declared = json!({ "spec": { "externalSources": { "fileRoots": [
            { "name": "scans", "department": DEPARTMENT, "folder": "exports", "subpath": "finance" },
            { "name": "returns", "department": DEPARTMENT, "folder": "returns" },
            { "name": "theirs", "department": "emergency", "folder": "exports", "subpath": "emergency" },
        ] } } });
        let sites: Api<Site> = Api::all(admin);
        sites.patch("hohhot", &PatchParams::default(), &Patch::Merge(&declared)).await?;
        let plan = serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan",
            "metadata": { "name": PLAN, "namespace": NAMESPACE },
            "spec": {
                "system": "finance-e-invoice", "level": 1, "ceiling": "10Gi", "sources": source("scans", "scans"),
                "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 }, "copies": [{ "store": "hohhot-1" }],
                "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-finance" }
            }
        }))?;
        world::apply(&self.ground.town.client_of(CLERK)?, &[plan]).await
    }

    async fn plan_says(&self, wanted: &str) -> Result<String> {
        let api: Api<RecoveryPlan> = Api::namespaced(self.ground.town.client_of(CLERK)?, NAMESPACE);
        settled(&format!("the plan says {wanted}"), PATIENCE, || async {
            let seen = said(&api.get(PLAN).await?.status.unwrap_or_default().conditions);
            Ok(if seen.contains(wanted) { Ok(seen) } else { Err(seen) })
        })
        .await
    }

    async fn protect(&self, root: &str, subpath: &str) -> Result<()> {
        let api: Api<RecoveryPlan> = Api::namespaced(self.ground.town.client_of(CLERK)?, NAMESPACE);
        let change = json!({ "spec": { "sources": source(root, subpath) } });
        api.patch(PLAN, &PatchParams::default(), &Patch::Merge(&change)).await?;
        Ok(())
    }

    async fn backup_fails(&self, name: &str, reason: &str, told: &str) -> Result<()> {
        self.ground.ask_backup_of(PLAN, name).await?;
        let failure = self.ground.backup_ends(name, BackupPhase::Failed).await?.failure.context("it says why")?;
        ensure!(failure.reason == reason && failure.message.contains(told), "{name}: {failure:?}");
        let folder = self.ground.folder("").display().to_string();
        ensure!(!failure.message.contains(&folder), "the path of the machine is nobody's business: {failure:?}");
        Ok(())
    }

    async fn ways_out_are_refused(&self) -> Result<()> {
        let outside = self.ground.folder("outside");
        fs::create_dir_all(&outside)?;
        fs::write(outside.join("secret"), "not theirs")?;
        symlink(&outside, self.exports().join("finance/out"))?;
        for (name, root, subpath, told) in [
            ("by-link", "scans", "out", "finance/out in the folder exports of root scans is a symbolic link"),
            ("unknown-root", "nothing", "", "declares no file root nothing for department finance"),
            ("another-departments", "theirs", "", "declares no file root theirs for department finance"),
        ] {
            self.protect(root, subpath).await?;
            self.backup_fails(name, "SourceRefused", told).await?;
        }
        for subpath in ["..", "a/../../emergency", "/etc"] {
            match self.protect("scans", subpath).await {
                Err(error) if error.to_string().contains("subpath must lie below the root") => {}
                other => bail!("{subpath} as a path below a root: {other:?}"),
            }
        }
        self.protect("scans", "scans").await
    }

    async fn comes_back_in_another_folder(&self) -> Result<()> {
        let before = tree(&self.scans())?;
        self.ground.ask_backup_of(PLAN, "trees").await?;
        let status = self.ground.backup_ends("trees", BackupPhase::Completed).await?;
        let captured = &status.sources[0];
        ensure!(captured.consistency == Some(Consistency::PerFile) && captured.changed_count == 0, "{captured:?}");
        ensure!(
            usize::try_from(captured.objects).is_ok_and(|all| all >= before.len()),
            "{captured:?}, there were {}",
            before.len()
        );
        fs::remove_dir_all(self.scans())?;
        // Where it came from is for reading alone.
        let kept = self.restore("to-exports", "trees", None, "Fail", None).await?;
        refused(&kept, "ActionNotAvailable", "--writable-file-root exports")?;
        let new = Some(files("returns", "new"));
        let planned = self.restore("tree-plan", "trees", None, "Fail", new.clone()).await?;
        ensure!(planned.phase == Some(RestorePhase::Planned), "{:?}", planned.failure);
        let counts = planned.planned.clone().unwrap_or_default();
        ensure!(usize::try_from(counts.created) == Ok(before.len()) && counts.conflicts == 0, "{counts:?}");
        ensure!(!self.returns().join("new").exists(), "a plan writes nothing");
        let other = format!("sha256:{}", "0".repeat(64));
        let changed = self.restore("tree-other", "trees", Some(&other), "Fail", new.clone()).await?;
        refused(&changed, "PlanChanged", "plan again")?;
        ensure!(!self.returns().join("new").exists(), "another plan than the agreed one writes nothing");
        let digest = planned.plan_digest.context("a plan has a digest")?;
        let done = self.restore("tree", "trees", Some(&digest), "Fail", new.clone()).await?;
        ensure!(done.phase == Some(RestorePhase::Completed), "{:?} {:?}", done.failure, done.failures);
        same(&tree(&self.returns().join("new"))?, &before)?;
        // One file that differs is in the way, and only a policy that says so replaces it.
        let file = self.returns().join("new/d1/file-001");
        fs::write(&file, "changed")?;
        let blocked = self.restore("tree-blocked", "trees", None, "Fail", new.clone()).await?;
        ensure!(blocked.failures.first().is_some_and(|f| f.message.contains("not empty")), "{:?}", blocked.failures);
        let digest = blocked.plan_digest.unwrap_or_default();
        let stopped = self.restore("tree-stopped", "trees", Some(&digest), "Fail", new.clone()).await?;
        refused(&stopped, "TargetConflict", "not empty")?;
        ensure!(fs::read(&file)? == b"changed", "what was refused wrote something");
        let replacing = self.restore("tree-replacing", "trees", None, "Replace", new.clone()).await?;
        let digest = replacing.plan_digest.unwrap_or_default();
        let replaced = self.restore("tree-replace", "trees", Some(&digest), "Replace", new).await?;
        ensure!(replaced.phase == Some(RestorePhase::Completed), "{:?} {:?}", replaced.failure, replaced.failures);
        same(&tree(&self.returns().join("new"))?, &before)
    }

    async fn ways_out_of_a_restore_are_refused(&self) -> Result<()> {
        let outside = self.ground.folder("outside");
        symlink(&outside, self.returns().join("out"))?;
        for (name, to, reason, told) in [
            ("through-a-link", files("returns", "out/new"), "SourceRefused", "symbolic link"),
            ("onto-a-link", files("returns", "out"), "SourceRefused", "symbolic link"),
            ("to-theirs", files("theirs", ""), "SourceRefused", "declares no file root theirs"),
            ("to-a-path", files("returns", "a/b/c"), "SourceRefused", "does not exist"),
        ] {
            refused(&self.restore(name, "trees", None, "Replace", Some(to)).await?, reason, told)?;
        }
        match self.restore("upwards", "trees", None, "Fail", Some(files("returns", "../stores"))).await {
            Err(error) if error.to_string().contains("subpath must lie below the root") => {}
            other => bail!("a restore upwards: {other:?}"),
        }
        let left: Vec<_> =
            fs::read_dir(&outside)?.map(|entry| entry.map(|e| e.file_name())).collect::<Result<_, _>>()?;
        ensure!(left == ["secret"], "{left:?}");
        ensure!(fs::read(self.exports().join("emergency/precious"))? == b"theirs");
        Ok(())
    }

    async fn comes_back_where_it_was(&self) -> Result<()> {
        let place = self.returns().join("new");
        let before = tree(&place)?;
        self.protect("returns", "new").await?;
        self.ground.ask_backup_of(PLAN, "trees-again").await?;
        self.ground.backup_ends("trees-again", BackupPhase::Completed).await?;
        fs::remove_dir_all(&place)?;
        let planned = self.restore("tree-home-plan", "trees-again", None, "Fail", None).await?;
        let digest = planned.plan_digest.with_context(|| format!("{:?}", planned.failure))?;
        let done = self.restore("tree-home", "trees-again", Some(&digest), "Fail", None).await?;
        ensure!(done.phase == Some(RestorePhase::Completed), "{:?} {:?}", done.failure, done.failures);
        same(&tree(&place)?, &before)
    }

    /// Alone, and beside a namespace; where nobody named a folder it is not tried. Nothing is left.
    async fn is_tried_in_drills(&self) -> Result<()> {
        let files = i64::try_from(tree(&self.returns().join("new"))?.len())?;
        // The root of a tree is no item of it.
        let files = files - 1;
        let alone = self.drill("tree-drill", "ulanqab", DrillPhase::Passed).await?;
        let coverage = alone.coverage.clone().context("what passed was compared")?;
        ensure!(coverage.objects_compared == files && coverage.objects_total == files, "{coverage:?} of {files}");
        ensure!(coverage.bytes_total > 100_000 && coverage.bytes_compared == coverage.bytes_total, "{coverage:?}");
        ensure!(
            alone.measured_rto.is_some() && alone.parts[0].scratch.is_none() && alone.folder.is_some(),
            "{alone:?}"
        );
        let unnamed = self.drill("tree-drill-nowhere", "hohhot", DrillPhase::Failed).await?;
        let told = unnamed.failure.clone().unwrap_or_default();
        ensure!(told.reason == "ActionNotAvailable" && told.message.contains("--drill-folder hohhot=PATH"), "{told:?}");

        let api: Api<RecoveryPlan> = Api::namespaced(self.ground.town.client_of(CLERK)?, NAMESPACE);
        let both = json!([source("returns", "new")[0],
            { "name": "space", "origin": { "namespace": { "grant": self.ground.home_grant() } } }]);
        api.patch(PLAN, &PatchParams::default(), &Patch::Merge(&json!({ "spec": { "sources": both } }))).await?;
        self.ground.ask_backup_of(PLAN, "tree-and-space").await?;
        self.ground.backup_ends("tree-and-space", BackupPhase::Completed).await?;
        let whole = self.drill("tree-and-space-drill", "ulanqab", DrillPhase::Passed).await?;
        let parts: Vec<(&str, bool)> =
            whole.parts.iter().map(|part| (part.source.as_str(), part.restored_at.is_some())).collect();
        ensure!(parts == [("space", true), ("scans", true)], "{parts:?}");
        let coverage = whole.coverage.clone().context("what passed was compared")?;
        ensure!(coverage.objects_total > files && coverage.objects_delivered > 0, "{coverage:?}");
        ensure!(coverage.objects_compared == coverage.objects_total, "{coverage:?}");
        ensure!(whole.parts[0].scratch.is_some() && whole.attempt == 2, "a process for each part: {whole:?}");
        let proof = whole.zero_proof.clone().context("zero was proven")?;
        ensure!(proof.checks.iter().any(|check| check.starts_with("Namespace zy-drill-")), "{proof:?}");
        self.ground.nothing_is_left().await
    }

    async fn drill(&self, name: &str, site: &str, wanted: DrillPhase) -> Result<RecoveryDrillStatus> {
        self.ground.ask_drill_of(PLAN, site, name).await?;
        let status = self.ground.drill_ends(name, wanted).await?;
        if wanted == DrillPhase::Passed {
            self.ground.is_signed(&status).await?;
        }
        let proven = |proof: &ZeroProof| proof.checks.iter().any(|check| check.contains("not found"));
        ensure!(status.folder.is_none() || status.zero_proof.as_ref().is_some_and(proven), "{:?}", status.zero_proof);
        let left: Vec<_> = fs::read_dir(self.ground.folder("drills"))?.collect();
        ensure!(left.is_empty(), "{left:?} is left of drill {name}");
        Ok(status)
    }

    async fn restore(
        &self,
        name: &str,
        backup: &str,
        digest: Option<&str>,
        existing: &str,
        to: Option<Value>,
    ) -> Result<SystemRestoreStatus> {
        let mode = if digest.is_some() { "Execute" } else { "Plan" };
        let mut spec = json!({ "backup": backup, "mode": mode, "existing": existing, "requestedBy": CLERK });
        if let Some(digest) = digest {
            spec["planDigest"] = json!(digest);
        }
        if let Some(files) = to {
            spec["redirects"] = json!([{ "source": "scans", "files": files }]);
        }
        self.ground.restore_as(name, spec).await
    }
}

fn refused(status: &SystemRestoreStatus, reason: &str, told: &str) -> Result<()> {
    ensure!(status.phase == Some(RestorePhase::Refused), "{:?}: {:?}", status.phase, status.failure);
    let failure = status.failure.clone().unwrap_or_default();
    ensure!(failure.reason == reason && failure.message.contains(told), "{failure:?}");
    Ok(())
}

/// A tree with many files and with names that nobody expects.
fn make_tree(root: &Path) -> Result<()> {
    for number in 0..FILES {
        let folder = root.join(format!("d{}", number % 7));
        fs::create_dir_all(&folder)?;
        let content: Vec<u8> =
            (0..number * 37 % 4_000).map(|n| u8::try_from((n * 31 + number) % 251).unwrap()).collect();
        fs::write(folder.join(format!("file-{number:03}")), content)?;
    }
    let long = [b'n'; 255];
    for name in [
        &b"new\nline"[..],
        b"bad\xff\xfe utf8",
        b"..\\..\\up",
        b"...",
        b"-rf",
        b" ",
        b"%41%percent",
        b"a=b:c",
        "政务云".as_bytes(),
        &long,
    ] {
        fs::write(root.join(OsStr::from_bytes(name)), name)?;
        fs::create_dir_all(root.join("in").join(OsStr::from_bytes(name)))?;
        fs::write(root.join("in").join(OsStr::from_bytes(name)).join("side"), "x")?;
    }
    // Links are kept as links, wherever they lead; nobody follows them.
    symlink("../../../../../etc/passwd", root.join("escape"))?;
    symlink("/", root.join("in/to-root"))?;
    fs::hard_link(root.join("d1/file-001"), root.join("in/second-name"))?;
    fs::set_permissions(root.join("d2"), fs::Permissions::from_mode(0o2750))?;
    fs::set_permissions(root.join("d1/file-008"), fs::Permissions::from_mode(0o640))?;
    Ok(())
}

/// Everything in a tree, as somebody else than the product compares it.
fn tree(root: &Path) -> Result<Tree> {
    let mut found = Tree::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path)?;
        let (kind, content) = if meta.is_symlink() {
            ("link", fs::read_link(&path)?.as_os_str().as_bytes().to_vec())
        } else if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
            ("directory", Vec::new())
        } else {
            ("file", fs::read(&path)?)
        };
        let links = if meta.is_file() { meta.nlink() } else { 0 };
        let told = (
            format!("{kind} {links} {}:{}", meta.uid(), meta.gid()),
            meta.mode(),
            (meta.mtime(), meta.mtime_nsec()),
            content,
        );
        found.insert(path.strip_prefix(root)?.to_owned(), told);
    }
    Ok(found)
}

fn same(found: &Tree, wanted: &Tree) -> Result<()> {
    for (path, told) in wanted {
        ensure!(found.get(path) == Some(told), "{}: {:?}, was {told:?}", path.display(), found.get(path));
    }
    ensure!(found.len() == wanted.len(), "{} are there, there were {}", found.len(), wanted.len());
    Ok(())
}
