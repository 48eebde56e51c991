//! A repository in a directory of its own, the program, restic, and trees to compare.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest, Sha256};
use zhengyun_worker::evidence::items::path_text;

use crate::s3::{ACCESS_KEY, S3, SECRET_KEY};

/// Keys, a repository, and room for more.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    /// The server, if the repository is in a bucket; `store` leads to its files all the same.
    pub(crate) s3: Option<S3>,
}

/// Bucket of the repositories that are in one, and what their keys begin with.
const BUCKET: &str = "backup";
const PREFIX: &str = "here/finance";

impl Place {
    /// With an empty repository.
    pub(crate) fn new() -> Self {
        Self::made(None)
    }

    /// The same in a bucket of an S3 server.
    pub(crate) fn on_s3() -> Self {
        Self::made(Some(S3::start(&[BUCKET]).unwrap()))
    }

    fn made(s3: Option<S3>) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), s3 };
        // Some tests run the program as another user.
        std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if let Some(s3) = &place.s3 {
            std::os::unix::fs::symlink(s3.bucket(BUCKET).join(PREFIX), place.path("store")).unwrap();
            let credentials = serde_json::json!({ "accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY });
            std::fs::write(place.path("credentials"), credentials.to_string()).unwrap();
        }
        succeeded(&place.init().output().unwrap());
        place
    }

    /// Where the repository is, as arguments.
    pub(crate) fn at(&self, command: &mut Command) {
        match &self.s3 {
            None => {
                command.arg("--store").arg(self.path("store"));
            }
            Some(s3) => {
                command.arg("--store").arg(format!("s3://{BUCKET}/{PREFIX}")).arg("--s3-endpoint").arg(s3.endpoint());
                command.arg("--s3-allow-http").arg("--s3-credentials-file").arg(self.path("credentials"));
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn init(&self) -> Command {
        let mut command = worker("init");
        command.arg("--generate");
        self.at(&mut command);
        command.arg("--key-file").arg(self.path("key")).arg("--signing-key-file").arg(self.path("signing"));
        command.arg("--escrow-out").arg(self.path("escrow"));
        command
    }

    /// The program on the repository, with its key.
    pub(crate) fn worker(&self, command: &str) -> Command {
        let mut worker = worker(command);
        self.at(&mut worker);
        worker.arg("--key-file").arg(self.path("key"));
        worker
    }

    /// A backup of a tree.
    pub(crate) fn backup(&self, tree: &Path) -> Command {
        let mut worker = self.worker("backup");
        worker.arg("--signing-key-file").arg(self.path("signing")).arg("--state-dir").arg(self.path("state"));
        worker.arg("--files").arg(format!("tree={}", tree.display()));
        worker
    }

    pub(crate) fn restore(&self, target: &Path) -> Command {
        let mut worker = self.worker("restore");
        worker.arg("--target").arg(target);
        worker
    }

    /// restic on the repository, with the escrow password.
    pub(crate) fn restic(&self, arguments: &[&str]) -> Output {
        let mut restic = Command::new("restic");
        restic.args(["--no-cache", "--quiet", "--repo"]);
        match &self.s3 {
            None => restic.arg(self.path("store")),
            Some(s3) => restic
                .arg(format!("s3:{}/{BUCKET}/{PREFIX}", s3.endpoint()))
                .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
                .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        };
        restic.arg("--password-file").arg(self.path("escrow")).args(arguments);
        restic.output().expect("restic is missing: `make deps` installs it")
    }

    /// The independent checker finds nothing.
    pub(crate) fn restic_agrees(&self) {
        succeeded(&self.restic(&["check", "--read-data"]));
    }

    /// All files of the repository below a directory of it.
    pub(crate) fn stored(&self, below: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.path("store").join(below), &mut found);
        found.sort();
        found
    }
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        return found.push(path.to_owned());
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        collect(&entry.path(), found);
    }
}

/// The program.
pub(crate) fn worker(command: &str) -> Command {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_zhengyun-worker"));
    worker.args(["--progress", "json", command]);
    worker
}

/// The report of a command that did what it was asked.
pub(crate) fn report(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    succeeded(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// Why a command failed: the word for programs, and what people read.
pub(crate) fn refused(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it succeeded: {}", String::from_utf8_lossy(&output.stdout));
    let last = stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("no reason in: {stderr}"));
    (error["error"]["reason"].as_str().unwrap().to_owned(), error["error"]["message"].as_str().unwrap().to_owned())
}

/// How many things are in a tree that somebody else is writing.
pub(crate) fn tree_len(root: &Path) -> usize {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| 1 + if entry.file_type().is_ok_and(|k| k.is_dir()) { tree_len(&entry.path()) } else { 0 }).sum()
}

/// Everything about a tree that a restore brings back, by path.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    describe(root, root, &mut all);
    all
}

