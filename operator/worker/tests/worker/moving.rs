//! File trees moved from one directory to another: the verbs in their order, and what each refuses.

mod following;
mod freezing;
mod kills;
mod placing;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{assert_equal, hostile_tree, noise, refused, report, succeeded, worker};

/// A source, a target, and a migration between them.
pub(crate) struct Move {
    dir: tempfile::TempDir,
    migration: &'static str,
    epoch: u64,
}

impl Move {
    /// With an empty source and no target.
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), migration: "archive", epoch: 1 };
        std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(place.source()).unwrap();
        place
    }

    /// With everything in the source that files can be.
    fn hostile() -> Self {
        let place = Self::new();
        hostile_tree(&place.source());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn source(&self) -> PathBuf {
        self.path("source")
    }

    fn target(&self) -> PathBuf {
        self.path("target")
    }

    fn state(&self) -> PathBuf {
        self.target().join(".zhengyun-migration")
    }

    fn beside(&self) -> PathBuf {
        self.path(".zhengyun-migration-source")
    }

    fn record(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.state().join("fence.json")).unwrap()).unwrap()
    }

    fn verb(&self, verb: &str) -> Command {
        self.between(verb, &self.source(), &self.target())
    }

    fn between(&self, verb: &str, source: &Path, target: &Path) -> Command {
        let mut worker = worker("move");
        worker.args(["files", verb, "--migration", self.migration, "--epoch", &self.epoch.to_string()]);
        worker.arg("--source").arg(source);
        if verb != "assess" {
            worker.arg("--target").arg(target);
        }
        worker
    }

    /// Somebody declares the source stopped.
    fn freeze(&self) -> Command {
        let mut freeze = self.verb("freeze");
        freeze.args(["--declared-by", "Li Lei", "--quiet-seconds", "1"]);
        freeze
    }

    /// Prepared and copied.
    fn copied(&self) -> Value {
        report(&mut self.verb("prepare"));
        report(&mut self.verb("copy"))
    }

    /// Copied, frozen and found equal.
    fn finished(&self) {
        self.copied();
        report(&mut self.freeze());
        report(&mut self.verb("finish"));
    }

    /// Passes until one has nothing to do: what changed a moment before a pass is read once more.
    fn settled(&self) -> Value {
        for _ in 0..50 {
            let copied = report(&mut self.verb("copy"));
            if copied["copied"] == 0 {
                return copied;
            }
        }
        panic!("it does not come to rest");
    }

    /// Both trees are the same but for the state of the migration.
    /// Nothing of the migration is left but its record, and the target is what the source is, its root too.
    fn assert_dropped(&self) {
        assert!(!self.beside().exists());
        let mut left: Vec<_> =
            std::fs::read_dir(self.state()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["fence.json", "record.lock", "work.lock"]);
        assert_eq!((&self.record()["dropped"], &self.record()["prepared"]), (&true.into(), &false.into()));
        let root = std::fs::File::open(self.target()).unwrap();
        let modified = root.metadata().unwrap().modified().unwrap();
        let aside = self.path("aside");
        std::fs::rename(self.state(), &aside).unwrap();
        root.set_modified(modified).unwrap();
        assert_equal(&self.source(), &self.target());
        std::fs::rename(aside, self.state()).unwrap();
    }

    fn assert_moved(&self) {
        let aside = self.path("aside");
        std::fs::rename(self.state(), &aside).unwrap();
        let times = std::fs::metadata(self.source()).unwrap();
        let root = std::fs::File::open(self.target()).unwrap();
        // The root is as `open` left it but for this.
        root.set_modified(times.modified().unwrap()).unwrap();
        let closed = root.metadata().unwrap().permissions();
        root.set_permissions(times.permissions()).unwrap();
        std::os::unix::fs::fchown(&root, Some(uid(&times).0), Some(uid(&times).1)).unwrap();
        assert_equal(&self.source(), &self.target());
        root.set_permissions(closed).unwrap();
        std::fs::rename(aside, self.state()).unwrap();
    }
}

