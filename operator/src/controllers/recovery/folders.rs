//! Folders of this machine with file trees: which ones the administrator named, and where in them a source or target is.
//!
//! A path comes together from what the administrator wrote on the command line and what others wrote in custom resources, and a department
//! may put links below it. Here no link is followed, so that whoever asks is told; the process that reads or writes opens the same path
//! directory by directory and follows none either, so that nobody can exchange one meanwhile.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::FileSource;
use zhengyun_domain::recovery::files::{self, FilePlace, Folder, Known, NoPlace, Use};

use super::super::Context;
use super::order::{Refusal, refused};
use super::reach;
use crate::runtime::args::{NamedFolder, RecoveryArgs};

/// Folders by name.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// Of file trees.
    trees: BTreeMap<String, (PathBuf, Folder)>,
    /// For drills of file trees, by site.
    drills: BTreeMap<String, PathBuf>,
}

/// A file tree, and where it is on this machine.
#[derive(Clone, Debug)]
pub struct Tree {
    /// What people know of it.
    pub place: FilePlace,
    /// Absolute, and without links when it was looked at.
    pub path: String,
}

impl Folders {
    /// From the command line. None may hold, or lie in, a folder that this operator keeps for itself: its keys and other departments'
    /// repositories are there.
    ///
    /// # Errors
    /// When a folder cannot be used.
    pub fn from_args(args: &RecoveryArgs, own: &[PathBuf]) -> anyhow::Result<Self> {
        let mut all = BTreeMap::new();
        let mut drills: BTreeMap<String, PathBuf> = BTreeMap::new();
        let read = args.file_root.iter().map(|named| ("--file-root", named, false));
        let written = args.writable_file_root.iter().map(|named| ("--writable-file-root", named, true));
        for (flag, named, writable) in read.chain(written) {
            let (what, real) = usable(flag, named, own)?;
            ensure!(
                all.insert(named.name.clone(), (real, Folder { writable })).is_none(),
                "{what}: the name {} is there twice: give each folder one of its own",
                named.name
            );
        }
        for named in &args.drill_folder {
            let (what, real) = usable("--drill-folder", named, own)?;
            let mut others = all.values().map(|(root, _)| root).chain(drills.values());
            if let Some(other) = others.find(|other| other.starts_with(&real) || real.starts_with(other)) {
                bail!(
                    "{what}: it holds, or lies in, {}, which is another --drill-folder or a file root: name another folder",
                    other.display()
                );
            }
            ensure!(
                drills.insert(named.name.clone(), real).is_none(),
                "{what}: the site {} is there twice: give each site one folder",
                named.name
            );
        }
        Ok(Self { trees: all, drills })
    }

    /// The folder for drills of file trees at a site.
    pub fn for_drills(&self, site: &str) -> Option<&Path> {
        self.drills.get(site).map(PathBuf::as_path)
    }

    /// What decisions look at.
    pub fn facts(&self) -> BTreeMap<String, Folder> {
        self.trees.iter().map(|(name, (_, folder))| (name.clone(), *folder)).collect()
    }

    /// The path of a place, after a look at every folder on the way.
    ///
    /// # Errors
    /// When one of them is a link, no folder, or not there.
    pub fn path(&self, place: &FilePlace, usage: Use) -> Result<PathBuf, NoPlace> {
        let refuse = |message: String| NoPlace { field: "subpath", reason: Reason::SourceRefused, message };
        let Some((root, _)) = self.trees.get(&place.folder) else {
            return Err(refuse(format!("the folder {} is not known here any more", place.folder)));
        };
        let parts: Vec<&str> = place.below.split('/').filter(|part| !part.is_empty()).collect();
        let mut path = root.clone();
        for (at, part) in parts.iter().enumerate() {
            path.push(part);
            let said = parts.get(..=at).unwrap_or_default().join("/");
            let shown = format!("{said} in the folder {} of root {}", place.folder, place.root);
            match std::fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {}
                Ok(found) if found.is_symlink() => {
                    return Err(refuse(format!(
                        "{shown} is a symbolic link, and none is followed, wherever it leads: name the folder itself; 路径中含符号链接，不予跟随"
                    )));
                }
                Ok(_) => return Err(refuse(format!("{shown} is no folder: name one"))),
                // The last one is made by whoever restores to it.
                Err(error) if error.kind() == ErrorKind::NotFound && usage == Use::Write && at + 1 == parts.len() => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(refuse(format!("{shown} does not exist: name a folder that does, or make it")));
                }
                Err(error) => return Err(refuse(format!("{shown} cannot be opened: {error}"))),
            }
        }
        Ok(path)
    }
}

