//! The objects of a Kubernetes namespace as a source.
//!
//! Kind after kind is listed in pages at one resource version and spooled, encrypted, to the local disk: a list that breaks off is
//! begun anew before anything of it is stored, the objects come in the order of their names whatever the server's order is, and
//! memory holds a page and the names of two kinds. At the end, the metadata of every kind is listed once more: what changed since
//! it was captured is named.

mod list;
mod spool;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::spool::{Spool, Spooled};
use super::{DATA_DIR, Source};
use crate::cluster::Cluster;
use crate::cluster::discover::{Kind, discover};
use crate::control::Control;
use crate::engine::{self, Entry, Meta, Opened};
use crate::error::{Result, WorkerError};
use crate::evidence::items::{Consistency, MAX_NAMED, SourceKind, SourceRecord};

/// Kinds that are listed ahead of what is being stored.
const AHEAD: usize = 2;

/// What is captured of a namespace.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Name of the source.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// PersistentVolumeClaims whose data another source of the run covers.
    pub volumes_covered: Vec<String>,
    /// CloudNativePG clusters whose database another source of the run covers: their volumes hold nothing else.
    pub clusters_covered: Vec<String>,
    /// Where spools are kept; they are encrypted and have no names.
    pub spool_dir: PathBuf,
}

/// Objects of a kind by name: what identifies the captured state of each.
type Seen = HashMap<String, u64>;

/// A namespace.
pub struct Namespace {
    wanted: Wanted,
    kinds: mpsc::Receiver<Result<Listed>>,
    task: JoinHandle<()>,
    first: Option<Entry>,
    /// The kind under way, and what is left of it.
    current: Option<(Arc<Spool>, PathBuf, std::vec::IntoIter<Spooled>)>,
    /// The directory of the kind under way, not yet handed over.
    directory: Option<Entry>,
    control: Control,
    captured_at: Timestamp,
    left_out: Vec<String>,
    changed: (Vec<String>, u64),
    volumes_not_covered: Vec<String>,
}

/// What the listing task tells.
enum Listed {
    /// A kind is spooled.
    Kind { kind: Kind, spool: Spool, objects: Vec<Spooled>, left_out: u64 },
    /// All kinds are, and these objects changed since.
    End { changed: Vec<String>, total: u64 },
}

impl Namespace {
    /// Begins to list. Kinds up to the one that `done` lies in were captured by an earlier process of this attempt.
    pub fn open(cluster: &Cluster, wanted: Wanted, done: Option<&Path>, control: Control) -> Result<Self> {
        let captured_at = Timestamp::now();
        let path = format!("/api/v1/namespaces/{}", wanted.namespace);
        let found = cluster.runtime.block_on(async {
            // A namespace that is not there has nothing to list, and would pass for an empty one.
            cluster.read(&path).await.map_err(|r| r.told(&format!("GET {path}")))?;
            discover(cluster).await
        })?;
        let top = Path::new(DATA_DIR).join(&wanted.name);
        let last =
            done.and_then(|done| done.strip_prefix(&top).ok()?.iter().next().map(|d| d.to_string_lossy().into_owned()));
        let mut kinds = found.captured;
        kinds.retain(|kind| last.as_ref().is_none_or(|last| kind.directory() > *last));
        let before = last.map(|last| format!("(not known of kinds up to {last}: captured before an interruption)"));
        let (sender, receiver) = mpsc::channel(AHEAD);
        let task = cluster.runtime.spawn(list_all(cluster.clone(), wanted.clone(), kinds, sender));
        let first = Entry {
            path: top,
            kind: engine::Kind::Dir,
            meta: Meta { mode: 0o700, ..Meta::default() },
            open: None,
            repeated: false,
        };
        Ok(Self {
            wanted,
            kinds: receiver,
            task,
            first: Some(first),
            current: None,
            directory: None,
            control,
            captured_at,
            left_out: found.left_out,
            changed: before.map_or((Vec::new(), 0), |before| (vec![before], 1)),
            volumes_not_covered: Vec::new(),
        })
    }

