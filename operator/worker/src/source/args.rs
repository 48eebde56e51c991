//! From arguments to sources.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::runtime::Handle;

use super::Source;
use super::files::FileTree;
use super::namespace::{Namespace, Wanted};
use crate::cluster::{ClusterArgs, check_namespace};
use crate::control::Control;
use crate::error::{Result, WorkerError};

/// What is captured.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SourceArgs {
    /// A directory tree, under a name of your choice; may be given several times.
    #[arg(long, value_name = "NAME=DIR", required_unless_present = "namespace")]
    pub files: Vec<Named>,
    /// The objects of a namespace, under a name of your choice; may be given several times.
    #[arg(long, value_name = "NAME=NAMESPACE", requires = "server")]
    pub namespace: Vec<Named>,
    /// PersistentVolumeClaims whose data another source of this run covers; others are reported.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub volumes_covered: Vec<String>,
    /// API server of the namespaces.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    name: String,
    origin: String,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, origin) = text.split_once('=').ok_or("write NAME=VALUE")?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_name = !name.is_empty() && name.len() <= 63 && name.bytes().all(plain) && !name.starts_with('-');
        if !is_name {
            return Err(format!("the name \"{name}\" may have lower case letters, digits and -, at most 63"));
        }
        if origin.is_empty() {
            return Err("the value after = is missing".to_owned());
        }
        Ok(Self { name: name.to_owned(), origin: origin.to_owned() })
    }
}

/// A source that is open.
pub struct Opened {
    /// Its name.
    pub name: String,
    /// The source.
    pub source: Box<dyn Source>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SourceArgs {
    fn all(&self) -> Vec<(&Named, &'static str)> {
        let files = self.files.iter().map(|named| (named, FILES));
        let mut all: Vec<_> = files.chain(self.namespace.iter().map(|named| (named, NAMESPACE))).collect();
        all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        all
    }

    /// The names in order.
    pub fn names(&self) -> Vec<String> {
        self.all().into_iter().map(|(named, _)| named.name.clone()).collect()
    }

    /// Names, kinds and origins in order.
    pub fn origins(&self) -> Vec<String> {
        self.all().into_iter().map(|(named, kind)| format!("{} {kind} {}", named.name, named.origin)).collect()
    }

    /// Refuses a name that is there twice, a tree that holds the store, and what is no namespace.
    pub fn check(&self, store: Option<&PathBuf>) -> Result<()> {
        let names = self.names();
        if let Some(twice) = names.iter().zip(names.iter().skip(1)).find(|(a, b)| a == b) {
            return Err(WorkerError::input(
                "--files",
                format!("\"{}\" is there twice", twice.0),
                "give each source its own name",
            ));
        }
        for named in &self.namespace {
            check_namespace("--namespace", &named.origin)?;
        }
        for named in &self.files {
            let root = std::fs::canonicalize(&named.origin).unwrap_or_else(|_| PathBuf::from(&named.origin));
            if store.is_some_and(|store| store.starts_with(&root)) {
                return Err(WorkerError::input(
                    format!("--files {}", named.name),
                    format!("\"{}\" holds the store itself", named.origin),
                    "put the store elsewhere, best on another machine",
                ));
            }
        }
        Ok(())
    }

    /// Opens the sources that are not at their end, in the order of their names, each where an earlier process came to.
    pub fn open(
        &self,
        runtime: &Handle,
        control: &Control,
        spool_dir: &Path,
        progress: impl Fn(&str) -> (Option<PathBuf>, bool),
    ) -> Result<Vec<Opened>> {
        let mut opened = Vec::new();
        for (named, kind) in self.all() {
            let (done, ended) = progress(&named.name);
            if ended {
                continue;
            }
            let source: Box<dyn Source> = if kind == FILES {
                Box::new(FileTree::open(&named.name, Path::new(&named.origin), control.clone())?)
            } else {
                let wanted = Wanted {
                    name: named.name.clone(),
                    namespace: named.origin.clone(),
                    volumes_covered: self.volumes_covered.clone(),
                    spool_dir: spool_dir.to_owned(),
                };
                let cluster = self.cluster.connect(runtime)?;
                Box::new(Namespace::open(&cluster, wanted, done.as_deref(), control.clone())?)
            };
            opened.push(Opened { name: named.name.clone(), source });
        }
        Ok(opened)
    }
}

const FILES: &str = "files";
const NAMESPACE: &str = "namespace";