/// A folder of the command line, with what it is called and where it really is. None may hold, or lie in, a folder that this operator keeps
/// for itself.
fn usable(flag: &str, named: &NamedFolder, own: &[PathBuf]) -> anyhow::Result<(String, PathBuf)> {
    let what = format!("{flag} {}={}", named.name, named.path.display());
    let real = std::fs::canonicalize(&named.path).with_context(|| format!("{what}: name a folder that exists"))?;
    ensure!(real.is_dir(), "{what}: it is no folder");
    ensure!(real.to_str().is_some(), "{what}: its path is not UTF-8");
    ensure!(real.parent().is_some(), "{what}: the whole machine is no file tree: name a folder below /");
    if let Some(kept) = own.iter().find(|own| own.starts_with(&real) || real.starts_with(own)) {
        bail!(
            "{what}: it holds, or lies in, {}, which is --recovery-dir or a --backup-root: name another folder",
            kept.display()
        );
    }
    Ok((what, real))
}

/// The tree that a plan or restore names, or why it may not have it. `named` is the pointer to what names it, and of what that is.
pub fn tree(
    context: &Context,
    department: &str,
    from: &FileSource,
    usage: Use,
    named: (&str, &str),
) -> Result<Tree, Refusal> {
    let folders = super::of(context).map(super::Recovery::folders).cloned().unwrap_or_default();
    let known = Known { department, declared: &reach::declared(context), folders: &folders.facts() };
    let found = files::place(from, &known, usage).and_then(|place| {
        let path = folders.path(&place, usage)?;
        Ok(Tree { path: as_text(&path), place })
    });
    found.map_err(|no| refused(no.reason, format!("{}/{}{}: {}", named.0, no.field, named.1, no.message)))
}

/// Both parts are text: the root was looked at when the operator started, the rest comes from JSON.
fn as_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn named(name: &str, path: &Path) -> NamedFolder {
        NamedFolder { name: name.to_owned(), path: path.to_owned() }
    }

    fn at(below: &str) -> FilePlace {
        FilePlace {
            site: "hohhot".to_owned(),
            root: "scans".to_owned(),
            folder: "exports".to_owned(),
            below: below.to_owned(),
            subpath: below.to_owned(),
        }
    }

    #[test]
    fn a_tree_never_leaves_its_folder() {
        let dir = std::env::temp_dir().join(format!("zhengyun-folders-{}", std::process::id()));
        for folder in ["exports/there/deeper", "outside"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        std::fs::write(dir.join("exports/file"), "x").unwrap();
        symlink(dir.join("outside"), dir.join("exports/out")).unwrap();
        symlink("there", dir.join("exports/within")).unwrap();
        // A link of the administrator's own is followed once, when the operator starts.
        symlink(dir.join("exports"), dir.join("by-link")).unwrap();
        let args = RecoveryArgs { file_root: vec![named("exports", &dir.join("by-link"))], ..RecoveryArgs::default() };
        let folders = Folders::from_args(&args, &[]).unwrap();
        let real = dir.canonicalize().unwrap().join("exports");
        for good in ["", "there", "there/deeper"] {
            assert_eq!(folders.path(&at(good), Use::Read).unwrap(), real.join(good), "{good}");
        }
        for (bad, told) in [
            ("out", "symbolic link"),
            ("out/x", "symbolic link"),
            ("within", "symbolic link"),
            ("within/deeper", "symbolic link"),
            ("file", "is no folder"),
            ("new", "does not exist"),
        ] {
            let no = folders.path(&at(bad), Use::Read).unwrap_err();
            assert!(no.field == "subpath" && no.message.contains(told), "{bad}: {no:?}");
            assert!(
                !no.message.contains(dir.to_str().unwrap()),
                "the path of the machine is nobody's business: {no:?}"
            );
        }
        assert_eq!(folders.path(&at("there/new"), Use::Write).unwrap(), real.join("there/new"));
        assert!(folders.path(&at("new/newer"), Use::Write).is_err(), "one folder is made, not a path");
        assert!(folders.path(&at("out/new"), Use::Write).is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_folder_is_none_of_the_operators_own_and_has_one_name() {
        let dir = std::env::temp_dir().join(format!("zhengyun-own-folders-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("stores/finance")).unwrap();
        std::fs::create_dir_all(dir.join("exports")).unwrap();
        let own = [dir.join("stores").canonicalize().unwrap()];
        let refusal = |reads: Vec<NamedFolder>, writes: Vec<NamedFolder>| {
            let args = RecoveryArgs { file_root: reads, writable_file_root: writes, ..RecoveryArgs::default() };
            Folders::from_args(&args, &own).err().map(|error| format!("{error:#}")).unwrap_or_default()
        };
        for path in [dir.clone(), dir.join("stores"), dir.join("stores/finance")] {
            assert!(refusal(vec![named("a", &path)], vec![]).contains("--backup-root"), "{}", path.display());
        }
        let exports = dir.join("exports");
        assert!(refusal(vec![named("a", &exports)], vec![named("a", &exports)]).contains("twice"));
        assert!(refusal(vec![], vec![named("a", &dir.join("none"))]).contains("--writable-file-root a="));
        assert!(refusal(vec![named("a", Path::new("/"))], vec![]).contains("whole machine"));
        assert_eq!(refusal(vec![named("a", &exports)], vec![named("b", &exports)]), "");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