fn uid(meta: &std::fs::Metadata) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    (meta.uid(), meta.gid())
}

fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn a_tree_with_everything_is_moved_and_nothing_of_the_migration_stays() {
    let place = Move::hostile();
    std::fs::set_permissions(place.source(), std::fs::Permissions::from_mode(0o2755)).unwrap();
    let assessed = report(&mut place.verb("assess"));
    for code in ["LinkLeadsOut", "NameNotUtf8", "Fifo", "SetUserId", "HardLink"] {
        assert!(codes(&assessed).contains(&code), "{code}: {assessed:#}");
    }
    assert!(!place.target().exists(), "assessing writes nothing");
    let prepared = report(&mut place.verb("prepare"));
    assert_eq!((&prepared["prepared"], &prepared["state"]), (&true.into(), &"following".into()), "{prepared:#}");
    assert!(place.beside().exists());
    let copied = report(&mut place.verb("copy"));
    assert_eq!(copied["changedWhileReadTotal"], 0, "{copied:#}");
    place.assert_moved();
    let blocks = std::os::unix::fs::MetadataExt::blocks(&place.target().join("sparse").metadata().unwrap());
    assert_eq!(blocks, 0, "holes stay holes");
    let compared = report(&mut place.verb("compare"));
    assert_eq!(compared["equal"], true, "{compared:#}");
    let frozen = report(&mut place.freeze());
    assert_eq!((&frozen["strength"], &frozen["declaredBy"]), (&"Declared".into(), &"Li Lei".into()), "{frozen:#}");
    let finished = report(&mut place.verb("finish"));
    assert_eq!(finished["equal"], true, "{finished:#}");
    assert_eq!(finished["sourceDigest"], finished["targetDigest"]);
    let opened = report(&mut place.verb("open"));
    assert_eq!((&opened["state"], &opened["digest"]), (&"open".into(), &finished["sourceDigest"]), "{opened:#}");
    assert_eq!(report(&mut place.verb("open"))["state"], "open", "it may be said again");
    let dropped = report(&mut place.verb("drop"));
    assert!(dropped["stays"].to_string().contains("its record"), "{dropped:#}");
    place.assert_dropped();
    assert_eq!(report(&mut place.verb("drop"))["removed"], serde_json::json!([]), "it may be said again");
}

#[test]
fn finishing_refuses_by_name_what_is_not_equal() {
    let place = Move::hostile();
    place.copied();
    report(&mut place.freeze());
    // The same size and time, another content, in the same file: no look at it tells.
    let file = place.target().join("deep-er");
    let modified = file.metadata().unwrap().modified().unwrap();
    std::fs::write(&file, "DASH").unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    let (reason, message) = refused(&mut place.verb("finish"));
    assert_eq!(reason, "NotEqual", "{message}");
    assert!(message.contains("deep-er: content"), "{message}");
    let output = place.verb("finish").output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["equal"], &told["different"]), (&false.into(), &1.into()), "{told:#}");
    let (reason, _) = refused(&mut place.verb("open"));
    assert_eq!(reason, "NotFinished");
}

#[test]
fn comparing_tells_what_was_written_meanwhile_from_what_is_wrong() {
    let place = Move::hostile();
    place.copied();
    std::fs::write(place.source().join("deep.er"), "written since").unwrap();
    std::fs::write(place.source().join("new"), "new").unwrap();
    std::fs::remove_file(place.source().join("empty")).unwrap();
    std::fs::write(place.target().join("deep-er"), "tampered").unwrap();
    std::fs::write(place.target().join("stray"), "stray").unwrap();
    let compared = report(&mut place.verb("compare"));
    assert_eq!(compared["equal"], false);
    assert_eq!(compared["changed"], serde_json::json!(["deep.er", "empty", "new"]), "{compared:#}");
    let different: Vec<_> = compared["differences"].as_array().unwrap().iter().map(|d| &d["path"]).collect();
    assert_eq!(different, ["deep-er", "stray"], "{compared:#}");
    place.settled();
    assert_eq!(report(&mut place.verb("compare"))["equal"], true);
}