    /// Takes the next kind; false at the end.
    fn advance(&mut self) -> Result<bool> {
        match self.kinds.blocking_recv() {
            Some(Ok(Listed::Kind { kind, spool, objects, left_out })) => {
                let directory = kind.directory();
                if left_out > 0 {
                    self.left_out.push(format!("{directory}: {left_out} that a controller makes"));
                }
                if directory == "persistentvolumeclaims" {
                    let covered = |name: &String| {
                        self.wanted.volumes_covered.contains(name)
                            || self.wanted.clusters_covered.iter().any(|cluster| is_volume_of(name, cluster))
                    };
                    let names = objects.iter().map(|object| object.name.clone());
                    self.volumes_not_covered = names.filter(|name| !covered(name)).collect();
                }
                let path = Path::new(DATA_DIR).join(&self.wanted.name).join(&directory);
                // An empty kind needs no directory.
                self.directory = (!objects.is_empty()).then(|| Entry {
                    path: path.clone(),
                    kind: engine::Kind::Dir,
                    meta: Meta { mode: 0o700, ..Meta::default() },
                    open: None,
                    repeated: false,
                });
                self.current = Some((Arc::new(spool), path, objects.into_iter()));
                Ok(true)
            }
            Some(Ok(Listed::End { changed, total })) => {
                self.changed.0.extend(changed);
                self.changed.1 += total;
                Ok(false)
            }
            Some(Err(error)) => Err(error),
            None => Ok(false),
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source for Namespace {
    fn next(&mut self) -> Option<Entry> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            if let Some(directory) = self.directory.take() {
                return Some(directory);
            }
            if let Some((spool, path, objects)) = &mut self.current
                && let Some(object) = objects.next()
            {
                return Some(entry(spool, path, object));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.control.fail(error);
                    return None;
                }
            }
        }
    }

    /// Kinds are whole or not there: each is of one resource version.
    fn at_boundary(&self) -> bool {
        self.current.as_ref().is_none_or(|(_, _, objects)| objects.len() == 0)
    }

    fn has_change_times(&self) -> bool {
        false
    }

    fn record(&self) -> SourceRecord {
        SourceRecord {
            name: self.wanted.name.clone(),
            kind: SourceKind::Namespace,
            origin: self.wanted.namespace.clone(),
            captured_at: self.captured_at.to_string(),
            consistency: Consistency::PerKind,
            changed: self.changed.0.clone(),
            changed_total: self.changed.1,
            left_out: self.left_out.clone(),
            volumes_not_covered: self.volumes_not_covered.clone(),
            database: None,
        }
    }
}

/// Whether a claim is one of a CloudNativePG cluster's, by its name: `CLUSTER-1`, `CLUSTER-1-wal`.
fn is_volume_of(claim: &str, cluster: &str) -> bool {
    let rest = claim.strip_prefix(cluster).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    let number = rest.strip_suffix("-wal").unwrap_or(rest);
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

fn entry(spool: &Arc<Spool>, directory: &Path, object: Spooled) -> Entry {
    let path = directory.join(&object.name);
    let meta = Meta { mode: 0o600, size: object.size, mtime: object.created, links: 1, ..Meta::default() };
    let spool = Arc::clone(spool);
    let open = move || match spool.read(&object) {
        Ok(bytes) => Opened::Content(Box::new(std::io::Cursor::new(bytes))),
        Err(error) => Opened::Failed(error),
    };
    Entry { path, kind: engine::Kind::File, meta, open: Some(Box::new(open)), repeated: false }
}

async fn list_all(cluster: Cluster, wanted: Wanted, kinds: Vec<Kind>, sender: mpsc::Sender<Result<Listed>>) {
    let mut seen: Vec<(Kind, u32, Seen)> = Vec::new();
    for kind in kinds {
        let listed = list::spool(&cluster, &wanted, &kind).await;
        let told = match listed {
            Ok(list::Listed { spool, objects, seen: states, left_out, page }) => {
                seen.push((kind.clone(), page, states));
                Ok(Listed::Kind { kind, spool, objects, left_out })
            }
            Err(error) => Err(error),
        };
        let failed = told.is_err();
        if sender.send(told).await.is_err() || failed {
            return;
        }
    }
    let (mut changed, mut total) = (Vec::new(), 0);
    for (kind, page, states) in seen {
        match list::changed(&cluster, &wanted.namespace, &kind, page, states).await {
            Ok(names) => {
                total += names.len() as u64;
                let room = MAX_NAMED.saturating_sub(changed.len());
                changed.extend(names.into_iter().take(room).map(|name| format!("{}/{name}", kind.directory())));
            }
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                return;
            }
        }
    }
    let _ = sender.send(Ok(Listed::End { changed, total })).await;
}

/// What went wrong with a kind, as a failure of the source.
fn unreadable(wanted: &Wanted, kind: &Kind, cause: impl std::fmt::Display) -> WorkerError {
    WorkerError::Unreadable { name: wanted.name.clone(), what: kind.directory(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::is_volume_of;

    #[test]
    fn volumes_of_a_cluster_are_those_that_its_operator_names() {
        assert!(is_volume_of("db-1", "db") && is_volume_of("db-12-wal", "db") && is_volume_of("my-db-3", "my-db"));
        for other in ["db", "db-", "db-x", "db-1-other", "data", "other-db-1", "db2-1"] {
            assert!(!is_volume_of(other, "db"), "{other}");
        }
    }
}