fn describe(root: &Path, path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    let kind = meta.file_type();
    let content = if kind.is_symlink() {
        format!("-> {:x?}", std::fs::read_link(path).unwrap().as_os_str().as_bytes())
    } else if kind.is_file() {
        format!("{} bytes {:x?}", meta.len(), Sha256::digest(std::fs::read(path).unwrap()).as_slice())
    } else if kind.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        for name in &names {
            describe(root, name, all);
        }
        "directory".to_owned()
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else {
        "other".to_owned()
    };
    // Which names are one file: told by the first of them.
    let links = if kind.is_file() { meta.nlink() } else { 0 };
    let attributes = if kind.is_symlink() { Vec::new() } else { attributes(path) };
    let told = format!(
        "{content} {attributes:x?} mode {:o} owner {}:{} mtime {}.{:09} links {links}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec(),
    );
    all.insert(path.strip_prefix(root).unwrap().to_owned(), told);
}

fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut list = vec![0; 4096];
    // A file system without them has none.
    let length = rustix::fs::llistxattr(path, list.as_mut_slice()).unwrap_or(0);
    let names = list[..length].split(|b| *b == 0).filter(|name| !name.is_empty());
    let mut found: Vec<_> = names
        .map(|name| {
            let mut value = vec![0; 4096];
            let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (String::from_utf8_lossy(name).into_owned(), value)
        })
        .collect();
    found.sort();
    found
}

/// Asserts that two trees are equal, and names what is not.
pub(crate) fn assert_equal(left: &Path, right: &Path) {
    assert_equal_but(left, right, &[]);
}

/// The same, but for some paths.
pub(crate) fn assert_equal_but(left: &Path, right: &Path, but: &[&str]) {
    let (left, right) = (tree(left), tree(right));
    for path in left.keys().chain(right.keys()).filter(|path| !but.iter().any(|b| *path == Path::new(b))) {
        assert_eq!(left.get(path), right.get(path), "{}", path_text(path));
    }
}

/// Writes a file of bytes that no two seeds share, which nothing can make smaller.
pub(crate) fn noise(file: &Path, seed: u64, size: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(size).collect();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, noise).unwrap();
}

/// A tree with everything that files can be.
pub(crate) fn hostile_tree(root: &Path) {
    let file = |name: &[u8], content: &[u8]| {
        let path = root.join(OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let mut random = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(3 << 20).collect();
    file(b"noise", &noise);
    file(b"empty", b"");
    file(b"deep/er/and/deeper/file", b"content");
    // A directory and a file that is next to it in bytes but not in the order of the tree.
    file(b"deep.er", b"dot");
    file(b"deep-er", b"dash");
    for name in [
        &b"new\nline"[..],
        b"tab\tbell\x07",
        b"quote\"back\\slash'`",
        b"bad\xff\xfe utf8",
        b"%41%percent",
        b" ",
        b"-rf",
        b"..\\..\\up",
        b"...",
        "政务云".as_bytes(),
        b"\x01\x7f",
        b"*?[glob]",
        b"a:b|c<d>",
        b"\\u0041\\x41",
    ] {
        file(name, name);
        file(&[b"in/", name, b"/side"].concat(), b"x");
    }
    file(&[b'n'; 255], b"longest");
    // What a restore of an earlier version, or of another backup, left behind.
    for name in [".zhengyun-restore.part", ".zhengyun-restore.part2", ".zhengyun-restore-under-way", ".spool-0#1"] {
        file(name.as_bytes(), name.as_bytes());
        file(&[b"in/", name.as_bytes()].concat(), name.as_bytes());
    }
    file(b".zhengyun-restore-0123456789abcdef.under-way", b"0");
    if let Err(error) =
        rustix::fs::setxattr(root.join("deep/er"), "user.origin", b"\0\xff", rustix::fs::XattrFlags::empty())
    {
        assert_eq!(error, rustix::io::Errno::NOTSUP);
    }
    std::fs::File::create(root.join("sparse")).unwrap().set_len(40 << 20).unwrap();
    std::os::unix::fs::symlink("../../../../etc/passwd", root.join("escape")).unwrap();
    std::os::unix::fs::symlink(OsStr::from_bytes(b"bad\xff\n"), root.join("odd-link")).unwrap();
    std::os::unix::fs::symlink("/", root.join("deep/to-root")).unwrap();
    std::fs::hard_link(root.join("noise"), root.join("deep/second-name")).unwrap();
    succeeded(&Command::new("mkfifo").arg(root.join("fifo")).output().unwrap());
    std::fs::create_dir(root.join("empty-dir")).unwrap();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("deep.er", 0o4751);
    mode("empty", 0o000);
    mode("deep/er", 0o2750);
    mode("empty-dir", 0o1777);
}