#[test]
fn an_ordinary_user_moves_what_is_its_own() {
    let place = Move::new();
    noise(&place.source().join("sub/file"), 1, 100_000);
    std::os::unix::fs::symlink("sub/file", place.source().join("link")).unwrap();
    std::fs::set_permissions(place.source().join("sub"), std::fs::Permissions::from_mode(0o500)).unwrap();
    let program = place.path("program");
    std::fs::copy(worker("move").get_program(), &program).unwrap();
    succeeded(&Command::new("chown").args(["-R", "65534:65534"]).arg(place.path("")).output().unwrap());
    let as_nobody = |mut verb: Command| {
        if rustix::process::geteuid().is_root() {
            let mut other = Command::new(&program);
            other.args(verb.get_args());
            std::os::unix::process::CommandExt::uid(&mut other, 65534);
            std::os::unix::process::CommandExt::gid(&mut other, 65534);
            verb = other;
        }
        verb
    };
    // What is another's cannot be given its owner.
    if rustix::process::geteuid().is_root() {
        std::fs::write(place.source().join("another's"), "x").unwrap();
        let (reason, message) = refused(&mut as_nobody(place.verb("prepare")));
        assert_eq!(reason, "FindingsBlock", "{message}");
        let (reason, _) = refused(&mut as_nobody(place.verb("copy")));
        assert_eq!(reason, "NotPrepared");
        let mut accepted = as_nobody(place.verb("prepare"));
        report(accepted.args(["--accept", "OwnersNotCarried"]));
    } else {
        report(&mut as_nobody(place.verb("prepare")));
    }
    report(&mut as_nobody(place.verb("copy")));
    report(&mut as_nobody(place.freeze()));
    let finished = report(&mut as_nobody(place.verb("finish")));
    assert!(finished["notCompared"].as_array().unwrap().contains(&"owners".into()), "{finished:#}");
    report(&mut as_nobody(place.verb("open")));
    assert_eq!(std::fs::read(place.target().join("another's")).ok().is_some(), rustix::process::geteuid().is_root());
    // Again, into a directory whose mode forbids it.
    assert_eq!(std::fs::metadata(place.target().join("sub")).unwrap().permissions().mode() & 0o777, 0o500);
}

#[test]
fn assessing_names_what_stands_in_the_way() {
    let place = Move::hostile();
    std::fs::hard_link(place.source().join("deep-er"), place.path("outside")).unwrap();
    std::fs::create_dir(place.source().join("Case")).unwrap();
    std::fs::write(place.source().join("case"), "x").unwrap();
    let assessed = report(&mut place.verb("assess"));
    let inventory = &assessed["inventory"];
    assert_eq!(inventory["hardLinksOutside"]["first"], serde_json::json!(["deep-er"]), "{assessed:#}");
    assert_eq!((&inventory["namesByCase"]["count"], &inventory["fifos"]["count"]), (&1.into(), &1.into()));
    assert_eq!(inventory["biggest"]["path"], "sparse");
    assert_eq!(inventory["hardLinks"]["count"], 1);
    assert_eq!(inventory["linksOutside"]["count"], 2, "{assessed:#}");
    let severities: Vec<_> = assessed["findings"].as_array().unwrap().iter().map(|f| f["severity"].clone()).collect();
    assert!(!severities.contains(&"Blocking".into()), "{assessed:#}");
    // What cannot be opened by whoever runs it.
    if rustix::process::geteuid().is_root() {
        let program = place.path("program");
        std::fs::copy(worker("move").get_program(), &program).unwrap();
        let mut assess = Command::new(&program);
        assess.args(place.verb("assess").get_args());
        std::os::unix::process::CommandExt::uid(&mut assess, 65534);
        let assessed = report(&mut assess);
        assert_eq!(codes(&assessed)[0], "Unreadable", "{assessed:#}");
        assert!(assessed["findings"][0]["evidence"].as_str().unwrap().contains("empty"), "{assessed:#}");
    }
}
