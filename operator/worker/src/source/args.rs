//! From arguments to sources.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::runtime::Handle;

use super::Source;
use super::database::Database;
use super::files::FileTree;
use super::namespace::{Namespace, Wanted};
use crate::cluster::{ClusterArgs, check_namespace};
use crate::control::Control;
use crate::database::DatabaseArgs;
use crate::database::cluster_secret::ClusterName;
use crate::database::login::{Login, NamedLogin};
use crate::error::{Result, WorkerError};

/// What is captured.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SourceArgs {
    /// A directory tree, under a name of your choice; may be given several times.
    #[arg(long, value_name = "NAME=DIR", required_unless_present_any = ["namespace", "databases_file", "cluster_database"])]
    pub files: Vec<Named>,
    /// The objects of a namespace, under a name of your choice; may be given several times.
    #[arg(long, value_name = "NAME=NAMESPACE", requires = "server")]
    pub namespace: Vec<Named>,
    /// PersistentVolumeClaims whose data another source of this run covers; others are reported.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub volumes_covered: Vec<String>,
    /// File with the logins of PostgreSQL databases: a JSON object with {host, port, database, user, password, ca} for each name.
    #[arg(long, env = "ZHENGYUN_DATABASES_FILE", value_name = "FILE")]
    pub databases_file: Option<PathBuf>,
    /// The database of a CloudNativePG cluster, whose Secrets say how it is reached; may be given several times.
    #[arg(long, value_name = "NAME=NAMESPACE/CLUSTER", requires = "server")]
    pub cluster_database: Vec<Named>,
    /// What is true of all databases.
    #[command(flatten)]
    pub databases: DatabaseArgs,
    /// API server of the namespaces.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What the file of logins holds, once it was read.
    #[arg(skip)]
    logins: Vec<NamedLogin>,
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
        if !is_name(name) {
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

/// Whether it can be the name of a source, which becomes a directory.
fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(plain) && !name.starts_with('-')
}

/// Refuses what cannot be the name of a source.
pub(crate) fn check_name(argument: &str, name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let problem = format!("\"{}\" is no name of a source", name.escape_debug());
    Err(WorkerError::input(argument, problem, "use lower case letters, digits and -, at most 63"))
}

/// What a source is of.
enum Origin<'a> {
    Files(&'a Named),
    Namespace(&'a Named),
    Cluster(&'a Named),
    Database(&'a NamedLogin),
}

impl Origin<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Files(named) | Self::Namespace(named) | Self::Cluster(named) => &named.name,
            Self::Database(named) => &named.name,
        }
    }

    fn origin(&self) -> String {
        match self {
            Self::Files(named) => format!("files {}", named.origin),
            Self::Namespace(named) => format!("namespace {}", named.origin),
            Self::Cluster(named) => format!("cluster {}", named.origin),
            Self::Database(named) => format!("database {}", named.login.shown()),
        }
    }
}

impl SourceArgs {
    /// The same, with the file of logins read.
    pub fn loaded(&self) -> Result<Self> {
        let logins = match &self.databases_file {
            Some(file) => Login::read_all("--databases-file", file)?,
            None => Vec::new(),
        };
        if self.databases_file.is_some() && logins.is_empty() {
            return Err(WorkerError::input("--databases-file", "names no database", "write one, or leave it out"));
        }
        Ok(Self { logins, ..self.clone() })
    }

    fn all(&self) -> Vec<Origin<'_>> {
        let mut all: Vec<Origin<'_>> = self.files.iter().map(Origin::Files).collect();
        all.extend(self.namespace.iter().map(Origin::Namespace));
        all.extend(self.cluster_database.iter().map(Origin::Cluster));
        all.extend(self.logins.iter().map(Origin::Database));
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// The names in order.
    pub fn names(&self) -> Vec<String> {
        self.all().iter().map(|from| from.name().to_owned()).collect()
    }

    /// Names, kinds and origins in order.
    pub fn origins(&self) -> Vec<String> {
        self.all().iter().map(|from| format!("{} {}", from.name(), from.origin())).collect()
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
        for named in &self.cluster_database {
            ClusterName::parse("--cluster-database", &named.origin)?;
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

    /// Clusters in a namespace whose databases are sources.
    fn clusters_of(&self, namespace: &str) -> Vec<String> {
        let names = self.cluster_database.iter().filter_map(|named| named.origin.split_once('/'));
        names.filter(|(within, _)| *within == namespace).map(|(_, name)| name.to_owned()).collect()
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
        for from in self.all() {
            let (done, ended) = progress(from.name());
            if ended {
                continue;
            }
            let source: Box<dyn Source> = match &from {
                Origin::Files(named) => {
                    Box::new(FileTree::open(&named.name, Path::new(&named.origin), control.clone())?)
                }
                Origin::Namespace(named) => {
                    let wanted = Wanted {
                        name: named.name.clone(),
                        namespace: named.origin.clone(),
                        volumes_covered: self.volumes_covered.clone(),
                        clusters_covered: self.clusters_of(&named.origin),
                        spool_dir: spool_dir.to_owned(),
                    };
                    let cluster = self.cluster.connect(runtime)?;
                    Box::new(Namespace::open(&cluster, wanted, done.as_deref(), control.clone())?)
                }
                Origin::Cluster(named) => {
                    let name = ClusterName::parse("--cluster-database", &named.origin)?;
                    let login = name.login(&self.cluster.connect(runtime)?)?;
                    Box::new(Database::open(&named.name, &login, &self.databases, runtime, control)?)
                }
                Origin::Database(named) => {
                    Box::new(Database::open(&named.name, &named.login, &self.databases, runtime, control)?)
                }
            };
            opened.push(Opened { name: from.name().to_owned(), source });
        }
        Ok(opened)
    }
}
